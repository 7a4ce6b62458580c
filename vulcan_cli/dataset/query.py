"""Rows of many shards as one lazy frame: the catalog narrows, the parquet scan does the rest.

Shards are read a batch at a time, in the order of their paths. A shard that cannot be read is left
out and noted; so nothing that stands in one file can fail a query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars.io.plugins import register_io_source

from vulcan_cli.dataset.catalog import SCHEMA, Catalog
from vulcan_cli.dataset.columns import check_columns, unite
from vulcan_cli.dataset.filters import (
    Filters,
    check_condition,
    explain_sql,
    first_line,
    sort_columns,
)
from vulcan_cli.dataset.memory import Memory
from vulcan_cli.dataset.prune import may_match
from vulcan_cli.dataset.ranges import Wanted
from vulcan_cli.errors import BadShard, ColumnClash, UsageError
from vulcan_cli.vacua.schema import DTYPES

Progress = Callable[[int, int], None]
"""Told how many shards are read, and of how many; 0 where reading begins."""

# Polars would obey, on a copy in memory, and say nothing.
_CHANGES = {"alter", "create", "delete", "drop", "insert", "truncate", "update"}
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(\w+)", re.DOTALL)

# What is read where rows are only counted: Polars takes the column that costs least.
_CHEAPEST = "\0"

# What one batch holds at most: enough to keep every core busy, little enough to hold in memory.
_BATCH_FILES = 256
_BATCH_ROWS = 50_000
_FIRST_BROUGHT = 8
# Rows of a larger shard are handed over in pieces of so many: those of a row group of Polars.
_PIECE_ROWS = 262_144

_TROUBLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """The rows that were asked for, not yet read.

    Attributes:
        rows: The result. Collect it with `engine="streaming"`, so that a limit stops the reading.
        shards: The shards it is about; those whose bounds rule out a match are not read.
        clashes: Columns that no one type holds, left out of `rows`.
        n_rows: How many rows there are, where the catalog tells.
    """

    rows: pl.LazyFrame
    shards: Catalog
    clashes: Mapping[str, ColumnClash]
    n_rows: int | None
    _unreadable: dict[Path, BadShard]

    @property
    def bad(self) -> tuple[BadShard, ...]:
        """Shards left out: at once those of the catalog; after reading, those that failed too."""
        return (*self.shards.bad, *self._unreadable.values())


def query(
    catalog: Catalog,
    filters: Filters,
    *,
    memory: Memory | None = None,
    leave_out_clashes: bool = False,
    progress: Progress = lambda *_: None,
) -> Query:
    """Prepare the rows of the catalog's shards that meet the filters.

    A row whose shard lacks a column that a filter asks for does not match. Where no shard is
    left, the result is empty, with the columns of the whole catalog (an empty one: all known).

    Args:
        catalog: The shards there are.
        filters: Which rows of them.
        memory: Holds shards between queries, where few are asked for.
        leave_out_clashes: Leave columns that no one type holds out of all columns.
        progress: Told, while rows are read, of how many shards, and of how many.

    Raises:
        UsageError: A filter names no column, or `where` is no condition.
        ColumnClash: No one type holds a column that is asked for.
    """
    known = _known_columns(catalog)
    order = sort_columns(filters.sort)
    check_columns((*(filters.columns or ()), *order), list(known))
    condition = filters.on_rows(list(known))
    asked = frozenset(condition.meta.root_names() if condition is not None else ())
    shards = catalog.where(filters.on_shards()).with_columns(asked)

    used = asked.union(filters.columns or (), order)
    found, clashes = _union(shards, catalog, known, None if filters.columns is None else used)
    for name, clash in clashes.items():
        if name in used or not leave_out_clashes:
            raise clash
    schema = pl.Schema({**{name: known[name] for name in known if name in used}, **found})
    if condition is not None and filters.where is not None:
        check_condition(condition, pl.Schema({**known, **schema}), filters.where)
    unreadable: dict[Path, BadShard] = {}
    may = may_match(filters)
    read = shards.where(may)
    # Only the scan of files can tell which shard fails a person's own condition.
    held = memory.rows(read, schema) if memory is not None and filters.where is None else None
    rows = _scan(read, schema, may, unreadable, progress) if held is None else held
    rows = rows if condition is None else rows.filter(condition)
    counted = _counted(shards, filters.limit) if condition is None else None
    result = list(found if filters.columns is None else filters.columns)
    return Query(
        _arranged(rows, order, result, filters.limit), shards, clashes, counted, unreadable
    )


def query_sql(
    catalog: Catalog,
    filters: Filters,
    statement: str,
    *,
    progress: Progress = lambda *_: None,
) -> Query:
    """Prepare a statement in Polars SQL over the rows that meet the filters.

    Args:
        catalog: The shards there are.
        filters: Which rows of them.
        statement: What to make of these.
        progress: As for `query`.

    Raises:
        UsageError: As `query` and `run_sql`.
        ColumnClash: It asks for a column that no one type holds.
    """
    answer = query(catalog, filters, leave_out_clashes=True, progress=progress)
    if answer.clashes:
        _check_columns_read(statement, answer)
    # Nulls that nobody reads stand for them, so that a statement may leave them out by name.
    rows = answer.rows.with_columns(pl.lit(None).alias(name) for name in answer.clashes)
    return replace(answer, rows=run_sql(rows, statement), n_rows=None)


def _check_columns_read(statement: str, answer: Query) -> None:
    """Raise the clash of a column that a statement reads, be it with the one type or the other."""
    held = answer.rows.collect_schema()
    failed = None
    for side in (0, 1):
        types = {name: clash.types[side] for name, clash in answer.clashes.items()}
        try:
            read = _columns_read(statement, pl.Schema({**held, **types, _CHEAPEST: pl.Null()}))
        except UsageError as error:
            failed = error
            continue
        for name in read:
            if name in answer.clashes:
                raise answer.clashes[name]
        return
    assert failed is not None
    raise failed


def _columns_read(statement: str, schema: pl.Schema) -> list[str]:
    """The columns of a table that a statement reads."""
    read: list[str] = []

    def no_rows(names: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
        wanted = list(schema) if names is None else names
        read.extend(wanted)
        yield pl.DataFrame(schema={name: schema[name] for name in wanted})

    run_sql(register_io_source(no_rows, schema=schema), statement).collect()
    return read


def run_sql(rows: pl.LazyFrame, statement: str) -> pl.LazyFrame:
    """Run a statement in Polars SQL over the table `vacua`; elements of lists count from 1.

    Raises:
        UsageError: It cannot be parsed, names no column, or would change something.
    """
    word = _FIRST_WORD.match(statement)
    if word is not None and word[1].lower() in _CHANGES:
        raise UsageError(f"sql: {word[1]} is refused: shards are only read, as by SELECT")
    try:
        result = pl.SQLContext({"vacua": rows}, register_globals=False).execute(statement)
        result.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise UsageError(explain_sql(statement, error, list(rows.collect_schema()))) from error
    return result


def _counted(shards: Catalog, limit: int | None) -> int:
    n_rows = int(shards.rows["n_rows"].sum())
    return n_rows if limit is None else min(n_rows, limit)


def _arranged(
    rows: pl.LazyFrame, order: dict[str, bool], columns: list[str], limit: int | None
) -> pl.LazyFrame:
    if order:
        descending = list(order.values())
        rows = rows.sort(list(order), descending=descending, nulls_last=True, maintain_order=True)
    rows = rows.select(columns)
    return rows if limit is None else rows.head(limit)


def _known_columns(catalog: Catalog) -> pl.Schema:
    """All columns that can be asked for. Where types clash, any: a result is typed on its own."""
    everywhere = {name: dtype for schema in catalog.schemas for name, dtype in schema.items()}
    return pl.Schema({**DTYPES, **dict(sorted({**everywhere, **DTYPES}.items()))})


def _union(
    shards: Catalog, catalog: Catalog, known: pl.Schema, only: frozenset[str] | None
) -> tuple[pl.Schema, dict[str, ColumnClash]]:
    """Columns of the shards; where there are no shards, those of the catalog, or all known."""
    if not shards.rows.is_empty():
        return unite(shards.examples(), only=only)
    held = {name for schema in catalog.schemas for name in schema} or set(known)
    chosen = held if only is None else only
    return pl.Schema({name: dtype for name, dtype in known.items() if name in chosen}), {}


class _Batch(NamedTuple):
    """Shards that are read in one scan.

    Attributes:
        files: Their files, in order.
        stored: Their common schema where it must be cast, None where it can be read as it is.
        n_rows: How many rows they have together.
    """

    files: list[str]
    stored: pl.Schema | None
    n_rows: int = 0


def _scan(
    shards: Catalog,
    schema: pl.Schema,
    may: pl.Expr,
    unreadable: dict[Path, BadShard],
    progress: Progress,
) -> pl.LazyFrame:
    """All rows of the shards under one schema. What cannot be read is noted in `unreadable`."""

    def batches(
        names: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = list(schema) if names is None else names
        reader = _Reader(schema, wanted, predicate, unreadable)
        of_large = Wanted(tuple(reader.columns), may, n_rows)
        batches = _batches(shards, schema, of_large, unreadable)
        yield from reader.read_all(_told(batches, shards.rows.height, progress), n_rows)

    return register_io_source(batches, schema=schema, is_pure=True)


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
    batch = _Batch([], None)
    for file, number, rows in _located(shards, wanted):
        if isinstance(file, BadShard):
            unreadable[file.path] = file
            continue
        full = len(batch.files) == _BATCH_FILES or batch.n_rows + rows > _BATCH_ROWS
        if batch.files and (full or batch.stored is not stored[number]):
            yield batch
            batch = _Batch([], None)
        batch = _Batch([*batch.files, str(file)], stored[number], batch.n_rows + rows)
    if batch.files:
        yield batch


def _located(shards: Catalog, wanted: Wanted) -> Iterator[tuple[Path | BadShard, int, int]]:
    """A local file, the number of the schema and of the rows of each shard."""
    # What is away is brought in parts that grow, as a limit may stop the reading soon.
    start, size = 0, _FIRST_BROUGHT if shards.away else _BATCH_FILES
    while start < shards.rows.height:
        part = replace(shards, rows=shards.rows.slice(start, size))
        told = part.rows.select(SCHEMA, "n_rows").iter_rows()
        for file, (number, rows) in zip(part.files(wanted), told, strict=True):
            yield file, number, rows
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
        """Rows of all batches; of the first `n_rows` rows where that is given."""
        for batch in batches:
            for frame in self._read(batch, n_rows):
                if n_rows is None:
                    yield frame
                    continue
                taken = frame.head(n_rows)
                n_rows -= taken.height
                yield self._matching(taken.lazy()).collect()
                if not n_rows:
                    return

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
            yield kept(rows if n_rows is None else rows.head(n_rows)).collect()
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
        try:
            own = batch._replace(stored=pl.Schema(pl.read_parquet_schema(file)))
            _try_out(self._rows(own))
        except _TROUBLE as failure:
            self._leave_out(file, failure)
            return
        try:
            yield from self._frames(own, n_rows)
        except pl.exceptions.PolarsError as failure:
            raise UsageError(f"the condition fails: {first_line(error)}") from failure

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
            (pl.col(name) if name in batch.stored else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in self._schema.items()
        )


def _all_of(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


def _try_out(rows: pl.LazyFrame) -> None:
    """Read all rows and keep none; raises what goes wrong with any."""
    rows.select(pl.all().null_count()).collect(engine="streaming")
