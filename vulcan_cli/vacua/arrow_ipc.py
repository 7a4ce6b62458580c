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
from io import BytesIO
from typing import Any

import flatbuffers
import polars as pl
from flatbuffers.number_types import Int64Flags, UOffsetTFlags
from flatbuffers.table import Table
from polars._typing import PolarsDataType

KEY = "ARROW:schema"
"""Where parquet files keep their Arrow schema."""

_CONTINUATION = b"\xff\xff\xff\xff"
_VERSION_5 = 4
_SCHEMA_HEADER = 1
_PIECE = 2**16
_UNITS = {"ms": 1, "us": 2, "ns": 3}

_Slots = list[tuple[Callable[..., None], Any, Any]]


def schema_message(schema: Mapping[str, pl.DataType], metadata: Mapping[str, str]) -> str:
    """An Arrow schema with metadata, as parquet files carry it: an IPC message in base64.

    Lists have 32-bit offsets (`list`, `string`), whatever Polars holds them as.

    Raises:
        TypeError: A column's type has no place in a parquet file.
    """
    builder = flatbuffers.Builder(1024)
    fields = [_field(builder, name, dtype) for name, dtype in schema.items()]
    pairs = [_pair(builder, key, value) for key, value in metadata.items()]
    field_vector = _vector(builder, fields)
    pair_vector = _vector(builder, pairs)
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(1, field_vector, 0)
    builder.PrependUOffsetTRelativeSlot(2, pair_vector, 0)
    header = builder.EndObject()
    builder.StartObject(5)
    builder.PrependInt16Slot(0, _VERSION_5, 0)
    builder.PrependUint8Slot(1, _SCHEMA_HEADER, 0)
    builder.PrependUOffsetTRelativeSlot(2, header, 0)
    builder.Finish(builder.EndObject())
    message = bytes(builder.Output())
    padded = message + bytes(-len(message) % 8)
    return base64.b64encode(_CONTINUATION + struct.pack("<i", len(padded)) + padded).decode()


def schema_metadata(message: str) -> dict[str, str]:
    """The metadata inside an `ARROW:schema` value.

    Raises:
        ValueError: This is no such message.
    """
    try:
        raw = base64.b64decode(message, validate=True)
        header = _header(raw[8:] if raw.startswith(_CONTINUATION) else raw[4:])
        return _pairs(header)
    except (ValueError, TypeError, IndexError, struct.error, RecursionError) as error:
        raise ValueError(f"no Arrow schema message: {error}") from error


def inner(dtype: pl.List | pl.Array) -> pl.DataType:
    """The type inside a list."""
    return instance(dtype.inner)


def instance(dtype: PolarsDataType) -> pl.DataType:
    """A type as an instance: inside others, Polars keeps classes too."""
    return dtype() if isinstance(dtype, type) else dtype


def value_buffers(series: pl.Series) -> Iterator[memoryview]:
    """The values of a numeric series without nulls: raw, little-endian, piece after piece."""
    # Polars cuts longer series into several messages; short ones stay in the processor's cache.
    for piece in series.rechunk().to_frame("").iter_slices(_PIECE):
        stream = BytesIO()
        piece.write_ipc_stream(stream, compression="uncompressed")
        yield _values(stream.getbuffer())


def _values(view: memoryview) -> memoryview:
    """The values in an IPC stream of one schema message and one batch of one column."""
    schema_size = 8 + struct.unpack_from("<i", view, 4)[0]
    message_size = struct.unpack_from("<i", view, schema_size + 4)[0]
    body = schema_size + 8 + message_size
    header = _header(bytes(view[schema_size + 8 : body]))
    offset, length = _last_buffer(header)
    return view[body + offset : body + offset + length]


def _field(builder: flatbuffers.Builder, name: str, dtype: pl.DataType) -> int:
    children = _vector(builder, [_field(builder, *child) for child in _children(dtype)])
    label = builder.CreateString(name)
    kind, slots = _type(builder, dtype)
    builder.StartObject(len(slots))
    for number, (prepend, value, default) in enumerate(slots):
        prepend(number, value, default)
    type_table = builder.EndObject()
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(0, label, 0)
    builder.PrependBoolSlot(1, True, False)
    builder.PrependUint8Slot(2, kind, 0)
    builder.PrependUOffsetTRelativeSlot(3, type_table, 0)
    builder.PrependUOffsetTRelativeSlot(5, children, 0)
    return int(builder.EndObject())


def _children(dtype: pl.DataType) -> list[tuple[str, pl.DataType]]:
    if isinstance(dtype, pl.List | pl.Array):
        return [("element", inner(dtype))]
    if isinstance(dtype, pl.Struct):
        return [(field.name, instance(field.dtype)) for field in dtype.fields]
    return []


def _type(  # noqa: C901, PLR0911, PLR0912  (one case a type)
    builder: flatbuffers.Builder, dtype: pl.DataType
) -> tuple[int, _Slots]:
    """The number of a type in Arrow's union, and the slots of its table."""
    int16, int32 = builder.PrependInt16Slot, builder.PrependInt32Slot
    if dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128):
        bits = int(str(dtype).lstrip("UInt"))
        return 2, [(int32, bits, 0), (builder.PrependBoolSlot, dtype.is_signed_integer(), False)]
    match dtype:
        case pl.Null():
            return 1, []
        case pl.Float32() | pl.Float64():
            return 3, [(int16, 1 if dtype == pl.Float32 else 2, 0)]
        case pl.Binary():
            return 4, []
        case pl.String():
            return 5, []
        case pl.Boolean():
            return 6, []
        case pl.Decimal():
            return 7, [(int32, dtype.precision or 38, 0), (int32, dtype.scale, 0)]
        case pl.Date():
            return 8, [(int16, 0, 1)]
        case pl.Time():
            return 9, [(int16, 3, 1), (int32, 64, 32)]
        case pl.Datetime():
            zone = builder.CreateString(dtype.time_zone) if dtype.time_zone else 0
            unit = _UNITS[dtype.time_unit]
            return 10, [(int16, unit, 0), (builder.PrependUOffsetTRelativeSlot, zone, 0)]
        case pl.List():
            return 12, []
        case pl.Struct() if dtype.fields:
            return 13, []
        case pl.Array():
            return 16, [(int32, dtype.shape[0], 0)]
        case pl.Duration():
            return 18, [(int16, _UNITS[dtype.time_unit], 1)]
        case _:
            raise TypeError(f"{dtype} has no place in a shard")


def _pair(builder: flatbuffers.Builder, key: str, value: str) -> int:
    left, right = builder.CreateString(key), builder.CreateString(value)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, left, 0)
    builder.PrependUOffsetTRelativeSlot(1, right, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _header(message: bytes) -> Table:
    """The table inside a message: its schema or its record batch."""
    root = Table(message, UOffsetTFlags.packer_type.unpack_from(message, 0)[0])
    header = Table(message, 0)
    slot = root.Offset(8)
    if not slot:
        raise ValueError("message without a header")
    root.Union(header, slot)
    return header


def _pairs(schema: Table) -> dict[str, str]:
    """The keys and values of a schema's metadata.

    Raises:
        ValueError: They say more than the message is long, as they can where it is hostile and
            all point to one place.
    """
    pairs: dict[str, str] = {}
    left = len(schema.Bytes)
    for pair in _tables(schema, 2):
        key, value = _text(pair, 0), _text(pair, 1)
        left -= len(key) + len(value) + 8
        if left < 0:
            raise ValueError("its metadata is longer than itself")
        pairs[key] = value
    return pairs


def _tables(table: Table, slot: int) -> Iterator[Table]:
    """The tables in a vector of tables."""
    offset = table.Offset(4 + 2 * slot)
    if not offset:
        return
    start = table.Vector(offset)
    for number in range(table.VectorLen(offset)):
        yield Table(table.Bytes, table.Indirect(start + 4 * number))


def _text(table: Table, slot: int) -> str:
    offset = table.Offset(4 + 2 * slot)
    return table.String(offset + table.Pos).decode() if offset else ""


def _last_buffer(batch: Table) -> tuple[int, int]:
    """Offset and length of the last buffer of a record batch; structs of two int64."""
    offset = batch.Offset(8)
    last = batch.Vector(offset) + 16 * (batch.VectorLen(offset) - 1)
    return batch.Get(Int64Flags, last), batch.Get(Int64Flags, last + 8)
