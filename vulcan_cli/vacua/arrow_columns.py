"""The columns of a file, as Arrow reads them: are they those of a shard that everybody can read?"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from vulcan_cli.vacua.arrow_leaves import holds, is_text, leaves
from vulcan_cli.vacua.schema import DTYPES, IDENTITY, REQUIRED

_ERA_S = (-62_135_596_800, 253_402_300_799)
_DAY = 86_400
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class Columns(NamedTuple):
    """What is to be looked at in the rows.

    Attributes:
        of_text: Columns with text in them.
        to_cast: Columns of a type near their own, whose values must fit that.
        of_time: Columns with dates or times of day and date in them.
    """

    of_text: tuple[str, ...]
    to_cast: tuple[tuple[str, pa.DataType], ...]
    of_time: tuple[str, ...]


@lru_cache(maxsize=64)
def columns_of(serialized: bytes) -> Columns:
    """Look at a schema, as Arrow serializes it.

    Raises:
        ValueError: A column is missing, or has a type that it cannot have.
    """
    schema = pa.ipc.read_schema(pa.BufferReader(serialized))
    must = {*REQUIRED, *IDENTITY}
    to_cast = []
    for name in DTYPES:
        indices = schema.get_all_field_indices(name)
        if not indices and name not in must:
            continue
        if len(indices) != 1:
            raise ValueError(f"{len(indices)} columns {name}")
        found, known = schema.field(indices[0]).type, _arrow_types(name)
        if any(found.equals(kind) for kind in known):
            continue
        if name in must or not _is_like(found, known[0]):
            raise ValueError(f"column {name} is {found}")
        to_cast.append((name, known[0]))
    of_text = tuple(field.name for field in schema if holds(field.type, is_text))
    of_time = tuple(field.name for field in schema if holds(field.type, _is_time))
    return Columns(of_text, tuple(to_cast), of_time)


def is_of_our_era(cells: pa.Array) -> bool:
    """Whether all dates are of the years 1 to 9999: who writes others as text ends in a panic."""
    return all(map(_is_of_our_era, leaves(cells, _is_time)))


def _is_of_our_era(cells: pa.Array) -> bool:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary
    kind = cells.type
    per_second = 1 if pa.types.is_date32(kind) else _PER_SECOND[getattr(kind, "unit", "ms")]
    seconds = _DAY if pa.types.is_date32(kind) else 1
    ends = pc.min_max(cells.view(pa.int32() if pa.types.is_date32(kind) else pa.int64())).as_py()
    least, most = (end * per_second // seconds for end in _ERA_S)
    return ends["min"] is None or (least <= ends["min"] and ends["max"] <= most)


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _arrow_types(name: str) -> tuple[pa.DataType, ...]:
    """What a column's Polars type may be in a file: lists and text come in two sizes."""
    large = pl.DataFrame(schema={name: DTYPES[name]}).to_arrow().field(name).type
    if pa.types.is_large_list(large):
        return large, pa.list_(large.value_type)
    return (large, pa.string()) if pa.types.is_large_string(large) else (large,)


def _is_like(found: pa.DataType, known: pa.DataType) -> bool:
    """Whether values of one type could be values of a known column's: a number for a number."""
    if pa.types.is_dictionary(found):
        return _is_like(found.value_type, known)
    if pa.types.is_null(found):
        return True
    if pa.types.is_large_list(known):
        return _is_list(found) and _is_like(found.value_type, known.value_type)
    return any(each(found) and each(known) for each in (_is_number, _is_text, pa.types.is_boolean))


def _is_list(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(each(kind) for each in lists)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(each(kind) for each in texts)
