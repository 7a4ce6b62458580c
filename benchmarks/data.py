"""Inputs and staging directories, made of real vacua: `python -m benchmarks.data FOLDER KIND`.

Run in our environment. What is made stays, so that a second run of the benchmarks finds it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.vacua.geometry import Geometry, file_name
from vulcan_cli.vacua.prepare import Run, prepare

REAL = Path(__file__).parents[1] / "tests/data/vacua/model_h12-2_1_batch0.parquet"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
_MOST_LINKS = 20_000


def vacua(n_rows: int) -> pl.DataFrame:
    """Real vacua, again and again, each time with another axion value so that all rows differ."""
    once = pl.read_parquet(REAL)
    many = pl.concat([once] * (n_rows // once.height + 1)).head(n_rows)
    shift = (pl.int_range(pl.len()) // once.height).cast(pl.Float64)
    return many.with_columns(pl.col("tau_re") + shift)


def rows(path: Path, n_rows: int) -> None:
    """An input file."""
    vacua(n_rows).write_parquet(path)


def synced(path: Path, n_shards: int, n_rows: int) -> None:
    """A staging directory with shards of as many geometries in `synced/`, as if all were synced."""
    area = StagingArea(path)
    area.create()
    everything = vacua(n_shards * n_rows)
    for number in range(n_shards):
        run = Run(geometry=_geometry(number), provenance={"seed": number})
        part = everything[number * n_rows : (number + 1) * n_rows]
        (shard,) = prepare(part, run, now=NOW).shards
        file = path / "synced" / file_name(shard.path_in_repo)
        with file.open("wb") as stream:
            shard.write(stream)
        Path(f"{file}{SIDECAR_SUFFIX}").write_text(json.dumps(shard.sidecar()))


def pending(path: Path, n_shards: int) -> None:
    """A staging directory in which many shards wait; they share the bytes of a few."""
    area = StagingArea(path)
    area.create()
    for number in range(n_shards):
        if number % _MOST_LINKS == 0:
            original = _one_shard(path, number)
            continue
        name = file_name(_geometry(number).path_in_repo(f"run-{number}"))
        for suffix in ("", SIDECAR_SUFFIX):
            os.link(f"{original}{suffix}", f"{path / 'pending' / name}{suffix}")


def _one_shard(path: Path, number: int) -> Path:
    run = Run(geometry=_geometry(number), run_id=f"run-{number}")
    (shard,) = prepare(vacua(8), run, now=NOW).shards
    file = path / "pending" / file_name(shard.path_in_repo)
    with file.open("wb") as stream:
        shard.write(stream)
    Path(f"{file}{SIDECAR_SUFFIX}").write_text(json.dumps(shard.sidecar()))
    return file


def _geometry(number: int) -> Geometry:
    return Geometry(h11=3 + number % 100, h12=2, ks_id=number, triang_id=0)


def make(folder: Path, kind: str, *sizes: int) -> None:
    """Make one of the three, where it is not there yet, whole or not at all."""
    target = folder / "-".join([kind, *map(str, sizes)])
    if target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    makers: dict[str, Callable[..., None]] = {"rows": rows, "synced": synced, "pending": pending}
    makers[kind](unfinished, *sizes)
    unfinished.rename(target)


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
