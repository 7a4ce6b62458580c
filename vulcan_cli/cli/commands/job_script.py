"""`vulcan job-script`: a job array whose tasks stage while their solver works."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import Quiet, StagingDir, Verbose
from vulcan_cli.cli.options.scheduling import (
    SolverWords,
    TaskCpus,
    TaskMemory,
    Tasks,
    TaskTime,
)
from vulcan_cli.cli.options.staging import (
    GeometryTexts,
    InputFormat,
    MaxAge,
    MaxRows,
    Project,
    Solver,
    TadpoleCharge,
    TemplateText,
    format_of,
    longest_wait,
    one_geometry,
    pairs,
)
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.streaming import whole_or_nothing
from vulcan_cli.cli.suggest import did_you_mean, one_of
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import InputRefused, TemplateError, UsageError
from vulcan_cli.quantities import parse_duration, parse_size
from vulcan_cli.settings import Settings, carried

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vulcan_cli.vacua.geometry import Geometry
    from vulcan_cli.vacua.inputs import Format

EXAMPLES = (
    Example(
        "Two hundred tasks of Slurm, each with its seed",
        "vulcan job-script slurm --tasks 200 -g h11=3,h12=2,ks_id=384564 -- "
        "my-solver --seed {task} > job.sh",
    ),
    Example(
        "For PBS, with a column that the solver does not write",
        "vulcan job-script pbs --tasks 50 --time 8h -g h11=3,h12=2 --tadpole-charge 12 -- "
        "./scan.sh {task}",
    ),
    Example(
        "For HTCondor; the script submits itself",
        "vulcan job-script htcondor --tasks 10 -g h11=3,h12=2 -- python scan.py {task} > job.sh",
    ),
)
EXIT_CODES = (4, 6)

_KINDS = {
    "slurm": "for sbatch",
    "pbs": "for qsub, of PBS Pro and OpenPBS",
    "htcondor": "for condor_submit, to which it hands itself",
}
_CARRIED = ("staging_dir", "project", "template")

Kind = Annotated[
    str,
    typer.Argument(metavar="KIND", help="slurm, htcondor or pbs.", autocompletion=one_of(_KINDS)),
]


def job_script(
    kind: Kind,
    solver_words: SolverWords = None,
    *,
    tasks: Tasks = 1,
    time: TaskTime = "24h",
    mem: TaskMemory = "2GB",
    cpus: TaskCpus = 1,
    geometry: GeometryTexts = None,
    tadpole_charge: TadpoleCharge = None,
    solver: Solver = None,
    project: Project = None,
    template: TemplateText = None,
    max_rows: MaxRows = 5000,
    max_age: MaxAge = "10m",
    format_: InputFormat = "ndjson",
    staging_dir: StagingDir = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print the script of a job array that stages what its solver finds, while it works.

    Each task runs the solver with its own number and stages its rows, which carry the ids of job,
    task and node. At preemption and at the end of its time a task stages what is there and ends
    with 0; else it ends with what stage said, or with what the solver said. It needs a staging
    directory that all nodes see; and no network.
    """
    from vulcan_cli.scheduling import scripts  # noqa: PLC0415
    from vulcan_cli.scheduling.timers import executable  # noqa: PLC0415

    out = Output(quiet=quiet, verbose=verbose)
    if kind not in _KINDS:
        meant = did_you_mean(kind, _KINDS)
        raise UsageError(f"vulcan job-script does {', '.join(_KINDS)}, not {kind!r}{meant}")
    settings = configured(out, staging_dir=staging_dir, project=project, template=template)
    settings.require_staging_dir()
    keys = one_geometry(geometry)
    _check_stage(
        *(keys, tadpole_charge, pairs("--solver", solver), settings),
        kind=format_of(format_),
        max_age=max_age,
    )
    stage = [*executable(Path(sys.executable)), "stage", "-", "--format", format_]
    for option, value in (
        ("--geometry", keys),
        ("--tadpole-charge", tadpole_charge),
        *(("--solver", text) for text in solver or ()),
        ("--max-rows", max_rows),
        ("--max-age", max_age),
    ):
        if value is not None:
            stage += [option, str(value)]
    array = scripts.Array(
        solver=tuple(solver_words or ()),
        stage=tuple(stage),
        environment=carried(settings, _CARRIED),
        n_tasks=tasks,
        time_s=parse_duration(time),
        memory_mb=-(-parse_size(mem) // 10**6),
        n_cpus=cpus,
    )
    scripts.check(array)
    make = {"slurm": scripts.slurm, "pbs": scripts.pbs, "htcondor": scripts.htcondor}[kind]
    out.lines(make(array).splitlines())


def _check_stage(
    keys: str | None,
    tadpole_charge: int | None,
    solver: Mapping[str, str],
    settings: Settings,
    *,
    kind: Format,
    max_age: str | None,
) -> None:
    """Raise UsageError where `stage` would refuse it in every task: nothing is staged here."""
    from vulcan_cli.vacua.prepare import Run, check_run, check_template  # noqa: PLC0415
    from vulcan_cli.vacua.splitters import STREAMS  # noqa: PLC0415

    if max_age is not None:
        longest_wait(max_age)
        if kind not in ("auto", *STREAMS):
            raise whole_or_nothing(kind)
    run = Run(
        geometry=None if keys is None else _geometry(keys),
        tadpole_charge=tadpole_charge,
        solver=solver,
        project=settings.project,
        template=settings.template,
    )
    for problem in check_run(run):
        raise UsageError(str(problem))
    try:
        check_template(run, now=datetime.now(UTC))
    except TemplateError as error:
        # What cures a template of `stage` is no option here.
        raise UsageError(str(error)) from error


def _geometry(text: str) -> Geometry:
    from vulcan_cli.vacua.geometry import Geometry  # noqa: PLC0415

    try:
        return Geometry.parse(text)
    except InputRefused as error:
        raise UsageError(f"--geometry: {error}") from error
