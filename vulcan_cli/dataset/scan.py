"""Rows of many parquet files as one lazy frame, whatever is wrong with some of them.

Shards are read a batch at a time, in the order of their paths. A shard that cannot be read is left
out and noted; so nothing that stands in one file can fail a query.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars.io.plugins import register_io_source

from vulcan_cli.dataset.catalog import SCHEMA, Catalog, Progress
from vulcan_cli.dataset.columns import may_be_wide, under
from vulcan_cli.dataset.ranges import Wanted
from vulcan_cli.dataset.sql_errors import words_of
from vulcan_cli.dataset.trust import moved_on, readable
from vulcan_cli.errors import BadShard, UsageError
from vulcan_cli.other_errors import first_line
from vulcan_cli.quantities import counted

_logger = logging.getLogger(__name__)

# What one batch holds at most: enough to keep every core busy, little enough to hold in memory.
_BATCH_FILES = 512
_BATCH_ROWS = 100_000
_BATCH_BYTES = 16 << 20
_FIRST_BROUGHT = 8
# Batches of so few rows are read two at once: they are many small files, which leave cores idle.
_FEW_ROWS = 50_000
_BATCHES_AT_ONCE = 2
# Rows of a larger shard are handed over in pieces of so many: those of a row group of Polars.
_PIECE_ROWS = 262_144
# Rows to write are handed on in slices of so many bytes: Polars' sinks hold some dozens of them.
_SLICE_BYTES = 2 << 20

_TROUBLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


class _Located(NamedTuple):
    """A shard and where it stands here.

    Attributes:
        file: Its file, or what is wrong with what came as it.
        schema: The number of its schema.
        n_rows: Its rows.
        n_bytes: Its bytes.
    """

    file: Path | BadShard
    schema: int
    n_rows: int
    n_bytes: int


class _Batch(NamedTuple):
    """Shards that are read in one scan.

    Attributes:
        files: Their files, in order.
        stored: Their common schema where it must be cast, None where it can be read as it is.
        n_rows: How many rows they have together.
        n_bytes: How many bytes.
    """

    files: list[str]
    stored: pl.Schema | None
    n_rows: int = 0
    n_bytes: int = 0

    def has_room_for(self, shard: _Located, most_bytes: float) -> bool:
        """Whether another shard can be read with these."""
        return (
            len(self.files) < _BATCH_FILES
            and self.n_rows + shard.n_rows <= _BATCH_ROWS
            and self.n_bytes + shard.n_bytes <= most_bytes
        )


def scan(
    shards: Catalog,
    schema: pl.Schema,
    may: pl.Expr,
    unreadable: dict[Path, BadShard],
    progress: Progress,
    *,
    to_write: bool = False,
) -> pl.LazyFrame:
    """All rows of the shards under one schema.

    Args:
        shards: The shards to read.
        schema: The columns of the result; shards that lack one have nulls there.
        may: Which rows can match at all; of large shards that are away only these are brought.
        unreadable: Where shards are noted that cannot be read.
        progress: Told, while rows are read, of how many shards, and of how many.
        to_write: Whether rows are written as they come and not collected: they come in slices
            that take little memory, of which a frame would keep every one as a chunk.
    """

    def batches(
        names: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        _logger.info("reads %s", counted(shards.rows.height, "shard"))
        wanted = list(schema) if names is None else names
        reader = _Reader(schema, wanted, predicate, unreadable)
        of_large = Wanted(tuple(reader.columns), may, n_rows)
        batches = _batches(shards, schema, of_large, unreadable)
        frames = reader.read_all(_told(batches, shards.rows.height, progress), n_rows)
        yield from chain.from_iterable(map(_slices, frames)) if to_write else frames

    return register_io_source(batches, schema=schema, is_pure=True)


def _slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The same rows, a few megabytes at a time."""
    n_rows = frame.height * _SLICE_BYTES // max(1, int(frame.estimated_size()))
    return frame.iter_slices(max(1, n_rows))


def _told(batches: Iterator[_Batch], total: int, progress: Progress) -> Iterator[_Batch]:
    """The same batches; one is done when the next is asked for."""
    done = 0
    progress(done, total)
    for batch in batches:
        yield batch
        done += len(batch.files)
        progress(done, total)


def _batches(
    shards: Catalog, schema: pl.Schema, wanted: Wanted, unreadable: dict[Path, BadShard]
) -> Iterator[_Batch]:
    """Consecutive shards that one scan can read; what is away and comes as no shard is noted."""
    stored = [
        None
        if all(held.get(name, schema[name]) == schema[name] for name in wanted.columns)
        else held
        for held in shards.schemas
    ]
    is_wide = may_be_wide(schema[name] for name in wanted.columns)
    most_bytes = _BATCH_BYTES if is_wide else math.inf
    batch = _Batch([], None)
    for shard in _located(shards, wanted):
        if isinstance(shard.file, BadShard):
            unreadable[shard.file.path] = shard.file
            continue
        own = stored[shard.schema]
        fits = batch.stored is own and batch.has_room_for(shard, most_bytes)
        if batch.files and not fits:
            yield batch
            batch = _Batch([], None)
        batch = _Batch(
            [*batch.files, str(shard.file)],
            own,
            batch.n_rows + shard.n_rows,
            batch.n_bytes + shard.n_bytes,
        )
    if batch.files:
        yield batch


def _located(shards: Catalog, wanted: Wanted) -> Iterator[_Located]:
    """Where each shard stands here, in order."""
    # What is away is brought in parts that grow, as a limit may stop the reading soon.
    start, size = 0, _FIRST_BROUGHT if shards.away else _BATCH_FILES
    while start < shards.rows.height:
        part = replace(shards, rows=shards.rows.slice(start, size))
        told = part.rows.select(SCHEMA, "n_rows", "bytes").iter_rows()
        for file, of_shard in zip(part.files(wanted), told, strict=True):
            yield _Located(file, *of_shard)
        start, size = start + size, min(2 * size, _BATCH_FILES)


class _Reader:
    """Reads batches; a batch that fails is halved until the shard to blame stands alone."""

    def __init__(
        self,
        schema: pl.Schema,
        wanted: list[str],
        predicate: pl.Expr | None,
        unreadable: dict[Path, BadShard],
    ) -> None:
        roots = predicate.meta.root_names() if predicate is not None else []
        self.columns = list(dict.fromkeys([*wanted, *roots]))
        self._schema = pl.Schema({name: schema[name] for name in self.columns})
        self._wanted = wanted
        self._predicate = predicate
        self._unreadable = unreadable

    def read_all(self, batches: Iterator[_Batch], n_rows: int | None) -> Iterator[pl.DataFrame]:
        """Rows of all batches, in order; of the first `n_rows` rows where that is given."""
        if n_rows is None:
            yield from self._read_several(batches)
            return
        for frame in chain.from_iterable(self._read(batch, n_rows) for batch in batches):
            taken = frame.head(n_rows)
            n_rows -= taken.height
            yield self._matching(taken.lazy()).collect()
            if not n_rows:
                return

    def _read_several(self, batches: Iterator[_Batch]) -> Iterator[pl.DataFrame]:
        """Rows of all batches, in order; those of few rows are read some at once."""
        coming: deque[Future[list[pl.DataFrame]]] = deque()
        pool = ThreadPoolExecutor(_BATCHES_AT_ONCE)
        try:
            for batch in batches:
                is_small = batch.n_rows <= _FEW_ROWS
                while len(coming) > (_BATCHES_AT_ONCE if is_small else 0):
                    yield from coming.popleft().result()
                if is_small:
                    coming.append(pool.submit(self._read_whole, batch))
                else:
                    yield from self._read(batch, None)
            while coming:
                yield from coming.popleft().result()
        finally:
            # Who drops an unfinished result may be one of these threads, so nobody waits for them.
            pool.shutdown(wait=False, cancel_futures=True)

    def _read_whole(self, batch: _Batch) -> list[pl.DataFrame]:
        return list(self._read(batch, None))

    def _read(self, batch: _Batch, n_rows: int | None) -> Iterator[pl.DataFrame]:
        begun = False
        try:
            for frame in self._frames(batch, n_rows):
                begun = True
                yield frame
        except _TROUBLE as error:
            middle = len(batch.files) // 2
            if begun:
                self._leave_out(Path(batch.files[0]), error)
            elif middle:
                yield from self._read(batch._replace(files=batch.files[:middle]), n_rows)
                yield from self._read(batch._replace(files=batch.files[middle:]), n_rows)
            else:
                yield from self._blame(batch, n_rows, error)

    def _frames(self, batch: _Batch, n_rows: int | None) -> Iterator[pl.DataFrame]:
        """Rows of a batch, those of a large shard in pieces."""
        rows = self._rows(batch)
        # Rows are counted before the predicate, as the optimiser means them to be.
        kept = self._matching if n_rows is None else _all_of
        wanted = batch.n_rows if n_rows is None else min(n_rows, batch.n_rows)
        if wanted <= _PIECE_ROWS or len(batch.files) > 1:
            # In one piece: a chunk for each file would cost more than its few rows.
            yield kept(rows if n_rows is None else rows.head(n_rows)).collect().rechunk()
            return
        # A shard counts whole or not at all, so all of it is read before a piece is handed over.
        _try_out(self._matching(rows))
        for start in range(0, wanted, _PIECE_ROWS):
            yield kept(rows.slice(start, min(_PIECE_ROWS, wanted - start))).collect()

    def _blame(
        self, batch: _Batch, n_rows: int | None, error: BaseException
    ) -> Iterator[pl.DataFrame]:
        """Read a shard by its own schema: is it at fault, or the query?"""
        file = Path(batch.files[0])
        moved = moved_on(file) if isinstance(error, FileNotFoundError) else None
        if moved is not None:
            yield from self._read_moved(batch, moved, n_rows)
            return
        try:
            stored = pl.Schema(pl.read_parquet_schema(file))
            own = batch._replace(stored=stored)
            _try_out(self._rows(own))
        except _TROUBLE as failure:
            self._leave_out(file, failure)
            return
        try:
            yield from self._frames(own, n_rows)
        except pl.exceptions.PolarsError as failure:
            words = words_of(failure, stored)
            raise UsageError(f"the condition fails: {words}") from failure

    def _read_moved(self, batch: _Batch, moved: Path, n_rows: int | None) -> Iterator[pl.DataFrame]:
        found = readable(moved, "synced", None)
        if isinstance(found, BadShard):
            self._unreadable[found.path] = found
        else:
            yield from self._read(batch._replace(files=[str(found)]), n_rows)

    def _leave_out(self, file: Path, error: BaseException) -> None:
        gone = isinstance(error, FileNotFoundError)
        reason = "it is gone since it was listed" if gone else first_line(error)
        self._unreadable[file] = BadShard(file, reason)

    def _matching(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        rows = rows if self._predicate is None else rows.filter(self._predicate)
        return rows.select(self._wanted)

    def _rows(self, batch: _Batch) -> pl.LazyFrame:
        rows = pl.scan_parquet(
            batch.files,
            schema=self._schema if batch.stored is None else batch.stored,
            missing_columns="insert",
            extra_columns="ignore",
            glob=False,
            hive_partitioning=False,
            cache=False,
        )
        if batch.stored is None:
            return rows
        return rows.select(
            under(pl.col(name) if name in batch.stored else pl.lit(None), dtype).alias(name)
            for name, dtype in self._schema.items()
        )


def _all_of(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


def _try_out(rows: pl.LazyFrame) -> None:
    """Read all rows and keep none; raises what goes wrong with any."""
    rows.select(pl.all().null_count()).collect(engine="streaming")
