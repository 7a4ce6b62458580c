"""Parquet files that are small and unpack to much, that lie about it, or that end a reader."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from vulcan_cli.dataset.structs import Listing, Struct, read_struct, write_struct
from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.flatbuffer import Node, Scalar, written

WIDE = pa.decimal256(70)
"""A type that Polars names and cannot hold."""

_PRIMITIVE = b"\x15\x02\x25\x00\x18\x01x\x00"


def rewritten(data: bytes, change: Callable[[pa.Table], pa.Table], **how: Any) -> bytes:
    """A shard with its table changed, and its metadata kept unless the change says otherwise."""
    file = BytesIO()
    pq.write_table(change(pq.read_table(BytesIO(data))), file, **how)
    return file.getvalue()


def with_column(name: str, cells: pa.Array) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        if name in table.column_names:
            return table.set_column(table.column_names.index(name), name, cells)
        return table.append_column(name, cells)

    return change


def with_notes(cells: pa.Array, **notes: str) -> Callable[[pa.Table], pa.Table]:
    """A column `x` beside whose field something is noted."""
    return lambda table: table.append_column(pa.field("x", cells.type, metadata=notes), cells)


def categories() -> pa.Array:
    """Text in a dictionary; in notes beside its field Polars looks for the categories."""
    return pa.array(["a", "bb", "a"]).dictionary_encode()


def with_provenance(**more: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        metadata = dict(table.schema.metadata)
        key = b"stringforge.vulcan.provenance"
        metadata[key] = json.dumps({**json.loads(metadata[key]), **more}).encode()
        return table.replace_schema_metadata(metadata)

    return change


def twins() -> pa.Array:
    """Structs that name both their fields alike, which Polars cannot hold either."""
    cells = pa.array([1, 2, 3])
    return pa.StructArray.from_arrays([cells, cells], names=["a", "a"])


def far_away() -> pa.Array:
    """Times of a year that has more than four digits, behind a dictionary and a struct."""
    times = pa.array([0, None, 1 << 62], pa.timestamp("us")).dictionary_encode()
    return pa.StructArray.from_arrays([times], names=["at"])


VIEWS = (
    pa.list_view(pa.int64()),
    pa.large_list_view(pa.int64()),
    pa.list_(pa.list_view(pa.int64())),
)
"""Types over whose name alone Polars panics."""

NO_CATEGORIES = (
    {"_PL_ENUM_VALUES2": "99999999999;a"},
    {"_PL_ENUM_VALUES2": "1;\u00e9"},
    {"_PL_ENUM_VALUES2": "1;a1;a"},
    {"_PL_ENUM_VALUES": "a;b"},
    {"_PL_ENUM_VALUES": "-1;a"},
    {"_PL_CATEGORICAL2": "3;abc"},
    {"_PL_CATEGORICAL2": "0;0;u99;"},
    {"_PL_CATEGORICAL2": ""},
)
"""Notes of categories over which Polars panics."""


def bomb(shard: bytes) -> bytes:
    """A few kilobytes of zeros that unpack to 69 MB."""
    zeros = pa.array([bytes(23_000_000)] * 3, pa.binary())
    return rewritten(shard, with_column("padding", zeros), compression="zstd", use_dictionary=False)


def modest(data: bytes) -> bytes:
    """The same bomb, with a footer that claims three bytes."""
    claimed = pq.read_metadata(BytesIO(data)).row_group(0)
    column = next(
        column
        for column in (claimed.column(number) for number in range(claimed.num_columns))
        if column.path_in_schema == "padding"
    )
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[start:]
    for number in (claimed.total_byte_size, column.total_uncompressed_size):
        assert _varint(2 * number) in footer
        footer = footer.replace(_varint(2 * number), _long(6, len(_varint(2 * number))))
    return data[:start] + footer


def many_rows(shard: bytes) -> bytes:
    """A file in which run lengths alone stand for many rows."""
    count = 1_000_000

    def repeated(table: pa.Table) -> pa.Table:
        slim = table.set_column(0, "flux", pa.array([[1]] * 3, pa.list_(pa.int32())))
        return with_provenance(n_rows=count)(slim.take(pa.repeat(0, count)))

    return rewritten(shard, repeated, compression="zstd")


def dictionary_bomb(shard: bytes) -> bytes:
    """One long text in a dictionary, and three rows of which each holds it a thousand times."""
    text = pa.DictionaryArray.from_arrays(
        pa.array([0] * 3000, pa.int32()), pa.array(["x" * 99_999])
    )
    cells = pa.ListArray.from_arrays(pa.array([0, 1000, 2000, 3000], pa.int32()), text)
    return rewritten(shard, with_column("notes", cells), dictionary_pagesize_limit=1 << 24)


def prefix_bomb(shard: bytes) -> bytes:
    """A long text, written out once, and a thousand that begin as it does."""
    cells = pa.ListArray.from_arrays(
        pa.array([0, 1000, 1000, 1000], pa.int32()), pa.array(["x" * 99_999] * 1000)
    )
    encoding = {"notes.list.element": "DELTA_BYTE_ARRAY"}
    return rewritten(
        shard,
        with_column("notes", cells),
        use_dictionary=False,
        column_encoding=encoding,
        data_page_size=1 << 30,
    )


def list_bomb(shard: bytes) -> bytes:
    """Three lists of which one holds so many zeros, all in a few run lengths."""
    count = 9_000_000
    zeros = pa.repeat(pa.scalar(0, pa.int64()), count)
    offsets = pa.array([0, count, count, count], pa.int32())
    return rewritten(shard, with_column("many", pa.ListArray.from_arrays(offsets, zeros)))


def array_bomb(shard: bytes) -> bytes:
    """Three nulls that each stand for so many numbers, as all arrays of a column are as long."""
    return rewritten(shard, with_column("many", _nulls(3, 9_000_000)))


def array_bomb_in_lists(shard: bytes) -> bytes:
    """A list of a thousand such nulls."""
    offsets = pa.array([0, 1000, 1000, 1000], pa.int32())
    cells = pa.ListArray.from_arrays(offsets, _nulls(1000, 9_000))
    return rewritten(shard, with_column("many", cells))


def _nulls(count: int, size: int) -> pa.Array:
    """Null arrays of a fixed size."""
    kind = pa.list_(pa.float64(), size)
    is_there = pa.py_buffer(bytes(count // 8 + 1))
    values = pa.nulls(count * size, pa.float64())
    return pa.FixedSizeListArray.from_buffers(
        kind, count, [is_there], null_count=count, children=[values]
    )


def negative_page(shard: bytes) -> bytes:
    """A shard of which a page says that it holds -64 values: Polars makes room for 2^64 of them."""
    column = pq.read_metadata(BytesIO(shard)).row_group(0).column(3)
    assert column.path_in_schema == "tau_re"
    place = column.data_page_offset
    # Behind the kind and two sizes, `values` is the first field of the struct that follows.
    place = shard.index(b"\x2c\x15", place) + 2
    assert shard[place] == 2 * column.num_values
    return shard[:place] + b"\x7f" + shard[place + 1 :]


def negative_chunk(shard: bytes) -> bytes:
    """A shard whose footer says that a column takes a negative number of bytes: Polars panics."""
    column = pq.read_metadata(BytesIO(shard)).row_group(0).column(3)
    sizes = (column.total_uncompressed_size, column.total_compressed_size)
    unpacked, packed = (b"\x16" + _varint(2 * size) for size in sizes)
    start = len(shard) - 8 - int.from_bytes(shard[-8:-4], "little")
    place = shard.index(unpacked + packed, start) + len(unpacked) + 1
    return shard[:place] + bytes([shard[place] | 1]) + shard[place + 1 :]


def other_levels(shard: bytes) -> bytes:
    """A shard whose schema says that a column has no nulls, and its statistics that it may.

    To ask pyarrow for that column's place in the file ends the process.
    """
    data = rewritten(shard, lambda table: table)
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    place = data.index(b"\x25\x02\x18\x06tau_re", start) + 1
    return data[:place] + b"\x00" + data[place + 1 :]


def leafless(shard: bytes) -> bytes:
    """A shard whose schema has no column, while its row groups have some."""

    def change(footer: Struct) -> None:
        _listed(footer, 2)[:] = [{**_listed(footer, 2)[0], 5: (5, 0)}]
        # Orders of columns, which pyarrow counts.
        del footer[7]

    return _refooted(shard, change)


def many_columns(shard: bytes, count: int) -> bytes:
    """A shard whose schema names so many columns, each of a few bytes, and that has no pages."""

    def change(footer: Struct) -> None:
        columns = [{1: (5, 1), 3: (5, 1), 4: (8, b"%06x" % number)} for number in range(count)]
        root = {**_listed(footer, 2)[0], 5: (5, count)}
        _listed(footer, 2)[:] = [root, *columns]
        _listed(footer, 4).clear()
        del footer[7]

    return _refooted(shard, change)


def many_pairs(shard: bytes, count: int) -> bytes:
    """A shard with so many more key-value pairs."""
    return _refooted(shard, lambda footer: _listed(footer, 5).extend([_PAIR] * count))


def many_groups(shard: bytes, count: int) -> bytes:
    """A shard with so many more row groups, of no rows and no columns."""
    return _refooted(shard, lambda footer: _listed(footer, 4).extend([_NO_ROWS] * count))


_PAIR: Struct = {1: (8, b"a"), 2: (8, b"b")}
_NO_ROWS: Struct = {1: (9, Listing(12, [])), 2: (6, 0), 3: (6, 0)}


def _listed(footer: Struct, field: int) -> list[Struct]:
    values: list[Struct] = footer[field][1].values
    return values


def _refooted(shard: bytes, change: Callable[[Struct], object]) -> bytes:
    """A shard with its footer changed."""
    start = len(shard) - 8 - int.from_bytes(shard[-8:-4], "little")
    footer = read_struct(shard[start:])
    change(footer)
    told = write_struct(footer)
    return shard[:start] + told + struct.pack("<I", len(told)) + b"PAR1"


def shared_pages(shard: bytes) -> bytes:
    """A shard whose footer says that one column's pages are another's as well."""
    group = pq.read_metadata(BytesIO(shard)).row_group(0)
    first, second = (group.column(number) for number in (3, 4))
    assert (first.path_in_schema, second.path_in_schema) == ("tau_re", "tau_im")
    start = len(shard) - 8 - int.from_bytes(shard[-8:-4], "little")
    old, new = (_varint(2 * column.data_page_offset) for column in (second, first))
    assert shard.count(old, start) == 1
    return shard[:start] + shard[start:].replace(old, new)


def deep_schema(levels: int = 30_000) -> bytes:
    """A parquet schema of groups in groups."""
    group = b"\x35\x00\x18\x01g\x15\x02\x00"
    elements = [b"\x48\x01s\x15\x02\x00", *[group] * levels, _PRIMITIVE]
    footer = b"\x15\x02\x19\xfc" + _varint(len(elements)) + b"".join(elements)
    footer += b"\x16\x00\x19\x0c\x00"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def deep_arrow_schema(levels: int = 200) -> bytes:
    """A sound file, but for an Arrow schema of groups in groups."""
    node = _field([])
    for _ in range(levels):
        node = _field([node])
    return _with_arrow_schema(written((Scalar("h", 4), Scalar("B", 1), (None, [node]))))


def wide_arrow_schema(levels: int = 30) -> bytes:
    """A sound file, but for an Arrow schema of 2^30 fields in some kilobytes: they share theirs."""
    node = _field([])
    for _ in range(levels):
        node = _field([node, _field([])])
    data = bytearray(written((Scalar("h", 4), Scalar("B", 1), (None, [node]))))
    # Wherever a vector holds two fields, let the second be the first.
    for place in range(0, len(data) - 12, 4):
        count, first, second = struct.unpack_from("<III", data, place)
        if count == 2 and 4 < first < len(data) and 4 < second < len(data):
            struct.pack_into("<I", data, place + 8, first - 4)
    return _with_arrow_schema(bytes(data))


def spread_arrow_schema(shard: Path) -> bytes:
    """The Arrow schema of a shard, with what says how its fields are laid out behind all else."""
    metadata = pl.read_parquet_metadata(shard)[arrow_ipc.KEY]
    fields = [arrow_ipc._field(*column) for column in pl.read_parquet_schema(shard).items()]
    pairs: list[Node] = [*arrow_ipc.schema_metadata(metadata).items()]
    return written((Scalar("h", 4), Scalar("B", 1), (None, [*fields], pairs)))


def with_arrow_schema(shard: bytes, message: bytes) -> bytes:
    """A shard with another Arrow schema."""

    def change(footer: Struct) -> None:
        (pair,) = (each for each in _listed(footer, 5) if each[1][1] == b"ARROW:schema")
        pair[2] = (pair[2][0], base64.b64encode(_framed(message)))

    return _refooted(shard, change)


def spelled_longer(shard: bytes, longer: bytes) -> bytes:
    """A shard whose footer names its Arrow schema in more bytes than a writer would take."""
    start = len(shard) - 8 - int.from_bytes(shard[-8:-4], "little")
    told = shard[start:-8].replace(b"\x18\x0cARROW:schema\x18", longer)
    return shard[:start] + told + struct.pack("<I", len(told)) + b"PAR1"


def _framed(message: bytes) -> bytes:
    return b"\xff\xff\xff\xff" + struct.pack("<i", len(message)) + message


def _field(children: list[Node]) -> Node:
    return ("g", Scalar("?", 1), Scalar("B", 13), (), None, children)


def _with_arrow_schema(message: bytes) -> bytes:
    file = BytesIO()
    text = base64.b64encode(_framed(message)).decode()
    pl.DataFrame({"x": [1]}).write_parquet(file, metadata={"ARROW:schema": text})
    return file.getvalue()


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _long(number: int, length: int) -> bytes:
    """A small number in so many bytes."""
    return bytes([number | 128]) + b"\x80" * (length - 2) + b"\0"
