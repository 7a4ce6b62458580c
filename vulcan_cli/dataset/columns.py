"""Columns of many shards side by side: which there are, in which order, of which type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

import polars as pl

from vulcan_cli.errors import ColumnClash, UnknownColumn
from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.schema import DTYPES, in_order

_Column = TypeVar("_Column", pl.Expr, pl.Series)

MOST_NAMED = 50
"""So many columns an error lists; the known ones are fewer."""


def may_be_wide(dtypes: Iterable[pl.DataType]) -> bool:
    """Whether cells of one of the types may take many bytes: lists, structs and texts."""
    return any(dtype.is_nested() or dtype in (pl.String, pl.Binary) for dtype in dtypes)


def check_columns(
    names: Iterable[str], available: Sequence[str], *, of_result: bool = False
) -> None:
    """Raise UnknownColumn, with the nearest name, where one of `names` is not available."""
    for name in names:
        if name not in available:
            raise UnknownColumn(unknown_column(name, available), of_result=of_result)


def unknown_column(name: str, available: Sequence[str], *, place: str = "", hint: str = "") -> str:
    """One sentence that says which column is nearest to `name`, and which there are.

    Args:
        name: What no column is called.
        available: The columns.
        place: Where the name stands, such as `, at character 7`.
        hint: What to say in place of the nearest.
    """
    lowered = {column.lower(): column for column in available}
    parts = [part for part in (f"{name}_re", f"{name}_im") if part in available]
    near = parts or [
        lowered[word] for word in get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    ]
    told = f"{hint}; " if hint else f"did you mean {' or '.join(near)}? " if near else ""
    more = f" and {len(available) - MOST_NAMED} more" if len(available) > MOST_NAMED else ""
    columns = ", ".join(available[:MOST_NAMED])
    return f"there is no column {name!r}{place}: {told}columns are {columns}{more}"


def union(schemas: Mapping[str, Mapping[str, pl.DataType]]) -> pl.Schema:
    """All columns of several shards: known ones in their order and types, others by name.

    Args:
        schemas: A shard's name to its columns.

    Raises:
        ColumnClash: No one type holds a column that we do not know.
    """
    schema, clashes = unite(schemas)
    if clashes:
        raise next(iter(clashes.values()))
    return schema


def unite(
    schemas: Mapping[str, Mapping[str, pl.DataType]], *, only: frozenset[str] | None = None
) -> tuple[pl.Schema, dict[str, ColumnClash]]:
    """As `union`, with the columns that clash told apart.

    Numbers of several types become the narrowest that holds all their values exactly, times of
    several zones those of UTC, structs have the fields of all; a column of nulls takes any type.
    Arrays that some shard lacks become lists: its nulls would take the room of all their values.

    Args:
        schemas: A shard's name to its columns.
        only: Leave out all other columns.
    """
    found: dict[str, tuple[pl.DataType, str]] = {}
    pairs: dict[str, list[tuple[pl.DataType, str]]] = {}
    for shard, schema in schemas.items():
        for name, dtype in schema.items():
            if only is not None and name not in only:
                continue
            here = DTYPES.get(name, dtype), shard
            held = found.setdefault(name, here)
            wider = _wider(held[0], here[0])
            if wider is None:
                pairs.setdefault(name, [held, here])
            elif wider != held[0]:
                found[name] = wider, shard
    for name, (dtype, shard) in found.items():
        if not all(name in schema for schema in schemas.values()):
            found[name] = _listed(dtype), shard
    names = [name for name in in_order(sorted(found)) if name not in pairs]
    clashes = {
        name: ColumnClash(name, [dtype for dtype, _ in pair], [shard for _, shard in pair], names)
        for name, pair in sorted(pairs.items())
    }
    return pl.Schema({name: found[name][0] for name in names}), clashes


def under(column: _Column, dtype: pl.DataType) -> _Column:
    """A column as one of the type that `unite` found for it."""
    # Strictly, Polars gives no struct a field more.
    return column.cast(dtype, strict=not _holds_struct(dtype))


def _holds_struct(dtype: pl.DataType) -> bool:
    if isinstance(dtype, (pl.List, pl.Array)):
        return _holds_struct(arrow_ipc.inner(dtype))
    return isinstance(dtype, pl.Struct)


def _listed(dtype: pl.DataType) -> pl.DataType:
    """A type with lists in place of arrays."""
    if isinstance(dtype, pl.Array):
        dtype = pl.List(dtype.inner)
    return arrow_ipc.with_inside(dtype, _listed)


def _wider(  # noqa: PLR0911  (a case a type)
    one: pl.DataType, other: pl.DataType
) -> pl.DataType | None:
    """The type that holds all values of both, or None."""
    if one == other or other == pl.Null():
        return one
    if one == pl.Null():
        return other
    if isinstance(one, (pl.List, pl.Array)) and isinstance(other, (pl.List, pl.Array)):
        inner = _wider(arrow_ipc.inner(one), arrow_ipc.inner(other))
        return None if inner is None else pl.List(inner)
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        return _with_all_fields(one, other)
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal):
        return _with_all_digits(one, other)
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime):
        has_zones = one.time_zone is not None and other.time_zone is not None
        same_unit = one.time_unit == other.time_unit
        return pl.Datetime(one.time_unit, "UTC") if has_zones and same_unit else None
    if {one.base_type(), other.base_type()} <= _TEXTS:
        return pl.String()
    return next((wide for wide in _WIDTHS if _holds(wide, one) and _holds(wide, other)), None)


def _with_all_fields(one: pl.Struct, other: pl.Struct) -> pl.DataType | None:
    """The struct with the fields of both, those of the first before the others, or None."""
    mine, others = (
        {field.name: arrow_ipc.instance(field.dtype) for field in each.fields}
        for each in (one, other)
    )
    fields = {**mine, **others}
    for name, dtype in fields.items():
        both = name in mine and name in others
        wider = _wider(mine[name], others[name]) if both else _listed(dtype)
        if wider is None:
            return None
        fields[name] = wider
    return pl.Struct(fields)


def _with_all_digits(one: pl.Decimal, other: pl.Decimal) -> pl.DataType | None:
    """The decimal type that has room for the digits of both, before and behind the point."""
    scale = max(one.scale, other.scale)
    whole = max(one.precision - one.scale, other.precision - other.scale)
    return pl.Decimal(whole + scale, scale) if whole + scale <= _MOST_DIGITS else None


def _holds(wide: pl.DataType, number: pl.DataType) -> bool:
    """Whether one type of numbers holds every value of another exactly."""
    fits = number in _WIDTHS and _WIDTHS[number] <= _WIDTHS[wide]
    if wide.is_float():
        return fits
    whole = number.is_integer() if wide.is_signed_integer() else number.is_unsigned_integer()
    return fits and whole


# Digits of the longest decimal.
_MOST_DIGITS = 38

_TEXTS = {pl.Categorical, pl.Enum, pl.String}

# Bits of the whole numbers that a type holds, all of them; the narrowest that fits comes first.
_WIDTHS: dict[pl.DataType, int] = {
    pl.UInt8(): 8,
    pl.UInt16(): 16,
    pl.UInt32(): 32,
    pl.UInt64(): 64,
    pl.Int8(): 7,
    pl.Int16(): 15,
    pl.Int32(): 31,
    pl.Int64(): 63,
    pl.Float16(): 11,
    pl.Float32(): 24,
    pl.Float64(): 53,
}
