"""Columns as most solvers write them: cast and found good with as few calls as possible.

What a shard of 1,000 rows costs is the number of calls of Polars, not the rows. `conform` needs
some ten for a column, because it can name every wrong cell. Here it is only told that no cell is
wrong; of whatever is not so plain, `conform` finds out what it is in its own way.
"""

from __future__ import annotations

import math

import polars as pl

from vulcan_cli.vacua.arrow_ipc import inner
from vulcan_cli.vacua.schema import CERT_STATUSES, DTYPES, REQUIRED
from vulcan_cli.vacua.text_columns import holds_secret


def usual_column(series: pl.Series) -> pl.Series | None:
    """A known column in its type, where its own is that or a list or number of other integers.

    None where it is not so plain, and where something may be wrong with it.
    """
    wanted = DTYPES[series.name]
    if not _is_near(series.dtype, wanted):
        return None
    try:
        column = series if series.dtype == wanted else series.cast(wanted)
    except pl.exceptions.PolarsError:  # an integer out of range, also in a list
        return None
    return column if _is_good(column) else None


def _is_near(dtype: pl.DataType, wanted: pl.DataType) -> bool:
    if isinstance(dtype, pl.List) and isinstance(wanted, pl.List):
        return _is_near(inner(dtype), inner(wanted))
    both_integers = dtype.is_integer() and wanted.is_integer()
    # The years of a time are looked at even where its type is right.
    return both_integers or (dtype == wanted and not dtype.is_temporal())


def _is_good(column: pl.Series) -> bool:
    """Whether nothing can be wrong with a column of the right type."""
    if column.name == "cert_status" and not column.is_in(CERT_STATUSES).all():
        return False
    if column.dtype == pl.String and holds_secret(column):
        return False
    if column.name not in REQUIRED:
        return True
    is_list = isinstance(column.dtype, pl.List)
    cells = column.explode(empty_as_null=True) if is_list else column
    if cells.null_count():
        return False
    # Whatever is added to NaN or to an infinity, the sum is one of them.
    if cells.dtype.is_float() and not math.isfinite(cells.sum()):
        return False
    return column.name != "tau_im" or bool((cells > 0).all())
