"""The content digest: which rows are the same rows, on every machine and in every version.

xxh3_128 over, one after the other,

1. the line `vulcan content digest 1`,
2. the geometry: compact JSON of its six keys, keys sorted, and a line feed,
3. each column, known ones in the order of `schema.COLUMNS`, then the others by name:
   its name and its type as text with a line feed after each, the number of rows, its cells.

Left out are `run_id`, `geometry_id` and the six keys, which (2) says already, and whatever the
caller leaves out because it only says where and when a job ran.

Numbers are little-endian, counts are unsigned with 64 bits. Cells are: one byte 1 and a byte a
row (1 where there is a value), or one byte 0 where no cell is null; then

* numbers, dates and times: the bits as they stand, nulls as zero; booleans as bytes,
* text, and decimals as text: the length of each cell in bytes, then all the UTF-8 in one piece,
* lists: the length of each list, then the entries of all lists as cells,
* structs: each field as cells.

Types are called `int8` to `uint64`, `float32`, `float64`, `boolean`, `string`, `binary`, `null`,
`date`, `time`, and with what is inside them `list<…>` (of fixed size too), `struct<name:…,…>`,
`timestamp[unit,zone]`, `duration[unit]`, `decimal(precision,scale)`.
"""

from __future__ import annotations

import json
from collections.abc import Collection

import polars as pl
import xxhash

from vulcan_cli.vacua.arrow_c import value_buffers
from vulcan_cli.vacua.arrow_ipc import inner, instance
from vulcan_cli.vacua.casts import entries
from vulcan_cli.vacua.geometry import Geometry
from vulcan_cli.vacua.schema import DTYPES, IDENTITY

_PIECE = 2**16
HEADER = b"vulcan content digest 1\n"

CIRCUMSTANCES = frozenset({"created_at", "wall_clock_s"})
"""Columns that only say when and how long a job ran, where we fill them from outside the rows."""


def content_digest(
    rows: pl.DataFrame, geometry: Geometry, *, leave_out: Collection[str] = ()
) -> str:
    """The digest of conformed rows of one geometry, as 32 hex digits.

    Args:
        rows: The rows of a shard, conformed; identity columns may be there or not.
        geometry: Their geometry.
        leave_out: Columns that only say when the job ran: those of `CIRCUMSTANCES` that we filled.
    """
    state = xxhash.xxh3_128(HEADER)
    keys = json.dumps(geometry.as_dict(), sort_keys=True, separators=(",", ":"))
    state.update(f"{keys}\n".encode())
    columns = {column.name: column for column in rows}
    known = [name for name in DTYPES if name in columns]
    for name in known + sorted(columns.keys() - DTYPES.keys()):
        if name not in IDENTITY and name not in leave_out:
            state.update(f"{name}\n{_type_name(columns[name].dtype)}\n".encode())
            state.update(_count(rows.height))
            _update(state, columns[name])
    return state.hexdigest()


def _update(state: xxhash.xxh3_128, cells: pl.Series) -> None:
    """Add the cells of a column, or of a list's inside."""
    if cells.null_count():
        state.update(b"\1")
        _update_values(state, cells.is_not_null().cast(pl.UInt8))
    else:
        state.update(b"\0")
    if isinstance(cells.dtype, pl.Array):
        cells = cells.arr.to_list()
    if isinstance(cells.dtype, pl.List):
        _update_lengths(state, cells.list.len())
        _update(state, entries(cells))
    elif isinstance(cells.dtype, pl.Struct):
        for part in cells.struct.unnest():
            _update(state, part)
    elif isinstance(cells.dtype, pl.Decimal):
        _update_text(state, cells.cast(pl.String))
    elif cells.dtype == pl.String:
        _update_text(state, cells)
    elif cells.dtype == pl.Binary:
        _update_lengths(state, cells.bin.size("b"))
        state.update(b"".join(cells.drop_nulls()))
    else:
        _update_values(state, _bits(cells))


def _update_values(state: xxhash.xxh3_128, values: pl.Series) -> None:
    for buffer in value_buffers(values):
        state.update(buffer)


def _update_lengths(state: xxhash.xxh3_128, lengths: pl.Series) -> None:
    _update_values(state, _without_nulls(lengths).cast(pl.UInt64))


def _update_text(state: xxhash.xxh3_128, cells: pl.Series) -> None:
    _update_lengths(state, cells.str.len_bytes())
    for piece in cells.to_frame("").iter_slices(_PIECE):
        state.update(piece[""].str.join("").item().encode())


def _bits(cells: pl.Series) -> pl.Series:
    if cells.dtype in (pl.Boolean, pl.Null):
        cells = cells.cast(pl.UInt8)
    return _without_nulls(cells.to_physical() if cells.null_count() else cells)


def _without_nulls(cells: pl.Series) -> pl.Series:
    return cells.fill_null(0) if cells.null_count() else cells


def _count(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _type_name(dtype: pl.DataType) -> str:
    """Our name of a type, as the format above lists them."""
    if isinstance(dtype, pl.List | pl.Array):
        return f"list<{_type_name(inner(dtype))}>"
    if isinstance(dtype, pl.Struct):
        fields = (f"{field.name}:{_type_name(instance(field.dtype))}" for field in dtype.fields)
        return f"struct<{','.join(fields)}>"
    if isinstance(dtype, pl.Datetime):
        return f"timestamp[{dtype.time_unit},{dtype.time_zone or ''}]"
    if isinstance(dtype, pl.Duration):
        return f"duration[{dtype.time_unit}]"
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    return str(dtype).lower()
