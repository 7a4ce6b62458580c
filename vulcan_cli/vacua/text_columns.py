"""Secrets in the text of a column, also inside lists and structs, and in names of their fields."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from vulcan_cli.vacua import secrets


def holds_secret(series: pl.Series) -> bool:
    """Whether something in the text of a column, or the name of a field, looks like a token."""
    return any(map(_has_secret, _texts(series)))


def _has_secret(text: pl.Series) -> bool:
    # Most text is the same in all rows, or repeats: a solver's name, a commit.
    least = text.min()
    if least == text.max():
        return isinstance(least, str) and secrets.looks_secret(least)
    return bool(text.unique().str.contains(secrets.PATTERN).any())


def _texts(series: pl.Series) -> Iterator[pl.Series]:
    if series.dtype in (pl.Categorical, pl.Enum):
        yield series.cast(pl.String)
    elif series.dtype == pl.String:
        yield series
    elif series.dtype == pl.Binary:
        # NumPy's fixed-size text comes as bytes, and Polars only reads those that are UTF-8.
        cells = series.drop_nulls().unique()
        yield pl.Series([cell.decode(errors="replace") for cell in cells], dtype=pl.String)
    elif isinstance(series.dtype, pl.List):
        yield from _texts(series.explode())
    elif isinstance(series.dtype, pl.Array):
        yield from _texts(series.arr.explode())
    elif isinstance(series.dtype, pl.Struct):
        yield pl.Series([field.name for field in series.dtype.fields], dtype=pl.String)
        for part in series.struct.unnest():
            yield from _texts(part)
