"""Columns of many shards side by side: which there are, in which order, of which type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import polars as pl

from vulcan_cli.errors import InputRefused, Problem, UnknownColumn
from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.schema import DTYPES, in_order


def check_columns(names: Iterable[str], available: Sequence[str]) -> None:
    """Raise UnknownColumn, with the nearest name, where one of `names` is not available."""
    for name in names:
        if name not in available:
            raise UnknownColumn(unknown_column(name, available))


def unknown_column(name: str, available: Sequence[str]) -> str:
    """One sentence that says which columns there are, and the nearest to `name`."""
    lowered = {column.lower(): column for column in available}
    near = get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f"did you mean {lowered[near[0]]}? " if near else ""
    return f"there is no column {name!r}: {hint}columns are {', '.join(available)}"


def union(
    schemas: Mapping[str, Mapping[str, pl.DataType]], *, only: frozenset[str] | None = None
) -> pl.Schema:
    """All columns of several shards: known ones in their order and types, others by name.

    Integers, and floats, of several widths become the widest of them; a column of nulls takes
    any type.

    Args:
        schemas: A shard's name to its columns.
        only: Leave out all other columns, whatever their types.

    Raises:
        InputRefused: Two shards hold another type in a column that we do not know.
    """
    found: dict[str, tuple[pl.DataType, str]] = {}
    for shard, schema in schemas.items():
        for name, dtype in schema.items():
            if only is None or name in only:
                found[name] = _joined(name, found.get(name), DTYPES.get(name, dtype), shard)
    return pl.Schema({name: found[name][0] for name in in_order(sorted(found))})


def _joined(
    name: str, held: tuple[pl.DataType, str] | None, dtype: pl.DataType, shard: str
) -> tuple[pl.DataType, str]:
    if held is None:
        return dtype, shard
    wider = _wider(held[0], dtype)
    if wider is None:
        message = f"{held[0]} in {held[1]}, {dtype} in {shard}: leave it out, or read fewer shards"
        raise InputRefused(Problem(message, column=name))
    return wider, shard if wider == dtype else held[1]


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """The type that holds all values of both, or None."""
    if one == other or other == pl.Null():
        return one
    if one == pl.Null():
        return other
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        inner = _wider(arrow_ipc.inner(one), arrow_ipc.inner(other))
        return None if inner is None else pl.List(inner)
    for family in (_SIGNED, _UNSIGNED, _FLOATS, _TEXTS):
        if one.base_type() in family and other.base_type() in family:
            widest = max(one, other, key=lambda dtype: family.index(dtype.base_type()))
            return pl.String() if family is _TEXTS else widest
    return None


_SIGNED = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128)
_UNSIGNED = (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)
_FLOATS = (pl.Float16, pl.Float32, pl.Float64)
_TEXTS = (pl.Categorical, pl.Enum, pl.String)
