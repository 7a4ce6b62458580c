"""Casts without loss: each returns the values and marks every cell that has no exact one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from vulcan_cli.vacua.arrow_ipc import with_inside

_MOST_DIGITS = 15
"""Decimal text this short has a float of its own: no other text as short shares it."""

_EXACT_IN_FLOAT = 2**53
"""Below this a float that is whole is that integer and no other."""

_FIRST = -62_135_596_800_000_000
_LAST = 253_402_300_799_999_999
"""The years 1 to 9999, which Python, too, can name, in microseconds from 1970."""

_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6}0{0,3})?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)
"""ISO 8601 to the microsecond. A leap second would move, and finer digits would go."""

_TRUE = ("true", "True", "TRUE", "1")
_FALSE = ("false", "False", "FALSE", "0")
_BRACKETS = (("[", "]"), ("(", ")"), ("{", "}"))


class Cast(NamedTuple):
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
    if series.dtype == dtype and not dtype.is_temporal():
        return Cast(series, _never(series), "")
    if series.dtype == pl.Null:
        return Cast(series.cast(dtype), _never(series), "")
    series = spelt_out(series)
    if dtype.is_integer():
        return _to_integer(series, dtype)
    if dtype.is_float():
        return _to_float(series, dtype)
    return _OTHERS[dtype.base_type()](series)


def spelt_out(series: pl.Series) -> pl.Series:
    """Categories, also inside lists and structs, as the text they stand for."""
    dtype = _without_categories(series.dtype)
    return series if series.dtype == dtype else series.cast(dtype)


class Flat(NamedTuple):
    """A column of lists and the cells in them.

    Attributes:
        lists: The lists, with numbers in them where they came as text.
        cells: Every entry of every list, one after the other, as it came.
    """

    lists: pl.Series
    cells: pl.Series

    def rows(self) -> pl.Series:
        """The row of each cell, counted from 1; worked out only where a cell is wrong."""
        numbers = pl.int_range(1, len(self.lists) + 1, eager=True)
        return entries(numbers.repeat_by(self.lists.list.len().fill_null(0)))


def flatten(series: pl.Series) -> Flat:
    """Take a column of lists apart. Text such as `[1, -2, 3]` or `1 -2 3` counts as a list.

    Raises:
        UncastableError: These are no lists.
    """
    # In one piece its entries are there already; of many, each step would copy them.
    lists = _as_lists(series).rechunk()
    cells = entries(lists)
    if cells.dtype == pl.String:
        # Flux fits into a float exactly, and every other list holds floats.
        lists = lists.cast(pl.List(pl.Float64), strict=False)
    return Flat(lists, cells)


def entries(lists: pl.Series) -> pl.Series:
    """What is in lists, one after the other; null and empty lists have nothing in them."""
    return lists.explode(empty_as_null=False, keep_nulls=False)


def _as_lists(series: pl.Series) -> pl.Series:
    series = spelt_out(series)
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
    text = series.str.strip_chars()
    bare = text
    for opening, closing in _BRACKETS:
        framed = text.str.starts_with(opening) & text.str.ends_with(closing)
        if framed.any():
            inside = text.str.strip_prefix(opening).str.strip_suffix(closing).str.strip_chars()
            bare = inside.zip_with(framed, bare)
    # A regular expression takes as long as all the rest: only where the usual `, ` is not all.
    cells = bare.str.replace_all(", ", ",", literal=True)
    if cells.str.contains(r"\s").any():
        commas = bare.str.replace_all(r"\s*,\s*", ",")
        spaces = bare.str.replace_all(r"\s+", ",")
        # Never both: of `0,5 1,5`, only who wrote it knows whether these are two numbers or four.
        cells = commas.zip_with(bare.str.contains(",", literal=True), spaces)
    pieces = cells.str.split(",")
    if bare.str.contains("null", literal=True).any():
        pieces = pieces.list.eval(pl.element().replace("null", None))
    nothing = pl.Series([[]], dtype=pl.List(pl.String))
    return pieces.zip_with(bare.ne_missing(""), nothing)


def _to_integer(series: pl.Series, dtype: pl.DataType) -> Cast:
    bits = 32 if dtype == pl.Int32 else 64
    wanted = f"must be an integer from {-(2 ** (bits - 1))} to {2 ** (bits - 1) - 1}"
    source = _integers(series) if series.dtype == pl.String else series
    if not source.dtype.is_numeric():
        raise UncastableError(wanted)
    values = source.cast(dtype, strict=False)
    if source.dtype.is_integer():
        return _checked(values, series, values.is_not_null(), wanted)
    fits = values.cast(source.dtype, strict=False) == source
    if source.dtype.is_float() and bits == 64:
        # A large float is whole, but may be the rounding of another integer.
        fits = fits & (source.abs() < _EXACT_IN_FLOAT)
        wanted += ", and below 2^53 where it comes as a float"
    return _checked(values, series, fits, wanted)


def _integers(series: pl.Series) -> pl.Series:
    """The integers that text tells, `5`, `5.0` and `5e0` alike; null for all other text."""
    integers = _parsed(series, pl.Int64())
    if integers.null_count() == series.null_count():
        return integers
    short = series.str.strip_chars().str.replace(r"(\.[0-9]*?)0+([eE]|$)", "${1}${2}")
    numbers = short.cast(pl.Float64, strict=False)
    told = (short.str.len_bytes() <= _MOST_DIGITS) & (numbers.abs() < _EXACT_IN_FLOAT)
    whole = numbers.cast(pl.Int64, strict=False)
    exact = told & (whole.cast(pl.Float64) == numbers)
    return integers.fill_null(whole.set(~exact.fill_null(value=False), None))


def _parsed(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Text as numbers; null for what is none."""
    values = series.cast(dtype, strict=False)
    if values.null_count() == series.null_count():
        return values
    return series.str.strip_chars().cast(dtype, strict=False)


def _to_float(series: pl.Series, dtype: pl.DataType) -> Cast:
    wanted = f"must be a number within the range of a {32 if dtype == pl.Float32 else 64}-bit float"
    if series.dtype == pl.String:
        values = _parsed(series, pl.Float64()).cast(dtype)
        fits = ~values.is_infinite()
        if not fits.all():
            fits = fits | series.str.contains("(?i)inf")
        return _checked(values, series, fits, wanted)
    if not series.dtype.is_numeric():
        raise UncastableError(wanted)
    values = series.cast(dtype)
    if dtype == pl.Float32 or series.dtype.is_float():
        fits = values.is_infinite() == series.cast(pl.Float64).is_infinite()
        return _checked(values, series, fits, wanted)
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
    utc = pl.Datetime("us", "UTC")
    if series.dtype == pl.String:
        values, wanted = _times(series), "must be a time such as 2026-06-01T12:34:56Z"
        return _checked(values, series, _in_years(values), wanted)
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("ms"))
    if not isinstance(series.dtype, pl.Datetime):
        raise UncastableError("must be a time")
    # Stamps count from 1970 in UTC, whatever the zone; those without one are taken for UTC.
    stamps = series.cast(pl.Datetime(series.dtype.time_unit, "UTC"))
    values = stamps.cast(utc, strict=False)
    same = (values.cast(stamps.dtype, strict=False) == stamps) & _in_years(values)
    wanted = "must be a whole number of microseconds, in the years 1 to 9999"
    return _checked(values, series, same, wanted)


def _in_years(times: pl.Series) -> pl.Series:
    return times.to_physical().is_between(_FIRST, _LAST)


def _times(series: pl.Series) -> pl.Series:
    """ISO 8601 text as UTC; a time without a zone is taken for UTC."""
    text = series.str.strip_chars().str.to_uppercase()
    bare = text.set(~text.str.contains(_TIME), None).str.strip_suffix("Z")
    zoned = bare.str.contains(r"[+-][0-9]{2}:?[0-9]{2}$")
    whole = bare.zip_with(zoned, bare + "+00:00").str.replace(" ", "T", literal=True)
    return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)


_OTHERS: dict[object, Callable[[pl.Series], Cast]] = {
    pl.Boolean: _to_boolean,
    pl.String: _to_string,
    pl.Datetime: _to_time,
}


def _checked(values: pl.Series, before: pl.Series, fits: pl.Series, wanted: str) -> Cast:
    inexact = before.is_not_null() & ~(fits.fill_null(value=False) & values.is_not_null())
    return Cast(values.set(inexact, None) if inexact.any() else values, inexact, wanted)


def _never(series: pl.Series) -> pl.Series:
    return pl.repeat(False, len(series), dtype=pl.Boolean, eager=True)


def _without_categories(dtype: pl.DataType) -> pl.DataType:
    if dtype in (pl.Categorical, pl.Enum):
        return pl.String()
    return with_inside(dtype, _without_categories)
