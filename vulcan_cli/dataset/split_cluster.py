"""Splits on many machines: as `split_files`, with several files a split and no shuffling."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from vulcan_cli.dataset.catalog import Progress, untold
from vulcan_cli.dataset.cluster import as_bad, check_for_slices, making_on, slices_of, told
from vulcan_cli.dataset.columns import under
from vulcan_cli.dataset.export import write_file
from vulcan_cli.dataset.features import take_flags
from vulcan_cli.dataset.query import query
from vulcan_cli.dataset.split_files import DESCRIPTION, SplitFiles, check_files, described
from vulcan_cli.dataset.split_view import SplitView
from vulcan_cli.errors import BadShard
from vulcan_cli.files.open_files import sha256_of


class _Done(NamedTuple):
    """What became of one file."""

    split: str
    file: Mapping[str, Any]
    cut: Mapping[str, int]
    geometries: frozenset[str]
    bad: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Part:
    """One task: the rows of one split in some shards."""

    view: SplitView
    split: str
    schema: pl.Schema
    file: Path
    file_format: str

    def __call__(self) -> _Done:
        """What runs on a worker."""
        rows, flags = self.view.with_flags(self.split)
        frame = rows.collect(engine="streaming")
        cut = {name: number for name, number in take_flags(frame, flags).items() if number}
        frame = frame.with_columns(
            under(pl.col(name), dtype) for name, dtype in self.schema.items()
        )
        arrays = self.view.complex_features
        write_file(frame.lazy(), self.file, self.file_format, arrays)
        with self.file.open("rb") as file:
            digest, size = sha256_of(file.fileno())
        told_file = {"name": self.file.name, "rows": frame.height, "bytes": size, "sha256": digest}
        ids = frozenset(self.view.assigned()["geometry_id"])
        return _Done(self.split, told_file, cut, ids, told(self.view.bad))


def split_on_cluster(
    scheduler: str,
    view: SplitView,
    folder: Path,
    *,
    file_format: str = "parquet",
    progress: Progress = untold,
) -> tuple[SplitFiles, tuple[BadShard, ...]]:
    """Write the files of each split, and `split.json`; also the shards that were left out.

    Args:
        scheduler: As for `query_on_cluster`, as is all that follows.
        view: The splits and their rows.
        folder: Absent or empty, where all workers may write.
        file_format: As for `write_splits`.
        progress: Told how many files are done, and of how many.

    Raises:
        UsageError, NotSetUp, TryLater, DiskTrouble: As `query_on_cluster` and `write_splits`.
    """
    check_files(view, file_format)
    answer = query(view.catalog, view.needed)
    check_for_slices(view.filters)
    columns = tuple(answer.rows.collect_schema())
    whole = replace(view, filters=replace(view.filters, columns=columns))
    with making_on(scheduler, answer.shards, folder) as (cluster, making):
        parts = []
        for name in view.splits.names:
            of_split = view.splits.of_shards(answer.shards.rows) == name
            slices = slices_of(answer.shards.where(pl.lit(of_split)), cluster.wanted)
            schema = whole.rows(name).collect_schema()
            for number, part in enumerate(slices):
                ending = f"{number:05}-of-{len(slices):05}.{file_format}"
                mine = SplitView(
                    catalog=part, filters=whole.filters, splits=view.splits, spec=view.spec
                )
                parts.append(_Part(mine, name, schema, making / f"{name}-{ending}", file_format))
        done = cluster.run(parts, progress)
        found = _summed(view, file_format, done)
        (making / DESCRIPTION).write_text(json.dumps(found.description, indent=2) + "\n")
    bad = [*answer.shards.bad, *(bad for each in done for bad in as_bad(each.bad))]
    return found, tuple({each.path: each for each in bad}.values())


def _summed(view: SplitView, file_format: str, done: list[_Done]) -> SplitFiles:
    names = view.splits.names
    files = {name: [each.file for each in done if each.split == name] for name in names}
    ids = {name: [each.geometries for each in done if each.split == name] for name in names}
    cut: dict[str, dict[str, int]] = {name: {} for name in names}
    for each in done:
        for feature, number in each.cut.items():
            cut[each.split][feature] = cut[each.split].get(feature, 0) + number
    description = {
        **described(view),
        "format": file_format,
        "seed": None,
        "rows": {name: sum(file["rows"] for file in files[name]) for name in names},
        "geometries": {name: len(frozenset().union(*ids[name])) for name in names},
        "cut_short": cut,
        "files": files,
    }
    return SplitFiles(description, cut)
