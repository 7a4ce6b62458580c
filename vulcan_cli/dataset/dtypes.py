"""Types of columns: spelled as JSON, read again, refused where Polars names what it cannot hold.

A simple type is spelled by its name, any other by a list: its kind, and what that kind needs. Both
what is read here and what stands in the footers of strangers can say anything.
"""

from __future__ import annotations

import polars as pl

from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.held import check_held
from vulcan_cli.vacua.nesting import MOST

# An array of more is no column of vacua.
_MOST_WIDE = 1 << 20

_SIMPLE: dict[str, pl.DataType] = {
    str(dtype): dtype
    for dtype in (
        *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.Int128()),
        *(pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64(), pl.UInt128()),
        *(pl.Float16(), pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Binary()),
        *(pl.Date(), pl.Time(), pl.Null(), pl.Categorical()),
    )
}


def spell(dtype: pl.DataType) -> object:
    """A type as JSON; None for one that `read` would not give back."""
    word = _word(dtype)
    try:
        return word if read(word) == dtype else None
    except ValueError:
        return None


def read(word: object) -> pl.DataType:
    """The type that `spell` spelled.

    Raises:
        ValueError: It spelled none, or one that cannot be held.
    """
    try:
        dtype = _read(word, MOST)
    except (KeyError, pl.exceptions.PolarsError) as error:
        raise ValueError("it spells no type") from error
    check_held(dtype)
    return dtype


def _word(dtype: pl.DataType) -> object:  # noqa: PLR0911  (a case a type)
    match dtype:
        case pl.Datetime():
            return ["Datetime", dtype.time_unit, dtype.time_zone]
        case pl.Duration():
            return ["Duration", dtype.time_unit]
        case pl.Decimal():
            return ["Decimal", dtype.precision, dtype.scale]
        case pl.Enum():
            return ["Enum", dtype.categories.to_list()]
        case pl.List():
            return ["List", _word(arrow_ipc.inner(dtype))]
        case pl.Array():
            return ["Array", _word(arrow_ipc.inner(dtype)), dtype.shape[0]]
        case pl.Struct():
            inner = {each.name: arrow_ipc.instance(each.dtype) for each in dtype.fields}
            return ["Struct", [[name, _word(of)] for name, of in inner.items()]]
        case _:
            return str(dtype)


def _read(word: object, levels: int) -> pl.DataType:  # noqa: C901, PLR0911  (a case a type)
    if not levels:
        raise ValueError("types in types without end")
    match word:
        case str():
            return _SIMPLE[word]
        case ["Datetime", "ms" | "us" | "ns" as unit, None]:
            return pl.Datetime(unit)
        case ["Datetime", "ms" | "us" | "ns" as unit, str() as zone] if zone:
            arrow_ipc.check_zone(zone)
            return pl.Datetime(unit, zone)
        case ["Duration", "ms" | "us" | "ns" as unit]:
            return pl.Duration(unit)
        case ["Decimal", int() as precision, int() as scale]:
            return pl.Decimal(precision, scale)
        case ["Enum", [*categories]] if all(isinstance(each, str) for each in categories):
            return pl.Enum([*map(str, categories)])
        case ["List", inner]:
            return pl.List(_read(inner, levels - 1))
        case ["Array", inner, int() as width] if 0 < width <= _MOST_WIDE:
            return pl.Array(_read(inner, levels - 1), width)
        case ["Struct", [*fields]]:
            return pl.Struct([_field(field, levels - 1) for field in fields])
        case _:
            raise ValueError("it spells no type")


def _field(word: object, levels: int) -> pl.Field:
    match word:
        case [str() as name, inner]:
            return pl.Field(name, _read(inner, levels))
        case _:
            raise ValueError("it spells no field")
