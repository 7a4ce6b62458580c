"""The catalog as a table for people: which of its rows, which columns, and sums over groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import and_

import polars as pl

from vulcan_cli.dataset.catalog import COLUMNS, SCHEMA, Catalog
from vulcan_cli.dataset.columns import check_columns
from vulcan_cli.dataset.filters import Filters, sort_columns
from vulcan_cli.dataset.query import Query, arranged, query
from vulcan_cli.dataset.sql import checked_where
from vulcan_cli.errors import UsageError

PRESENT = "columns"
"""One further column of the inventory: the names of the shard's own columns."""

AVAILABLE = (*COLUMNS, PRESENT)
"""Columns of the inventory, in their order."""

SUMS = ("shards", "n_rows", "bytes")
"""What is told of each group."""


def inventory(
    catalog: Catalog, filters: Filters, *, by: Sequence[str] = ()
) -> tuple[pl.LazyFrame, Query]:
    """One row for each shard that may be asked for, or for each group of them.

    A filter on rows leaves the shards that hold at least one such row. `where`, `columns` and
    `sort` are about columns of the inventory.

    Args:
        catalog: The shards there are.
        filters: Which of them, and how to tell.
        by: Columns to group by, such as `h12`; then `SUMS` follow them.

    Returns:
        The table, and the shards it is about.

    Raises:
        UsageError: A filter names no column, or `where` is no condition; groups are of a column
            that is named twice or summed.
    """
    _check_names(filters, by)
    identity = ("run_id", "geometry_id")
    answer = query(catalog, replace(filters, where=None, columns=identity, sort=(), limit=None))
    rows = answer.shards.rows.lazy()
    if _looks_at_rows(filters):
        held = answer.rows.unique().collect(engine="streaming")
        rows = rows.join(held.lazy(), on=identity, how="semi", maintain_order="left")
    table = rows.join(_present(catalog), on=SCHEMA, how="left", maintain_order="left").drop(SCHEMA)
    table = table.filter(_condition(filters.conditions))
    if by:
        table = _summed(table, by)
    columns = filters.columns or ((*by, *SUMS) if by else AVAILABLE)
    return arranged(table, sort_columns(filters.sort), list(columns), filters.limit), answer


def _check_names(filters: Filters, by: Sequence[str]) -> None:
    """Make sure that columns are there: of the catalog, or of the sums of its groups."""
    check_columns([name for name in by if name not in SUMS], AVAILABLE)
    for place, name in enumerate(by):
        if name in SUMS:
            raise UsageError(f"{name} is summed in each group; group by another column")
        if name in by[:place]:
            raise UsageError(f"the column {name} is named twice")
    chosen = (*(filters.columns or ()), *sort_columns(filters.sort))
    check_columns(chosen, (*by, *SUMS) if by else AVAILABLE)


def _looks_at_rows(filters: Filters) -> bool:
    flags = (filters.is_susy, filters.is_isd)
    return bool(filters.solver_name) or any(flag is not None for flag in flags)


def _present(catalog: Catalog) -> pl.LazyFrame:
    """The number of each schema and the names of its columns."""
    names = [list(schema) for schema in catalog.schemas]
    return pl.LazyFrame(
        {SCHEMA: range(len(names)), PRESENT: names},
        schema={SCHEMA: pl.UInt32, PRESENT: pl.List(pl.String)},
    )


def _condition(conditions: Sequence[str]) -> pl.Expr:
    """What holds where all conditions do."""
    schema = pl.Schema({**COLUMNS, PRESENT: pl.List(pl.String)})
    checked = (checked_where(text, schema) for text in conditions)
    return reduce(and_, checked, pl.lit(value=True))


def _summed(table: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    return (
        table.group_by(by)
        .agg(pl.len().cast(pl.Int64).alias("shards"), pl.col("n_rows").sum(), pl.col("bytes").sum())
        .sort(by)
    )
