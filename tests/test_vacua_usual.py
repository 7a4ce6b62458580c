"""Columns that need no long look: the same cells, and never one that is wrong."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal, assert_series_equal

from tests.strategies import vacua
from tests.vacua_support import GEOMETRY, NOW, rows
from vulcan_cli.vacua import conform as conform_module
from vulcan_cli.vacua.conform import conform
from vulcan_cli.vacua.findings import Findings
from vulcan_cli.vacua.schema import DTYPES
from vulcan_cli.vacua.usual import usual_column

HUGE = 1.7e308


def conformed(frame: pl.DataFrame) -> pl.DataFrame:
    findings = Findings()
    made = conform(frame, keys=GEOMETRY.as_dict(), fill={"created_at": NOW}, findings=findings)
    findings.refuse()
    return made


@given(vacua())
def test_the_short_way_gives_what_the_long_one_gives(frame: pl.DataFrame) -> None:
    short = conformed(frame)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conform_module, "usual_column", lambda _: None)
        assert_frame_equal(conformed(frame), short)


@pytest.mark.parametrize(
    ("name", "cells", "dtype"),
    [
        ("flux", [[1, -2], [3, 4]], pl.List(pl.Int64)),
        ("flux", [[1, -2], [3, 4]], pl.List(pl.Int32)),
        ("moduli_im", [[0.5], [1.5]], pl.List(pl.Float64)),
        ("tau_im", [0.5, 1e300], pl.Float64()),
        ("tadpole_charge", [2**31 - 1, 0], pl.UInt64()),
        ("mass2", [[], None], pl.List(pl.Float64)),
        ("mass2", [[float("nan"), None], [float("inf")]], pl.List(pl.Float64)),
        ("is_susy", [True, None], pl.Boolean()),
        ("cert_status", ["certified", None], pl.String()),
        ("tags", ["one", "another"], pl.String()),
    ],
)
def test_plain_columns_are_taken(name: str, cells: list[Any], dtype: pl.DataType) -> None:
    column = usual_column(pl.Series(name, cells, dtype=dtype))
    assert column is not None
    assert_series_equal(column, pl.Series(name, cells, dtype=DTYPES[name]))


def test_numbers_whose_sum_overflows_are_no_fault() -> None:
    assert usual_column(pl.Series("tau_re", [HUGE, HUGE])) is None
    assert conformed(rows(tau_re=[HUGE, HUGE]))["tau_re"].to_list() == [HUGE, HUGE]


def test_times_always_take_the_long_way() -> None:
    assert usual_column(pl.Series("created_at", [NOW, NOW])) is None
