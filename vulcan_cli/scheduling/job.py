"""Which job a worker runs in, as Slurm, PBS and HTCondor tell their jobs.

These are circumstances: they stand in a shard's provenance, and the content digest knows nothing
of them, so that the same rows of a requeued job are the same shard.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path

_LONGEST = 200
_AD_BYTES = 2**18

# Variables: https://slurm.schedmd.com/sbatch.html, "Output environment variables"; the PBS Pro
# and Torque manuals of qsub; HTCondor's manual, "Environment variables of a job".
_SLURM = {
    "job_id": ("SLURM_JOB_ID",),
    "array_job_id": ("SLURM_ARRAY_JOB_ID",),
    "array_task_id": ("SLURM_ARRAY_TASK_ID",),
    "node": ("SLURMD_NODENAME",),
    "restart_count": ("SLURM_RESTART_COUNT",),
}
_PBS = {"job_id": ("PBS_JOBID",), "array_task_id": ("PBS_ARRAY_INDEX", "PBS_ARRAYID")}
_CONDOR = {"job_id": "ClusterId", "array_task_id": "ProcId", "restart_count": "NumJobStarts"}

CONDOR_AD = "_CONDOR_JOB_AD"
"""The variable that names the file in which HTCondor describes a job."""

DESCRIBED = "SLURM_*, PBS_*, _CONDOR_JOB_AD"
"""The variables that are read, for people."""


def job_of(environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment says of the job.

    Returns:
        `scheduler`, `job_id`, `array_job_id`, `array_task_id`, `node` and `restart_count`, without
        those that the scheduler does not tell; empty outside of a job.
    """
    if environ.get("SLURM_JOB_ID"):
        found = {"scheduler": "slurm", **_named(_SLURM, environ)}
        found.setdefault("restart_count", "0")
    elif environ.get("PBS_JOBID"):
        found = {"scheduler": "pbs", **_named(_PBS, environ)}
    elif environ.get(CONDOR_AD):
        found = {"scheduler": "htcondor", **_of_ad(Path(environ[CONDOR_AD]))}
    else:
        return {}
    found.setdefault("node", platform.node())
    return {name: value for name, value in found.items() if _is_plain(value)}


def _named(variables: Mapping[str, tuple[str, ...]], environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: environ[variable]
        for name, choices in variables.items()
        for variable in choices
        if environ.get(variable)
    }


def _of_ad(path: Path) -> dict[str, str]:
    """The whole numbers that a job's ad gives its names; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(_AD_BYTES).decode(errors="replace")
    except OSError:
        return {}
    numbers = dict(re.findall(r"^(\w+)\s*=\s*([0-9]+)\s*$", text, re.MULTILINE | re.ASCII))
    return {name: numbers[key] for name, key in _CONDOR.items() if key in numbers}


def _is_plain(value: str) -> bool:
    return value.isprintable() and 0 < len(value) <= _LONGEST
