"""Splits as files: a folder that appears with all of them and `split.json`, or not at all.

The same shards and options give the same bytes, on every machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

import vulcan_cli
from vulcan_cli.dataset import array_files, export
from vulcan_cli.dataset.batches import in_batches
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.features import take_flags
from vulcan_cli.dataset.shuffle import files_for, shuffled
from vulcan_cli.dataset.split_view import SplitView
from vulcan_cli.errors import DiskTrouble, UnevenLists, UsageError
from vulcan_cli.files.open_files import sha256_of
from vulcan_cli.files.paths import drop_unfinished, is_vacant, new_folder
from vulcan_cli.interrupts import interrupted_once
from vulcan_cli.vacua import arrow_ipc

DESCRIPTION = "split.json"
"""The file that says how the splits were made, so that they can be made again."""

FORMATS = (*export.FORMATS, *array_files.FORMATS)

MOST_BYTES = 100_000_000
"""The values of one file at most, and a row more; a file is held in memory while it is written."""

# What is read at a time, at most.
_BATCH_ROWS = 50_000
_BATCH_BYTES = 32 << 20
# What a list or a text may take before anything is read.
_GUESSED_BYTES = 100

# What `datasets` takes for the name of a split; it is a part of file names, too.
_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)


class SplitFiles(NamedTuple):
    """What was written.

    Attributes:
        description: What `split.json` says.
        cut_short: For each split the lists that were cut short, by feature, where any were.
    """

    description: Mapping[str, Any]
    cut_short: Mapping[str, Mapping[str, int]]


def write_splits(
    folder: Path,
    view: SplitView,
    *,
    file_format: str = "parquet",
    seed: int | None = None,
    most_bytes: int = MOST_BYTES,
) -> SplitFiles:
    """Write the files of each split, and `split.json`.

    Args:
        folder: Where; absent, or an empty folder.
        view: The splits and their rows.
        file_format: One of `FORMATS`.
        seed: Shuffles the rows of each split; None leaves them in the order of a query.
        most_bytes: The values of one file.

    Raises:
        UnevenLists: As `check_files`.
        UsageError: The folder holds something, there is no such format, or it cannot hold the
            rows.
        DiskTrouble: The file system refuses; nothing is there then.
    """
    # A rename replaces no link to a folder.
    folder = Path(os.path.realpath(folder))
    check_files(view, file_format)
    if not is_vacant(folder):
        raise UsageError(f"{folder} is there and not empty; splits go to a new or empty folder")
    try:
        with new_folder(folder) as making:
            drop_unfinished(folder, making.stat().st_mtime)
            writer = _Writer(making, view, file_format, seed, most_bytes)
            found = interrupted_once(writer.write)
            (making / DESCRIPTION).write_text(json.dumps(found.description, indent=2) + "\n")
    except OSError as error:
        raise DiskTrouble(folder, error) from error
    return found


def check_files(view: SplitView, file_format: str) -> None:
    """Make sure that files of this format can hold the splits.

    Raises:
        UnevenLists: It holds arrays, and lists have no length that is that of all files.
        UsageError: There is no such format, or a split is no part of a file name.
    """
    if file_format not in FORMATS:
        raise UsageError(f"no format is called {file_format!r}: choose from {', '.join(FORMATS)}")
    for name in view.splits.names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no part of a file name: letters, digits, _ and .")
    if file_format in array_files.FORMATS:
        _check_lists(view, file_format)


def _check_lists(view: SplitView, file_format: str) -> None:
    schema = view.rows(view.splits.names[0]).collect_schema()
    lists = [name for name, dtype in schema.items() if array_files.holds_lists(dtype)]
    if lists:
        raise UnevenLists(
            f"{file_format} holds arrays, and the lists of {', '.join(lists)} need one length in "
            "all files: give list_max_len",
            list(schema),
            file_format=file_format,
        )


class _Writer(NamedTuple):
    """Writes one folder."""

    folder: Path
    view: SplitView
    file_format: str
    seed: int | None
    most_bytes: int

    def write(self) -> SplitFiles:
        cut: dict[str, dict[str, int]] = {name: {} for name in self.view.splits.names}
        files = {name: self._write_split(name, cut[name]) for name in cut}
        description = {
            **described(self.view),
            "format": self.file_format,
            "seed": self.seed,
            "rows": {name: sum(f["rows"] for f in files[name]) for name in files},
            "geometries": _geometries(self.view),
            "cut_short": cut,
            "files": files,
        }
        return SplitFiles(description, cut)

    def _write_split(self, name: str, cut: dict[str, int]) -> list[dict[str, Any]]:
        """Write the files of one split; what each of them is."""
        rows, flags = self.view.with_flags(name)
        schema = pl.Schema({n: t for n, t in rows.collect_schema().items() if n not in flags})
        row_bytes = max(
            self.view.catalog.row_bytes, sum(_width(dtype) for dtype in schema.values())
        )
        batches = _batches(rows, flags, cut, max(1, _BATCH_BYTES // row_bytes))
        frames = self._in_order(batches, row_bytes)
        unnamed = []
        for number, frame in enumerate(_cut(frames, schema, self.most_bytes)):
            path = self.folder / f"{name}-{number:05}"
            self._write_file(frame, path)
            unnamed.append((path, frame.height))
        described = []
        for number, (path, n_rows) in enumerate(unnamed):
            ending = f"{number:05}-of-{len(unnamed):05}.{self.file_format}"
            file = path.rename(self.folder / f"{name}-{ending}")
            with file.open("rb") as stream:
                digest, size = sha256_of(stream.fileno())
            described.append({"name": file.name, "rows": n_rows, "bytes": size, "sha256": digest})
        for feature in [feature for feature, number in cut.items() if not number]:
            del cut[feature]
        return described

    def _in_order(self, batches: Iterable[pl.DataFrame], row_bytes: int) -> Iterable[pl.DataFrame]:
        if self.seed is None:
            return batches
        shards = self.view.catalog.where(self.view.filters.on_shards()).rows
        size = int(shards["n_rows"].sum()) * row_bytes
        files = files_for(size, self.most_bytes // 2)
        return shuffled(batches, self.seed, self.folder, files=files)

    def _write_file(self, frame: pl.DataFrame, path: Path) -> None:
        if self.file_format == "parquet":
            export.write_parquet(frame, path)
        else:
            complex_columns = self.view.complex_features
            export.write_file(frame.lazy(), path, self.file_format, complex_columns)


def _batches(
    rows: pl.LazyFrame, flags: list[str], cut: dict[str, int], n_rows: int
) -> Iterator[pl.DataFrame]:
    """So many rows at a time, as they are read; what was cut short is added up in `cut`."""
    for batch in in_batches(rows, min(n_rows, _BATCH_ROWS)):
        for name, number in take_flags(batch, flags).items():
            cut[name] = cut.get(name, 0) + number
        yield batch


def _cut(
    frames: Iterable[pl.DataFrame], schema: pl.Schema, most_bytes: int
) -> Iterator[pl.DataFrame]:
    """The same rows in frames of `most_bytes`, whatever they come in; one frame at least.

    The place of a cut hangs on the values alone.
    """
    size = pl.sum_horizontal(_size(name, dtype) for name, dtype in schema.items())
    held: list[pl.DataFrame] = []
    before, number = 0, 0
    for frame in frames:
        sizes = frame.select(size.alias("size"))["size"]
        ends = sizes.cum_sum() + before
        numbers = (ends - sizes) // most_bytes
        before = int(ends[-1]) if frame.height else before
        for part in frame.with_columns(numbers.alias(_FILE)).partition_by(
            _FILE, maintain_order=True
        ):
            if part[_FILE][0] != number and held:
                yield pl.concat(held)
                held = []
            number = part[_FILE][0]
            held.append(part.drop(_FILE))
    yield pl.concat(held) if held else pl.DataFrame(schema=schema)


_FILE = "\0file"
"""The number of a row's file; no column of a shard has this name."""


def _size(name: str, dtype: pl.DataType) -> pl.Expr:
    """The bytes of each value of a column, as an integer."""
    values = pl.col(name)
    if isinstance(dtype, pl.List):
        inner = _width(arrow_ipc.inner(dtype))
        return values.list.len().fill_null(0).cast(pl.Int64) * inner + 8
    if dtype == pl.String:
        return values.str.len_bytes().fill_null(0).cast(pl.Int64) + 8
    # Alone, literals would be one value for all rows.
    return pl.repeat(_width(dtype), pl.len(), dtype=pl.Int64)


def _width(dtype: pl.DataType) -> int:
    """The bytes of a value of a type, a guess where they vary."""
    if isinstance(dtype, pl.Array):
        return dtype.size * _width(arrow_ipc.inner(dtype))
    found = re.search(r"Int(\d+)|Float(\d+)", str(dtype)) if dtype.is_numeric() else None
    if found:
        return int(found[1] or found[2]) // 8
    if dtype == pl.Boolean():
        return 1
    return 8 if dtype.is_temporal() else _GUESSED_BYTES


def described(view: SplitView) -> dict[str, Any]:
    """For `split.json`: how rows were chosen and split, as far as the view tells."""
    spec = view.spec
    return {
        "vulcan_version": vulcan_cli.__version__,
        "splits": list(view.splits.names),
        "fractions": list(view.splits.fractions),
        "salt": view.splits.salt,
        "group_by": view.splits.group_by,
        "frozen": len(view.splits.frozen),
        "features": None if spec is None or spec.features is None else list(spec.features),
        "list_max_len": None if spec is None else spec.list_max_len,
        "list_fill": None if spec is None else spec.list_fill,
        "catalog_sha256": _catalog_digest(view.catalog),
    }


def _geometries(view: SplitView) -> dict[str, int]:
    """How many geometries with matching rows each split holds."""
    assigned = view.assigned()["split"]
    return {name: int((assigned == name).sum()) for name in view.splits.names}


def _catalog_digest(shards: Catalog) -> str:
    """SHA-256 over path, content digest, rows and bytes of every shard, in the order of paths."""
    state = hashlib.sha256()
    for row in shards.rows.select("path_in_repo", "digest", "n_rows", "bytes").iter_rows():
        state.update((json.dumps(row) + "\n").encode())
    return state.hexdigest()
