"""The content digest, against a second implementation of its documented byte format."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import geometries, vacua
from tests.vacua_support import GEOMETRY, NOW, REAL, prepared, rows
from vulcan_cli.vacua import inputs
from vulcan_cli.vacua.digest import content_digest
from vulcan_cli.vacua.geometry import Geometry
from vulcan_cli.vacua.prepare import Run, prepare
from vulcan_cli.vacua.schema import DTYPES

IDENTITY = {"run_id", "geometry_id", "h11", "h12", "ks_id", "triang_id", "conifold_id", "cicy_id"}
CODES = {
    pa.int8(): ("int8", "b"),
    pa.int16(): ("int16", "h"),
    pa.int32(): ("int32", "i"),
    pa.int64(): ("int64", "q"),
    pa.uint8(): ("uint8", "B"),
    pa.uint16(): ("uint16", "H"),
    pa.uint32(): ("uint32", "I"),
    pa.uint64(): ("uint64", "Q"),
    pa.float32(): ("float32", "f"),
    pa.float64(): ("float64", "d"),
    pa.bool_(): ("boolean", "B"),
    pa.null(): ("null", "B"),
    pa.date32(): ("date", "i"),
}


def is_list(dtype: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(dtype)
        or pa.types.is_large_list(dtype)
        or pa.types.is_fixed_size_list(dtype)
    )


def type_name(dtype: pa.DataType) -> str:  # noqa: PLR0911  (one case a type)
    if dtype in CODES:
        return CODES[dtype][0]
    if is_list(dtype):
        return f"list<{type_name(dtype.value_type)}>"
    if pa.types.is_struct(dtype):
        return f"struct<{','.join(f'{part.name}:{type_name(part.type)}' for part in dtype)}>"
    if pa.types.is_timestamp(dtype):
        return f"timestamp[{dtype.unit},{dtype.tz or ''}]"
    if pa.types.is_duration(dtype):
        return f"duration[{dtype.unit}]"
    if pa.types.is_decimal(dtype):
        return f"decimal({dtype.precision},{dtype.scale})"
    if pa.types.is_time(dtype):
        return "time"
    return "binary" if pa.types.is_large_binary(dtype) or pa.types.is_binary(dtype) else "string"


def cells_of(array: pa.Array) -> bytes:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    there = [cell.is_valid for cell in array]
    dtype, out = array.type, b"\0" if all(there) else b"\1" + bytes(there)
    if is_list(dtype):
        lengths = [len(cell) if cell.is_valid else 0 for cell in array]
        return out + counts(lengths) + cells_of(array.flatten())
    if pa.types.is_struct(dtype):
        return out + b"".join(cells_of(part) for part in array.flatten())
    if dtype in CODES:
        if pa.types.is_date(dtype):
            array = array.cast(pa.int32())
        values = [cell.as_py() if cell.is_valid else 0 for cell in array]
        return out + struct.pack(f"<{len(values)}{CODES[dtype][1]}", *values)
    if pa.types.is_timestamp(dtype) or pa.types.is_duration(dtype) or pa.types.is_time(dtype):
        values = [cell.value if cell.is_valid else 0 for cell in array]
        return out + struct.pack(f"<{len(values)}q", *values)
    pieces = [text_of(cell.as_py()) for cell in array]
    return out + counts(map(len, pieces)) + b"".join(pieces)


def text_of(cell: Any) -> bytes:
    if cell is None:
        return b""
    if isinstance(cell, bytes):
        return cell
    return (cell if isinstance(cell, str) else f"{cell:f}").encode()


def counts(numbers: Any) -> bytes:
    return b"".join(struct.pack("<Q", number) for number in numbers)


def second_digest(frame: pl.DataFrame, geometry: Geometry, leave_out: set[str]) -> str:
    table = frame.to_arrow()
    said = b"vulcan content digest 1\n"
    said += json.dumps(geometry.as_dict(), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    foreign = sorted(set(table.column_names) - set(DTYPES))
    for name in [name for name in DTYPES if name in table.column_names] + foreign:
        if name not in IDENTITY | leave_out:
            column = table[name]
            said += f"{name}\n{type_name(column.type)}\n".encode() + counts([len(column)])
            said += cells_of(column)
    return xxhash.xxh3_128(said).hexdigest()


@given(vacua(), geometries())
def test_a_second_implementation_agrees(frame: pl.DataFrame, geometry: Geometry) -> None:
    (shard,) = prepare(frame, Run(geometry=geometry), now=NOW).shards
    filled = {"created_at", "wall_clock_s"} - set(frame.columns)
    assert set(shard.circumstances) == filled
    assert shard.digest == second_digest(shard.frame, geometry, filled)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([None, "", "ä\x00\n"]),
        pl.Series([b"\xff\x00", None, b""]),
        pl.Series([[["a"], []], None, [None, ["b", None]]]),
        pl.Series([{"a": 1, "b": [None, "x"]}, None, {"a": None, "b": None}]),
        pl.Series([[{"a": 1.5}], [], [None, {"a": None}]]),
        pl.Series(["1.50", None, "-0.01"]).cast(pl.Decimal(38, 2)),
        pl.Series([1, None, 3]).cast(pl.Date),
        pl.Series([1, None, 3]).cast(pl.Time),
        pl.Series([1, None, -3]).cast(pl.Datetime("ns", "Europe/Berlin")),
        pl.Series([1, None, -3]).cast(pl.Duration("ms")),
        pl.Series([[1, 2], None, [3, None]], dtype=pl.Array(pl.Int8, 2)),
        pl.Series([[[1], [2]], None, [[3], [None]]], dtype=pl.Array(pl.UInt16, (2, 1))),
        pl.Series([True, None, False]),
        pl.Series([0.0, -0.0, float("nan")], dtype=pl.Float32),
        pl.Series([None, None, None]),
        pl.Series([[], None, [None]], dtype=pl.List(pl.Null)),
    ],
    ids=lambda column: str(column.dtype),
)
def test_a_second_implementation_agrees_on_every_type(column: pl.Series) -> None:
    frame = pl.DataFrame({"x": column})
    assert content_digest(frame, GEOMETRY) == second_digest(frame, GEOMETRY, set())
    doubled = pl.concat([frame, frame.slice(1)]).slice(2, 2)
    assert content_digest(doubled, GEOMETRY) == second_digest(doubled, GEOMETRY, set())


@pytest.mark.parametrize("n_rows", [0, 1, 65_535, 65_536, 65_537, 131_073])
def test_every_row_counts_however_many_there_are(n_rows: int) -> None:
    numbers = pl.int_range(0, n_rows, eager=True)
    frame = pl.DataFrame({"x": numbers, "y": numbers.cast(pl.String)})
    said = "".join(map(str, range(n_rows))).encode()
    lengths = [len(str(number)) for number in range(n_rows)]
    state = xxhash.xxh3_128(b"vulcan content digest 1\n")
    state.update(b'{"cicy_id":-1,"conifold_id":-1,"h11":1,"h12":-1,"ks_id":-1,"triang_id":-1}\n')
    state.update(
        b"x\nint64\n" + counts([n_rows]) + b"\0" + struct.pack(f"<{n_rows}q", *range(n_rows))
    )
    state.update(b"y\nstring\n" + counts([n_rows]) + b"\0" + counts(lengths) + said)
    assert content_digest(frame, Geometry(h11=1)) == state.hexdigest()


def test_pinned_digest_of_a_real_file() -> None:
    """Never to change: the digest is part of run ids that are published."""
    frame = pl.read_parquet(REAL / "model_h12-3_2_batch1.parquet")
    (shard,) = prepared(frame, geometry=Geometry(h11=131, h12=3, ks_id=2, triang_id=0)).shards
    assert shard.digest == "77045bbdf77d3b7adb9d965451edc7cf"


def test_the_format_of_the_input_does_not_matter() -> None:
    frame = pl.read_parquet(REAL / "model_h12-2_1_batch0.parquet")
    arrow, stream, lines = BytesIO(), BytesIO(), BytesIO()
    frame.write_ipc(arrow)
    frame.write_ipc_stream(stream)
    frame.write_ndjson(lines)
    frames = [
        inputs.read_file(REAL / "model_h12-2_1_batch0.parquet").frame,
        inputs.read_file(REAL / "model_h12-2_1_batch0.csv").frame,
        *(inputs.read_bytes(file.getvalue(), name="x").frame for file in (arrow, stream, lines)),
        inputs.from_frame(frame.to_arrow()),
    ]
    digests = [prepared(frame).shards[0].digest for frame in frames]
    assert digests == digests[:1] * len(frames)


@given(vacua(max_rows=4), st.data())
def test_layout_in_memory_does_not_matter(frame: pl.DataFrame, data: st.DataObject) -> None:
    digest = content_digest(frame, GEOMETRY)
    chunked = pl.concat([frame[:1], frame[1:]], rechunk=False)
    padded = pl.concat([frame[:1], frame, frame[:1]]).slice(1, frame.height)
    order = data.draw(st.permutations(frame.columns))
    from_python = pl.DataFrame(frame.to_dict(as_series=False), schema=frame.schema, strict=False)
    others = [chunked, padded, frame.select(order), from_python]
    assert [content_digest(other, GEOMETRY) for other in others] == [digest] * 4


def test_what_hides_under_a_null_does_not_matter() -> None:
    hidden = pa.array([9, 9, 9, 9])
    mask = pa.array([False, True, False])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 3, 4], pa.int32()), hidden, mask=mask)
    structs = pa.StructArray.from_arrays([pa.array([9, 9, 9])], ["a"], mask=mask)
    frame = pl.DataFrame(pa.table({"l": lists, "s": structs}))
    plain = pl.DataFrame({"l": [[9], None, [9]], "s": [{"a": 9}, None, {"a": 9}]})
    assert content_digest(frame, GEOMETRY) == content_digest(plain, GEOMETRY)


def test_when_a_job_ran_does_not_matter_where_we_tell_it() -> None:
    later = NOW.replace(year=2027)
    one = prepared(rows(), provenance={"wall_clock_s": 1.0}).shards[0]
    other = prepare(rows(), Run(geometry=GEOMETRY, provenance={"wall_clock_s": 2.0}), now=later)
    named = prepared(rows(run_id=["a", "b"], geometry_id=["c", "d"], h11=[5, 6])).shards[0]
    assert {one.digest, other.shards[0].digest, named.digest} == {one.digest}


def test_all_else_matters() -> None:
    base = rows()
    changed = [
        prepared(base, geometry=Geometry(h11=272, h12=2, ks_id=1, triang_id=1)),
        prepared(base, provenance={"seed": 1}),
        prepared(base, solver={"name": "newton"}),
        prepared(rows(3)),
        prepared(base.reverse()),
        prepared(rows(created_at=[NOW, NOW])),
        prepared(rows(wall_clock_s=[1.0, 2.0])),
        prepared(rows(wall_clock_s=[1.0, None])),
        prepared(rows(note=[None, None])),
        prepared(rows(note=[1, 2])),
        prepared(rows(note=[1.0, 2.0])),
        prepared(rows(note=["1", "2"])),
        prepared(rows(note=["12", ""])),
        prepared(rows(note=["", "12"])),
        prepared(rows(note=[[1], [2]])),
        prepared(rows(note=[[1, 2], []])),
        prepared(rows(other=[1, 2])),
        prepared(rows(tau_re=[-0.0, 0.125])),
        prepared(rows(tau_re=[0.0, 0.125])),
    ]
    digests = {shards.shards[0].digest for shards in [prepared(base), *changed]}
    assert len(digests) == 1 + len(changed)
