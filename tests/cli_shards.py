"""What the tests of commands stage, and how they look at a staging directory."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from tests.cli_in_process import run
from tests.vacua_support import GEOMETRY, REAL, rows
from vulcan_cli.vacua.geometry import Geometry, file_name

KEYS = "h11=272,h12=2,ks_id=1,triang_id=0"
"""The geometry of `rows()`, as typed."""

CSV = REAL / "model_h12-2_1_batch0.csv"
PARQUET = REAL / "model_h12-2_1_batch0.parquet"


def path_in_repo(run_id: str, geometry: Geometry = GEOMETRY) -> str:
    """Where a run of a geometry stands in the repo."""
    return geometry.path_in_repo(run_id)


def shard(spool: Path, state: str, run_id: str, geometry: Geometry = GEOMETRY) -> Path:
    """The file of a run in a state folder."""
    return spool / state / file_name(geometry.path_in_repo(run_id))


def written(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    """A frame as a parquet file."""
    frame.write_parquet(folder / name)
    return folder / name


def staged(
    cwd: Path, run_id: str, frame: pl.DataFrame | None = None, geometry: str = KEYS, **options: str
) -> Path:
    """Stage rows under a run id into `spool` below a folder; the path of the shard."""
    file = written(cwd, f"{run_id}.in", rows() if frame is None else frame)
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    ran = run(
        *("stage", file, "-g", geometry, "--run-id", run_id, "--staging-dir", "spool", "--json"),
        *words,
        cwd=cwd,
    )
    assert (ran.code, ran.err) == (0, ""), ran
    return cwd / str(json.loads(ran.out)["path"])
