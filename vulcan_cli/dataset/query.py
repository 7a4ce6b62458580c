"""Which rows of which shards: the catalog narrows, `scan.py` reads, a condition or SQL decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from vulcan_cli.dataset.catalog import Catalog, Progress, untold
from vulcan_cli.dataset.columns import check_columns, unite
from vulcan_cli.dataset.filters import Filters, sort_columns
from vulcan_cli.dataset.memory import Memory
from vulcan_cli.dataset.prune import may_match
from vulcan_cli.dataset.scan import scan
from vulcan_cli.dataset.sql import checked_where, columns_read, run_sql
from vulcan_cli.errors import BadShard, ColumnClash, UsageError
from vulcan_cli.vacua.schema import DTYPES


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
        # Several are read at once, so the first that failed need not be the first in order.
        failed = [self._unreadable[path] for path in sorted(self._unreadable)]
        return (*self.shards.bad, *failed)


def query(
    catalog: Catalog,
    filters: Filters,
    *,
    memory: Memory | None = None,
    leave_out_clashes: bool = False,
    progress: Progress = untold,
    to_write: bool = False,
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
        to_write: As for `scan`.

    Raises:
        UsageError: A filter names no column, or one of `where` is no condition.
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
    # Found first: shards that are in memory stay as they are where their order is that of `schema`.
    lacking = {name: known[name] for name in known if name in used and name not in found}
    schema = pl.Schema({**found, **lacking})
    for text in filters.conditions:
        checked_where(text, pl.Schema({**known, **schema}))
    unreadable: dict[Path, BadShard] = {}
    may = may_match(filters)
    read = shards.where(may)
    # Only the scan of files can tell which shard fails a person's own condition.
    held = memory.rows(read, schema) if memory is not None and not filters.conditions else None
    if held is None:
        held = scan(read, schema, may, unreadable, progress, to_write=to_write)
    rows = held if condition is None else held.filter(condition)
    n_rows = _counted(shards, filters.limit) if condition is None else None
    result = list(found if filters.columns is None else filters.columns)
    return Query(arranged(rows, order, result, filters.limit), shards, clashes, n_rows, unreadable)


def query_sql(
    catalog: Catalog,
    filters: Filters,
    statement: str,
    *,
    progress: Progress = untold,
    to_write: bool = False,
) -> Query:
    """Prepare a statement in Polars SQL over the rows that meet the filters.

    Args:
        catalog: The shards there are.
        filters: Which rows of them; `columns`, `sort` and `limit` are of the statement's result.
        statement: What to make of these.
        progress: As for `query`.
        to_write: As for `scan`.

    Raises:
        UsageError: As `query` and `run_sql`; or the result lacks a column that is asked for.
        ColumnClash: It asks for a column that no one type holds.
    """
    matching = replace(filters, columns=None, sort=(), limit=None)
    answer = query(catalog, matching, leave_out_clashes=True, progress=progress, to_write=to_write)
    if answer.clashes:
        _check_columns_read(statement, answer)
    # Nulls that nobody reads stand for them, so that a statement may leave them out by name.
    rows = answer.rows.with_columns(pl.lit(None).alias(name) for name in answer.clashes)
    result = run_sql(rows, statement)
    held = list(result.collect_schema())
    order = sort_columns(filters.sort)
    check_columns((*(filters.columns or ()), *order), held, of_result=True)
    rows = arranged(result, order, list(filters.columns or held), filters.limit)
    return replace(answer, rows=rows, n_rows=None)


def _check_columns_read(statement: str, answer: Query) -> None:
    """Raise the clash of a column that a statement reads, be it with the one type or the other."""
    held = answer.rows.collect_schema()
    failed = None
    for side in (0, 1):
        types = {name: clash.types[side] for name, clash in answer.clashes.items()}
        try:
            read = columns_read(statement, {**held, **types})
        except UsageError as error:
            failed = error
            continue
        for name in read:
            if name in answer.clashes:
                raise answer.clashes[name]
        return
    assert failed is not None
    raise failed


def _counted(shards: Catalog, limit: int | None) -> int:
    n_rows = int(shards.rows["n_rows"].sum())
    return n_rows if limit is None else min(n_rows, limit)


def arranged(
    rows: pl.LazyFrame, order: dict[str, bool], columns: list[str], limit: int | None
) -> pl.LazyFrame:
    """Rows sorted, with these columns, and at most so many.

    Args:
        rows: The rows.
        order: Column to whether it descends; nulls last.
        columns: The columns, in their order.
        limit: How many rows; None for all.
    """
    if order:
        descending = list(order.values())
        rows = rows.sort(list(order), descending=descending, nulls_last=True, maintain_order=True)
    rows = rows.select(columns)
    return rows if limit is None else rows.head(limit)


def _known_columns(catalog: Catalog) -> dict[str, pl.DataType]:
    """All columns that can be asked for. Where types clash, any: a result is typed on its own."""
    everywhere = {name: dtype for schema in catalog.schemas for name, dtype in schema.items()}
    return {**DTYPES, **dict(sorted({**everywhere, **DTYPES}.items()))}


def _union(
    shards: Catalog,
    catalog: Catalog,
    known: Mapping[str, pl.DataType],
    only: frozenset[str] | None,
) -> tuple[pl.Schema, dict[str, ColumnClash]]:
    """Columns of the shards; where there are no shards, those of the catalog, or all known."""
    if not shards.rows.is_empty():
        return unite(shards.examples(), only=only)
    held = {name for schema in catalog.schemas for name in schema} or set(known)
    chosen = held if only is None else only
    return pl.Schema({name: dtype for name, dtype in known.items() if name in chosen}), {}
