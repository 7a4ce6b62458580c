"""The little of Arrow's IPC format that we speak ourselves, so that a worker needs no pyarrow.

A parquet file carries its Arrow schema as an IPC message under the key `ARROW:schema`. Polars
writes large lists and large strings there and no metadata of ours; readers through pyarrow
(the peer among them) expect `list<int32>`, `string` and the metadata *inside* that message.
Numbers of slots and unions follow the Arrow columnar format, `Schema.fbs` and `Message.fbs`.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import polars as pl
from polars._typing import PolarsDataType

from vulcan_cli.vacua.flatbuffer import Node, Scalar, Table, written

KEY = "ARROW:schema"
"""Where parquet files keep their Arrow schema."""

MOST_DIGITS = 38
"""Digits of a decimal number in Polars, which ends in a panic over more."""

LEAST_PAIR = 8
"""Bytes that a pair of metadata takes at least, beside its texts."""

FIELDS_OF_SCHEMA = 1
"""The slot of a schema's fields."""

_CONTINUATION = b"\xff\xff\xff\xff"
_VERSION_5 = Scalar("h", 4)
_SCHEMA = 1
_PAIRS_OF_SCHEMA = 2
_UNITS = {"ms": 1, "us": 2, "ns": 3}


def schema_message(schema: Mapping[str, pl.DataType], metadata: Mapping[str, str]) -> str:
    """An Arrow schema with metadata, as parquet files carry it: an IPC message in base64.

    Lists have 32-bit offsets (`list`, `string`), whatever Polars holds them as.

    Raises:
        TypeError: A column's type has no place in a parquet file.
    """
    pairs: list[Node] = [*metadata.items()]
    header: Node = (None, _fields(tuple(schema.items())), pairs)
    message = written((_VERSION_5, Scalar("B", _SCHEMA), header))
    return base64.b64encode(_CONTINUATION + struct.pack("<i", len(message)) + message).decode()


def schema_metadata(message: str) -> dict[str, str]:
    """The metadata inside an `ARROW:schema` value.

    Raises:
        ValueError: This is no such message.
    """
    try:
        return dict(pairs(schema_table(message), _PAIRS_OF_SCHEMA, len(message)))
    except (ValueError, struct.error) as error:
        raise ValueError(f"no Arrow schema message: {error}") from error


def schema_table(message: str) -> Table:
    """The schema in an `ARROW:schema` value, not looked into.

    Raises:
        ValueError, struct.error: There is none.
    """
    return _header(_unframed(base64.b64decode(message, validate=True)))


def schema_fields(message: bytes) -> bytes:
    """The part of a schema message that tells its fields, whose vector begins it.

    pyarrow and we write them in one piece, which is the same whatever the metadata beside it is;
    other writers may put what belongs to them elsewhere.

    Raises:
        ValueError, struct.error: This is no such message.
    """
    raw = _unframed(message)
    schema = _header(raw)
    fields, metadata = schema.place_of(FIELDS_OF_SCHEMA), schema.place_of(_PAIRS_OF_SCHEMA)
    if fields is None:
        raise ValueError("it has no fields")
    return raw[fields : metadata if metadata is not None and metadata > fields else None]


def pairs(table: Table, slot: int, most: int) -> Iterator[tuple[str, str]]:
    """The keys and values in a slot that holds metadata.

    Args:
        table: A schema, or a field.
        slot: The slot.
        most: How long all of it may be.

    Raises:
        ValueError: It says more than that, as it can where it is hostile and all point to one
            place.
    """
    for pair in table.tables(slot):
        key, value = pair.string(0), pair.string(1)
        most -= len(key) + len(value) + LEAST_PAIR
        if most < 0:
            raise ValueError("its metadata is longer than itself")
        yield key, value


def inner(dtype: pl.List | pl.Array) -> pl.DataType:
    """The type inside a list."""
    return instance(dtype.inner)


def instance(dtype: PolarsDataType) -> pl.DataType:
    """A type as an instance: inside others, Polars keeps classes too."""
    return dtype() if isinstance(dtype, type) else dtype


def with_inside(dtype: pl.DataType, change: Callable[[pl.DataType], pl.DataType]) -> pl.DataType:
    """A type whose inside is changed: what is in a list or an array, or each field of a struct."""
    if isinstance(dtype, pl.List):
        return pl.List(change(inner(dtype)))
    if isinstance(dtype, pl.Array):
        return pl.Array(change(inner(dtype)), dtype.size)
    if isinstance(dtype, pl.Struct):
        return pl.Struct({part.name: change(instance(part.dtype)) for part in dtype.fields})
    return dtype


class UnknownZone(ValueError):
    """Times are of a zone that Polars does not know, over which it would panic."""


@lru_cache(maxsize=64)
def check_zone(name: str) -> None:
    """Make sure that Polars knows a time zone; a name that is empty is none.

    Raises:
        UnknownZone: It does not.
    """
    try:
        pl.Series(dtype=pl.Datetime("us", name or None))
    except pl.exceptions.PolarsError:
        raise UnknownZone(f"there is no time zone {name!r}") from None


@lru_cache(maxsize=16)
def _fields(schema: tuple[tuple[str, pl.DataType], ...]) -> bytes:
    """The fields as they stand in a message: most shards of a process have the same."""
    return written([_field(name, dtype) for name, dtype in schema])


def _field(name: str, dtype: pl.DataType) -> Node:
    kind, of_type = _type(dtype)
    children: list[Node] = [_field(*child) for child in _children(dtype)]
    return (name, Scalar("?", 1), Scalar("B", kind), of_type, None, children)


def _children(dtype: pl.DataType) -> list[tuple[str, pl.DataType]]:
    if isinstance(dtype, pl.List | pl.Array):
        return [("element", inner(dtype))]
    if isinstance(dtype, pl.Struct):
        return [(field.name, instance(field.dtype)) for field in dtype.fields]
    return []


def _type(dtype: pl.DataType) -> tuple[int, Node]:  # noqa: C901, PLR0911, PLR0912  (a case a type)
    """The number of a type in Arrow's union, and its table."""
    if dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128):
        bits = int(str(dtype).lstrip("UInt"))
        return 2, (Scalar("i", bits), Scalar("?", dtype.is_signed_integer()))
    match dtype:
        case pl.Null():
            return 1, ()
        case pl.Float32() | pl.Float64():
            return 3, (Scalar("h", 1 if dtype == pl.Float32 else 2),)
        case pl.Binary():
            return 4, ()
        case pl.String():
            return 5, ()
        case pl.Boolean():
            return 6, ()
        case pl.Decimal():
            return 7, (Scalar("i", dtype.precision), Scalar("i", dtype.scale))
        case pl.Date():
            return 8, (Scalar("h", 0),)
        case pl.Time():
            return 9, (Scalar("h", 3), Scalar("i", 64))
        case pl.Datetime():
            return 10, (Scalar("h", _UNITS[dtype.time_unit]), dtype.time_zone)
        case pl.List():
            return 12, ()
        case pl.Struct() if dtype.fields:
            return 13, ()
        case pl.Array():
            return 16, (Scalar("i", dtype.shape[0]),)
        case pl.Duration():
            return 18, (Scalar("h", _UNITS[dtype.time_unit]),)
        case _:
            raise TypeError(f"{dtype} has no place in a shard")


def _unframed(raw: bytes) -> bytes:
    return raw[8:] if raw.startswith(_CONTINUATION) else raw[4:]


def _header(message: bytes) -> Table:
    """The schema inside a message."""
    root = Table.root(message)
    header = root.table(2)
    if header is None or root.number(1, "B") != _SCHEMA:
        raise ValueError("message of another kind")
    return header
