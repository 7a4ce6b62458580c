"""The columns of a frame that hold text, also inside lists and structs, and secrets in them."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from vulcan_cli.vacua import secrets
from vulcan_cli.vacua.arrow_ipc import inner, instance


def holds_text(dtype: pl.DataType) -> bool:
    """Whether cells of this type hold text, at whatever depth."""
    if isinstance(dtype, pl.List | pl.Array):
        return holds_text(inner(dtype))
    if isinstance(dtype, pl.Struct):
        return any(holds_text(instance(field.dtype)) for field in dtype.fields)
    return dtype in (pl.String, pl.Binary, pl.Categorical, pl.Enum)


def columns_with_secrets(frame: pl.DataFrame) -> list[str]:
    """The columns in whose text something looks like a token."""
    return [
        series.name
        for series in frame
        # Most text repeats from row to row: a solver's name, a commit.
        if any(text.unique().str.contains(secrets.PATTERN).any() for text in _texts(series))
    ]


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
        for part in series.struct.unnest():
            yield from _texts(part)
