"""Parts of large shards in a repo: the columns and row groups that a question is about.

They are asked for by HTTP ranges and kept beside the downloads: parquet files with holes where the
rest is, one for each choice of columns and row groups; so the same question asks for nothing twice.
A shard of which much is wanted is brought whole: that is one request, its SHA-256 can be checked,
and the Hub's own client finds it.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import polars as pl
import xxhash

from vulcan_cli.dataset.footers import CODES, MEASURED
from vulcan_cli.dataset.ranges import Listed, Wanted, read_footer
from vulcan_cli.dataset.structs import Listing, Struct, read_struct, write_struct
from vulcan_cli.errors import BadShard
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.paths import replace_durably
from vulcan_cli.hub.repo import Repo
from vulcan_cli.vacua.schema import DTYPES
from vulcan_cli.vacua.thrift import I64, LIST, STRUCT

AT_ONCE = 8
"""Ranges of a shard that are asked for at the same time."""

# Fields of the structs of a footer (`parquet.thrift`): of the file, of a row group, of a column
# chunk, of its metadata, of its statistics.
_NUM_ROWS, _ROW_GROUPS = 3, 4
_CHUNKS, _GROUP_ROWS = 1, 3
_META_DATA, _INDEXES = 3, (4, 5, 6, 7)
_PATH, _COMPRESSED, _PAGES, _STATISTICS, _FILTERS = 3, 7, (9, 11), 12, (14, 15)
_MAX, _MIN = 5, 6

# Bytes between two ranges that are read rather than asked around, and the most in one request.
_GAP = 256 << 10
_LONGEST = 32 << 20
_MAGIC = b"PAR1"

Range = tuple[int, int]
"""Where bytes begin and where they have ended."""


class Parts:
    """The parts of one shard on this machine, and how to get more of them."""

    def __init__(self, repo: Repo, commit: str, shard: Listed, folder: Path) -> None:
        """Bind; nothing is asked.

        Args:
            repo: The repo.
            commit: The commit that lists the shard.
            shard: The shard, with a SHA-256.
            folder: Where parts of all shards are kept.
        """
        self._repo = repo
        self._commit = commit
        self._shard = shard
        self._folder = folder / (shard.sha256 or "")

    def footer(self, *, ask: bool) -> bytes | None:
        """The footer of the shard, with its length and magic number; None where it is not here.

        Args:
            ask: Whether the repo may be asked.

        Raises:
            BadShard, FileNotFoundError, VulcanError: As `read_footer`.
        """
        file = self._folder / "footer"
        if file.is_file():
            return file.read_bytes()
        if not ask:
            return None
        tail = read_footer(self._repo, self._commit, self._shard)
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_durably(file, tail)
        return tail

    def bring(self, footer: bytes, schema: pl.Schema, wanted: Wanted, *, ask: bool) -> Path | None:
        """A parquet file with what is wanted of the shard; None where it is better brought whole.

        Args:
            footer: What `footer` gave.
            schema: The types of its columns.
            wanted: What will be read.
            ask: Whether the repo may be asked.

        Raises:
            BadShard, FileNotFoundError, VulcanError: As `read_footer`.
        """
        try:
            chosen = choose(footer, schema, wanted, self._shard.size)
        except ValueError:
            return None
        file = self._folder / f"{chosen.name}.parquet"
        if file.is_file():
            return file
        if not ask or chosen.n_bytes + self._kept() > self._shard.size // 2:
            return None
        with Folder.open(self._folder) as folder, folder.temporary() as (fd, name):
            self._fill(fd, chosen.ranges)
            os.pwrite(fd, _MAGIC, 0)
            os.pwrite(fd, chosen.footer, self._shard.size - len(footer))
            folder.rename_over(name, folder, file.name)
        return file

    def _kept(self) -> int:
        """Bytes of the parts that are here, which have holes."""
        return sum(file.stat().st_blocks * 512 for file in self._folder.glob("*.parquet"))

    def _fill(self, fd: int, ranges: Sequence[Range]) -> None:
        """Write what stands in these ranges of the shard at the same places."""

        def bring(span: Range) -> None:
            start, end = span
            part = self._repo.read(self._shard.path, self._commit, start=start, length=end - start)
            if part.size != self._shard.size or len(part.data) != end - start:
                raise BadShard(Path(self._shard.path), "its size is not what the repo lists")
            os.pwrite(fd, part.data, start)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(bring, ranges):
                pass


class Chosen(NamedTuple):
    """Columns and row groups of a shard.

    Attributes:
        footer: A footer that knows of these row groups alone.
        ranges: Where their columns are.
        name: A name that no other choice has.
    """

    footer: bytes
    ranges: tuple[Range, ...]
    name: str

    @property
    def n_bytes(self) -> int:
        """What must be asked for."""
        return sum(end - start for start, end in self.ranges)


def choose(footer: bytes, schema: pl.Schema, wanted: Wanted, size: int) -> Chosen:
    """What is wanted of a shard with this footer and of so many bytes.

    Raises:
        ValueError: The footer is none, in whatever way.
    """
    metadata = read_struct(footer)
    try:
        groups = list(_groups(metadata, schema, wanted))
        ranges = sorted(_ranges(groups, wanted))
        n_rows = sum(group[_GROUP_ROWS][1] for group in groups)
    except (TypeError, KeyError, IndexError, AttributeError, struct.error) as error:
        raise ValueError("its row groups make no sense") from error
    if any(not len(_MAGIC) <= start < end <= size - len(footer) for start, end in ranges):
        raise ValueError("it says of a column that it is where none can be")
    metadata[_NUM_ROWS] = I64, n_rows
    metadata[_ROW_GROUPS] = LIST, Listing(STRUCT, groups)
    told = write_struct(metadata)
    name = xxhash.xxh3_128_hexdigest(told + json.dumps(sorted(wanted.columns)).encode())
    ending = len(told).to_bytes(4, "little") + _MAGIC
    return Chosen(told + ending, tuple(_joined(ranges)), name)


def _ranges(groups: Sequence[Struct], wanted: Wanted) -> Iterator[Range]:
    """Where the columns of row groups are; these forget their indexes, which are not brought."""
    for group in groups:
        for chunk in _chunks(group):
            for number in _INDEXES:
                chunk.pop(number, None)
            column = chunk[_META_DATA][1]
            for number in _FILTERS:
                column.pop(number, None)
            if _name_of(column) in wanted.columns:
                start = min(column[number][1] for number in _PAGES if number in column)
                yield start, start + column[_COMPRESSED][1]


def _groups(metadata: Struct, schema: pl.Schema, wanted: Wanted) -> Iterator[Struct]:
    """The row groups with rows that may be wanted."""
    groups: list[Struct] = metadata[_ROW_GROUPS][1].values
    bounds = pl.DataFrame(
        [_bounds(group, schema) for group in groups],
        schema={f"{end}_{name}": pl.Float64 for name in MEASURED for end in ("min", "max")},
        orient="row",
    )
    may_match = bounds.select(pl.repeat(value=True, n=pl.len()) & wanted.may_match).to_series()
    left = wanted.n_rows
    for group, may in zip(groups, may_match, strict=True):
        if left is not None and left <= 0:
            return
        if may:
            yield group
        if left is not None:
            left -= group[_GROUP_ROWS][1]


def _bounds(group: Struct, schema: pl.Schema) -> list[float | None]:
    """Smallest and largest value of each measured column, as the catalog tells them."""
    found: dict[str, tuple[float, float]] = {}
    for chunk in _chunks(group):
        column = chunk[_META_DATA][1]
        name = _name_of(column)
        told = column.get(_STATISTICS, (None, {}))[1]
        known = name in MEASURED and schema.get(name) == DTYPES[name] and _MIN in told
        if known and _MAX in told:
            unpack = struct.Struct(f"<{CODES[DTYPES[name]]}").unpack
            (low,), (high,) = unpack(told[_MIN][1]), unpack(told[_MAX][1])
            # NaN is neither below nor above anything.
            if low <= high:
                found[name] = float(low), float(high)
    return [value for name in MEASURED for value in found.get(name, (None, None))]


def _chunks(group: Struct) -> list[Struct]:
    return group[_CHUNKS][1].values  # type: ignore[no-any-return]


def _name_of(column: Struct) -> str:
    return column[_PATH][1].values[0].decode()  # type: ignore[no-any-return]


def _joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """Ranges that are near each other as one, and none that is too long for one request."""
    joined: list[list[int]] = []
    for start, end in ranges:
        if joined and start - joined[-1][1] <= _GAP:
            joined[-1][1] = max(end, joined[-1][1])
        else:
            joined.append([start, end])
    for start, end in joined:
        for place in range(start, end, _LONGEST):
            yield place, min(end, place + _LONGEST)
