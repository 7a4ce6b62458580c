"""The Arrow schema that shards carry: as pyarrow reads it, and against hostile messages."""

from __future__ import annotations

import base64
import struct
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import EXTENSIONS, TEXT
from vulcan_cli.vacua.arrow_ipc import schema_message, schema_metadata
from vulcan_cli.vacua.schema import DTYPES

METADATA = {"schema_version": "1", "vulcan.digest": "ä" * 100, "": "empty key", "empty": ""}


def seen_by_pyarrow(message: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(message)))


def test_the_types_of_a_shard() -> None:
    seen = seen_by_pyarrow(schema_message(DTYPES, METADATA))
    types = dict(zip(seen.names, seen.types, strict=True))
    floats = pa.list_(pa.field("element", pa.float64()))
    expected: dict[Any, pa.DataType] = {
        pl.List(pl.Int32): pa.list_(pa.field("element", pa.int32())),
        pl.List(pl.Float64): floats,
        pl.Float64(): pa.float64(),
        pl.Float32(): pa.float32(),
        pl.Int32(): pa.int32(),
        pl.Int64(): pa.int64(),
        pl.String(): pa.string(),
        pl.Boolean(): pa.bool_(),
        pl.Datetime("us", "UTC"): pa.timestamp("us", "UTC"),
    }
    assert types == {name: expected[dtype] for name, dtype in DTYPES.items()}
    assert seen.metadata == {key.encode(): value.encode() for key, value in METADATA.items()}


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        (pl.Null(), pa.null()),
        (pl.Int8(), pa.int8()),
        (pl.Int16(), pa.int16()),
        (pl.UInt8(), pa.uint8()),
        (pl.UInt16(), pa.uint16()),
        (pl.UInt32(), pa.uint32()),
        (pl.UInt64(), pa.uint64()),
        (pl.Binary(), pa.binary()),
        (pl.Decimal(38, 3), pa.decimal128(38, 3)),
        (pl.Decimal(5, 0), pa.decimal128(5, 0)),
        (pl.Date(), pa.date32()),
        (pl.Time(), pa.time64("ns")),
        (pl.Datetime("ns"), pa.timestamp("ns")),
        (pl.Datetime("ms", "Europe/Berlin"), pa.timestamp("ms", "Europe/Berlin")),
        (pl.Duration("ms"), pa.duration("ms")),
        (pl.Duration("us"), pa.duration("us")),
        (pl.Duration("ns"), pa.duration("ns")),
        (pl.List(pl.List(pl.String)), pa.list_(pa.list_(pa.string()))),
        (pl.Array(pl.Int8, 3), pa.list_(pa.int8(), 3)),
        (pl.Array(pl.Int8, (2, 3)), pa.list_(pa.list_(pa.int8(), 3), 2)),
        (
            pl.Struct({"a": pl.Int8, "b": pl.Struct({"c": pl.List(pl.Date)})}),
            pa.struct({"a": pa.int8(), "b": pa.struct({"c": pa.list_(pa.date32())})}),
        ),
    ],
    ids=str,
)
def test_types_of_foreign_columns(dtype: pl.DataType, wanted: pa.DataType) -> None:
    seen = seen_by_pyarrow(schema_message({"ä column": dtype}, {}))
    assert (seen.names, seen.types, seen.metadata) == (["ä column"], [wanted], {})
    assert seen.field(0).nullable


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Object(),
        pl.Int128(),
        pl.UInt128(),
        pl.Categorical(),
        pl.Struct([]),
        pl.List(pl.Int128),
        pl.Struct({"a": pl.Array(pl.Categorical, 2)}),
    ],
    ids=str,
)
def test_types_that_no_shard_holds(dtype: pl.DataType) -> None:
    with pytest.raises(TypeError, match=r"has no place in a shard$"):
        schema_message({"x": dtype}, {})


def test_ten_thousand_columns() -> None:
    seen = seen_by_pyarrow(schema_message({f"c{n}": pl.Int64() for n in range(10_000)}, METADATA))
    assert seen.names == [f"c{n}" for n in range(10_000)]


@given(st.dictionaries(TEXT, st.text(st.characters(exclude_categories=["Cs"]))))
def test_metadata_comes_back(metadata: dict[str, str]) -> None:
    assert schema_metadata(schema_message(DTYPES, metadata)) == metadata


@given(st.dictionaries(TEXT.filter(bool), TEXT))
def test_metadata_that_pyarrow_wrote_comes_back(metadata: dict[str, str]) -> None:
    schema = pa.schema([pa.field("x", pa.list_(pa.int32()))], metadata=metadata)
    message = base64.b64encode(schema.serialize()).decode()
    assert schema_metadata(message) == metadata


def test_messages_from_before_arrow_0_15_lack_the_continuation() -> None:
    raw = base64.b64decode(schema_message({"x": pl.Int8()}, METADATA))
    assert schema_metadata(base64.b64encode(raw[4:]).decode()) == METADATA


def reads_or_raises_value_error(message: str) -> None:
    try:
        found = schema_metadata(message)
    except ValueError:
        return
    assert all(isinstance(text, str) for pair in found.items() for text in pair)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\xff" * 4 + tail))
def test_random_bytes(raw: bytes) -> None:
    reads_or_raises_value_error(base64.b64encode(raw).decode())


@given(st.text(max_size=50))
def test_random_text(text: str) -> None:
    reads_or_raises_value_error(text)


@settings(max_examples=200)
@given(st.data())
def test_mutated_messages(data: st.DataObject) -> None:
    raw = bytearray(base64.b64decode(schema_message({"x": EXTENSIONS["pair"][0]}, METADATA)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 4))
        word = data.draw(st.integers(0, 2**32 - 1) | st.integers(-64, 64).map(lambda n: n % 2**32))
        raw[place : place + 4] = struct.pack("<I", word)
    cut = data.draw(st.integers(0, 3).map(lambda n: len(raw) - 8 * n))
    reads_or_raises_value_error(base64.b64encode(bytes(raw[:cut])).decode())


def test_a_message_that_repeats_itself_is_refused() -> None:
    """20,000 pairs that are one and the same of a megabyte: 20 GB to read from 1 MB."""
    text = struct.pack("<I", 2**20) + b"x" * 2**20 + b"\0"
    pair = struct.pack("<4H3i", 8, 12, 4, 8, 8, 8, 4) + text
    vector = struct.pack("<I", 20_000)
    vector += b"".join(struct.pack("<I", 80_000 - 4 * n + 8) for n in range(20_000))
    schema = struct.pack("<6Hii", 10, 8, 0, 0, 4, 0, 12, 4) + vector + pair
    message = struct.pack("<6HiiI", 10, 12, 0, 4, 8, 0, 12, 1, 16) + schema
    raw = b"\xff\xff\xff\xff" + struct.pack("<iI", 0, 16) + message
    with pytest.raises(ValueError, match=r"^no Arrow schema message: its metadata is longer"):
        schema_metadata(base64.b64encode(raw).decode())
