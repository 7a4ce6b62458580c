"""Casts without loss: each returns the values and marks every cell that has no exact one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

_EXACT_IN_FLOAT = 2**53
_TRUE = ("true", "True", "TRUE", "1")
_FALSE = ("false", "False", "FALSE", "0")
_SEPARATORS = r"\s*,\s*|\s+"


@dataclass(frozen=True, slots=True)
class Cast:
    """A column after its cast.

    Attributes:
        values: The cells in their new type, null where `inexact`.
        inexact: True for each cell that cannot be had in that type without loss.
        wanted: What such a cell should have been, in words.
    """

    values: pl.Series
    inexact: pl.Series
    wanted: str


class UncastableError(TypeError):
    """No cell of this type can become the type wanted."""


def cast(series: pl.Series, dtype: pl.DataType) -> Cast:
    """Cast a column of plain cells (no lists) to one of the types of a shard.

    Raises:
        UncastableError: The two types have nothing to do with each other.
    """
    if series.dtype == pl.Null:
        return Cast(series.cast(dtype), _never(series), "")
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if dtype.is_integer():
        return _to_integer(series, dtype)
    if dtype.is_float():
        return _to_float(series, dtype)
    return _OTHERS[dtype.base_type()](series)


@dataclass(frozen=True, slots=True)
class Flat:
    """A column of lists and the cells in them.

    Attributes:
        lists: The lists, with numbers in them where they came as text.
        cells: Every entry of every list, one after the other, as it came.
        rows: The row of each cell, counted from 1.
    """

    lists: pl.Series
    cells: pl.Series
    rows: pl.Series


def flatten(series: pl.Series) -> Flat:
    """Take a column of lists apart. Text such as `[1, -2, 3]` or `1 -2 3` counts as a list.

    Raises:
        UncastableError: These are no lists.
    """
    lists = _as_lists(series)
    lengths = lists.list.len().fill_null(0)
    rows = pl.int_range(1, len(lists) + 1, eager=True).repeat_by(lengths).filter(lengths > 0)
    cells = lists.filter(lengths > 0).explode()
    if cells.dtype == pl.String:
        # Flux fits into a float exactly, and every other list holds floats.
        lists = lists.cast(pl.List(pl.Float64), strict=False)
    return Flat(lists, cells, rows.explode())


def _as_lists(series: pl.Series) -> pl.Series:
    if series.dtype == pl.Null:
        return series.cast(pl.List(pl.Null))
    if series.dtype == pl.String:
        return _split(series)
    if isinstance(series.dtype, pl.Array):
        series = series.arr.to_list()
    if not isinstance(series.dtype, pl.List):
        raise UncastableError("must be numbers")
    if series.dtype.inner == pl.String:
        return series.list.eval(pl.element().str.strip_chars())
    return series


def _split(series: pl.Series) -> pl.Series:
    """Text as lists of text. What is no list leaves a piece that is no number."""
    bare = series.str.strip_chars().str.replace(r"(?s)^\[(.*)\]$", "$1").str.strip_chars()
    pieces = bare.str.replace_all(_SEPARATORS, ",").str.split(",")
    nothing = pl.Series([[]], dtype=pl.List(pl.String))
    return pieces.zip_with(bare.ne_missing(""), nothing)


def _to_integer(series: pl.Series, dtype: pl.DataType) -> Cast:
    lowest, highest = _limits(dtype)
    wanted = f"must be an integer from {lowest} to {highest}"
    if series.dtype == pl.String:
        series = _numbers(series)
    if not series.dtype.is_numeric():
        raise UncastableError(wanted)
    values = series.cast(dtype, strict=False)
    fits = series.is_between(lowest, highest)
    if not series.dtype.is_integer():
        fits = fits & (values.cast(series.dtype, strict=False) == series)
    return _checked(values, series, fits, wanted)


def _numbers(series: pl.Series) -> pl.Series:
    """Text as integers where all of it is, else as floats; NaN for what is no number."""
    text = series.str.strip_chars()
    integers = text.cast(pl.Int64, strict=False)
    if integers.null_count() == text.null_count():
        return integers
    numbers = text.cast(pl.Float64, strict=False)
    # Beyond 2^53 a float may hide a rounding: such text is no exact integer here.
    exact = numbers.is_between(-_EXACT_IN_FLOAT, _EXACT_IN_FLOAT).fill_null(value=False)
    nan = pl.Series([float("nan")])
    return numbers.zip_with(exact | text.is_null(), nan)


def _to_float(series: pl.Series, dtype: pl.DataType) -> Cast:
    wanted = "must be a number"
    if series.dtype == pl.String:
        text = series.str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False)
        return _checked(numbers.cast(dtype), series, numbers.is_not_null(), wanted)
    if not series.dtype.is_numeric():
        raise UncastableError(wanted)
    values = series.cast(dtype)
    if dtype == pl.Float32 or series.dtype.is_float():
        fits = values.is_infinite() == series.cast(pl.Float64).is_infinite()
        return _checked(values, series, fits, "must not overflow 32 bits")
    # Large integers and decimals: exact only if the way back gives the same.
    fits = values.cast(series.dtype, strict=False) == series
    return _checked(values, series, fits, "must be exact as a 64-bit float")


def _to_boolean(series: pl.Series) -> Cast:
    wanted = "must be true or false"
    if series.dtype == pl.Boolean:
        return Cast(series, _never(series), wanted)
    if series.dtype == pl.String or series.dtype.is_integer():
        text = series.cast(pl.String).str.strip_chars()
        return _checked(text.is_in(_TRUE), series, text.is_in(_TRUE + _FALSE), wanted)
    raise UncastableError(wanted)


def _to_string(series: pl.Series) -> Cast:
    if series.dtype == pl.String or series.dtype.is_integer():
        return Cast(series.cast(pl.String), _never(series), "")
    raise UncastableError("must be text")


def _to_time(series: pl.Series) -> Cast:
    wanted = "must be a time such as 2026-06-01T12:34:56Z"
    utc = pl.Datetime("us", "UTC")
    if series.dtype == pl.String:
        values = _times(series)
        return _checked(values, series, values.is_not_null(), wanted)
    if series.dtype == pl.Date:
        return Cast(series.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), _never(series), "")
    if not isinstance(series.dtype, pl.Datetime):
        raise UncastableError(wanted)
    zoned = series.dt.convert_time_zone("UTC") if series.dtype.time_zone else series
    values = zoned.dt.replace_time_zone("UTC").cast(utc)
    same = values.dt.timestamp("ns") == zoned.dt.timestamp("ns")
    return _checked(values, series, same, "must be a whole number of microseconds")


def _times(series: pl.Series) -> pl.Series:
    """ISO 8601 text as UTC; a time without a zone is taken for UTC."""
    text = series.str.strip_chars().str.replace(r"[Zz]$", "+00:00")
    zoned = text.str.contains(r"[+-][0-9]{2}:?[0-9]{2}$").fill_null(value=False)
    whole = text.zip_with(zoned, text + "+00:00").str.replace(" ", "T", literal=True)
    return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)


_OTHERS: dict[object, Callable[[pl.Series], Cast]] = {
    pl.Boolean: _to_boolean,
    pl.String: _to_string,
    pl.Datetime: _to_time,
}


def _checked(values: pl.Series, before: pl.Series, fits: pl.Series, wanted: str) -> Cast:
    inexact = before.is_not_null() & ~(fits.fill_null(value=False) & values.is_not_null())
    return Cast(values, inexact, wanted)


def _never(series: pl.Series) -> pl.Series:
    return pl.repeat(False, len(series), dtype=pl.Boolean, eager=True)


def _limits(dtype: pl.DataType) -> tuple[int, int]:
    bits = 32 if dtype == pl.Int32 else 64
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
