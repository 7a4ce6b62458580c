"""Column chunks from the bytes of a footer: what pyarrow says of them, and a pattern's mistakes."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sync_support import shard_bytes
from vulcan_cli.vacua import chunks
from vulcan_cli.vacua.chunks import Chunk, chunks_in

ROWS = pl.DataFrame(
    {
        "flux": [[number, 2, 3] for number in range(50)],
        "tau": [number / 7 for number in range(50)],
        "name": [None if number % 9 == 0 else f"name {number % 5}" for number in range(50)],
        "long": [f"{number} {'x' * 200}" for number in range(50)],
        "data": [bytes([number]) * number for number in range(50)],
        "is": [number % 2 == 0 for number in range(50)],
        "deep": [{"a": [{"b": "text", "c": [1.5, None]}]}] * 50,
        "none": [None] * 50,
    },
    schema_overrides={"flux": pl.List(pl.Int32), "none": pl.Float64},
)


def by_polars(**how: Any) -> bytes:
    file = BytesIO()
    ROWS.write_parquet(file, **how)
    return file.getvalue()


def by_arrow(**how: Any) -> bytes:
    file = BytesIO()
    pq.write_table(ROWS.to_arrow(), file, **how)
    return file.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "a shard": lambda: shard_bytes("run"),
    "Polars": by_polars,
    "Polars, many groups": lambda: by_polars(row_group_size=7),
    "Polars, no statistics": lambda: by_polars(statistics=False),
    "Polars, all statistics": lambda: by_polars(statistics="full"),
    "Polars, not packed": lambda: by_polars(compression="uncompressed"),
    "pyarrow": by_arrow,
    "pyarrow, many groups": lambda: by_arrow(row_group_size=7),
    "pyarrow, no statistics": lambda: by_arrow(write_statistics=False),
    "pyarrow, no dictionaries": lambda: by_arrow(use_dictionary=False),
    "pyarrow, an index of pages": lambda: by_arrow(write_page_index=True),
    "pyarrow, pages of version 2": lambda: by_arrow(data_page_version="2.0", compression="gzip"),
}


def footer_of(data: bytes) -> bytes:
    return data[-8 - int.from_bytes(data[-8:-4], "little") : -8]


def said_by_pyarrow(data: bytes) -> list[Chunk]:
    metadata = pq.read_metadata(pa.BufferReader(data))
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    kinds = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY")
    return [
        Chunk(
            column.path_in_schema,
            kinds.index(column.physical_type),
            column.num_values,
            column.total_compressed_size,
            column.data_page_offset,
            column.dictionary_page_offset,
        )
        for column in columns
    ]


@pytest.mark.parametrize("what", FILES)
def test_they_are_what_pyarrow_says(what: str) -> None:
    data = FILES[what]()
    assert chunks_in(footer_of(data)) == said_by_pyarrow(data)


def usual(footer: bytes, place: int) -> tuple[Chunk, int] | None:
    """What the pattern finds at a place; a path that runs out of bytes is nothing found."""
    try:
        return chunks._usual(footer, place)
    except (IndexError, ValueError):
        return None


@pytest.mark.parametrize("what", ["a shard", "Polars", "pyarrow", "pyarrow, an index of pages"])
@given(data=st.data())
def test_a_pattern_finds_what_a_walk_would_or_nothing(what: str, data: st.DataObject) -> None:
    footer = bytearray(footer_of(FILES[what]()))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(footer) - 1))
        footer[place] = data.draw(st.integers(0, 255))
    spoiled = bytes(footer)
    for place in range(len(spoiled)):
        found = usual(spoiled, place)
        if found is not None:
            assert found == chunks._walked(spoiled, place)


def test_an_end_in_the_middle_is_an_error() -> None:
    footer = footer_of(shard_bytes("run"))
    starts = footer.index(b"\x04flux\x04list")
    with pytest.raises(ValueError, match=r"^unreadable as parquet: its row groups$"):
        chunks_in(footer[: starts + 40])
