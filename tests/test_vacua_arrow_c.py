"""The values of a column as they stand in memory."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from vulcan_cli.vacua.arrow_c import value_buffers


@pytest.mark.parametrize("n_values", [0, 1, 7, 65_536, 65_537, 600_000])
def test_value_buffers_are_all_values(n_values: int) -> None:
    series = pl.concat([pl.int_range(-1, n_values, eager=True), pl.Series([5])], rechunk=False)
    found = b"".join(value_buffers(series.slice(1, n_values)))
    assert found == struct.pack(f"<{n_values}q", *range(n_values))


@pytest.mark.parametrize(
    ("dtype", "code"), [(pl.Int8, "b"), (pl.UInt16, "H"), (pl.Float32, "f"), (pl.Float64, "d")]
)
def test_value_buffers_of_other_widths(dtype: Any, code: str) -> None:
    found = b"".join(value_buffers(pl.Series([1, 2, 3], dtype=dtype)))
    assert found == struct.pack(f"<3{code}", 1, 2, 3)


def test_times_are_the_numbers_that_they_are() -> None:
    moment = datetime(2026, 11, 26, tzinfo=UTC)
    series = pl.Series([moment], dtype=pl.Datetime("us", "UTC"))
    assert b"".join(value_buffers(series)) == struct.pack("<q", 1_795_651_200_000_000)


def test_values_outlive_their_column() -> None:
    (view,) = value_buffers(pl.int_range(0, 100_000, eager=True))
    others = [pl.int_range(5, 100_000, eager=True) for _ in range(20)]
    assert view == struct.pack("<100000q", *range(100_000))
    assert len(others) == 20
