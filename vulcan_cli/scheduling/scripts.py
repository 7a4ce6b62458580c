"""Job arrays whose tasks stage while their solver works, for Slurm, PBS and HTCondor."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import NamedTuple

from vulcan_cli.errors import UsageError

TASK = "{task}"
"""Stands for the number of the task in the solver's command line."""

NAME = "vulcan"
GRACE_S = 120
"""How long before the end of its time Slurm tells a task."""


class Array(NamedTuple):
    """A job array.

    Attributes:
        solver: The solver's command line; it writes rows to its standard output.
        stage: The command line of `vulcan stage`.
        environment: What both need.
        n_tasks: How many tasks; they are counted from 0.
        time_s: How long a task may take.
        memory_mb: Memory of a task, in 10^6 bytes.
        n_cpus: Processors of a task.
    """

    solver: tuple[str, ...]
    stage: tuple[str, ...]
    environment: Mapping[str, str]
    n_tasks: int
    time_s: float
    memory_mb: int
    n_cpus: int


def slurm(array: Array) -> str:
    """A script for `sbatch`."""
    tasks = f"#SBATCH --array=0-{array.n_tasks - 1}\n" if array.n_tasks > 1 else ""
    return (
        "#!/bin/bash\n"
        "# Submit it: sbatch job.sh\n"
        f"#SBATCH --job-name={NAME}\n"
        f"{tasks}"
        f"#SBATCH --time={_clock(array.time_s)}\n"
        f"#SBATCH --cpus-per-task={array.n_cpus} --mem={array.memory_mb}M\n"
        "#SBATCH --requeue --open-mode=append\n"
        f"#SBATCH --signal=B:TERM@{GRACE_S}\n"
        f'\ntask="${{SLURM_ARRAY_TASK_ID:-0}}"\n{_work(array)}'
    )


def pbs(array: Array) -> str:
    """A script for `qsub`."""
    tasks = f"#PBS -J 0-{array.n_tasks - 1}\n" if array.n_tasks > 1 else ""
    return (
        "#!/bin/bash\n"
        "# Submit it: qsub job.sh\n"
        f"#PBS -N {NAME}\n"
        f"{tasks}"
        f"#PBS -l select=1:ncpus={array.n_cpus}:mem={array.memory_mb}mb\n"
        f"#PBS -l walltime={_clock(array.time_s)}\n"
        "#PBS -r y -j oe\n"
        '\ncd "${PBS_O_WORKDIR:-.}" || exit 1\n'
        f'task="${{PBS_ARRAY_INDEX:-${{PBS_ARRAYID:-0}}}}"\n{_work(array)}'
    )


def htcondor(array: Array) -> str:
    """A script that submits itself by `condor_submit`, once for each task."""
    return (
        "#!/bin/bash\n"
        "# Submit it: bash job.sh (it hands itself to condor_submit)\n"
        'if [ -z "${_CONDOR_JOB_AD:-}" ]; then\n'
        '    script=$(realpath "$0") && exec condor_submit - <<END\n'
        "universe = vanilla\n"
        "executable = /bin/bash\n"
        "arguments = \"'$script' \\$(Process)\"\n"
        "initialdir = $PWD\n"
        f"request_cpus = {array.n_cpus}\n"
        f"request_memory = {array.memory_mb}MB\n"
        f"allowed_job_duration = {array.time_s:.0f}\n"
        "should_transfer_files = NO\n"
        "kill_sig = SIGTERM\n"
        f"log = {NAME}.log\n"
        f"output = {NAME}.\\$(Cluster).\\$(Process).out\n"
        f"error = {NAME}.\\$(Cluster).\\$(Process).err\n"
        f"queue {array.n_tasks}\n"
        "END\n"
        "fi\n"
        f'\ntask="${{1:-0}}"\n{_work(array)}'
    )


def _work(array: Array) -> str:
    """What one task does: the same under every scheduler."""
    exports = "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in array.environment.items()
    )
    return f"""{exports}
# The solver writes rows, and they are staged while it works.
exec 3< <(exec {_solver(array.solver)})
solver=$!
{shlex.join(array.stage)} <&3 &
stage=$!
exec 3<&-

# Preemption and the end of the time: both are told, once; what the solver has written is staged.
stopped=
trap 'trap "" TERM; stopped=1; kill -TERM "$solver" "$stage" 2>/dev/null' TERM

# A signal ends the first wait.
wait "$stage"
staged=$?
if [ -n "$stopped" ]; then wait "$stage"; staged=$?; fi
wait "$solver"
solved=$?
if [ "$staged" -ne 0 ] || [ -n "$stopped" ]; then exit "$staged"; fi
exit "$solved"
"""


def _solver(words: tuple[str, ...]) -> str:
    """A command line in which the task's number takes its place."""
    return " ".join(
        '"$task"'.join(shlex.quote(part) if part else "" for part in word.split(TASK)) or "''"
        for word in words
    )


def _clock(seconds: float) -> str:
    """A length of time as hours, minutes and seconds."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}"


def check(array: Array) -> None:
    """Refuse what no scheduler takes.

    Raises:
        UsageError: No time, no memory, no solver.
    """
    if not array.solver:
        raise UsageError("which solver? Put its command line behind --, with {task} in it")
    if array.time_s < 60:
        raise UsageError("a task has at least a minute: --time 24h")
    if not array.memory_mb:
        raise UsageError("a task needs memory: --mem 2GB")
