"""Inputs and what is wrong with them, for the tests of the vacua room."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vulcan_cli.errors import InputRefused
from vulcan_cli.vacua.geometry import Geometry
from vulcan_cli.vacua.prepare import Prepared, Run, prepare

DATA = Path(__file__).parent / "data"
REAL = DATA / "vacua"
NOW = datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=UTC)
GEOMETRY = Geometry(h11=272, h12=2, ks_id=1, triang_id=0)

Found = tuple[str | None, int | None, str | None, str]
"""Column, row, value and message of a problem."""


def rows(n_rows: int = 2, **columns: Any) -> pl.DataFrame:
    """Valid rows for a geometry with h12=2; a column is a list of values or a series.

    None for a column leaves it out.
    """
    frame: dict[str, Any] = {
        "flux": [[row, *range(11)] for row in range(n_rows)],
        "moduli_re": [[0.5, 0.25]] * n_rows,
        "moduli_im": [[1.5, 2.0]] * n_rows,
        "tau_re": [0.125] * n_rows,
        "tau_im": [3.0] * n_rows,
        "tadpole_charge": [7] * n_rows,
    } | columns
    return pl.DataFrame({name: cells for name, cells in frame.items() if cells is not None})


def prepared(frame: pl.DataFrame, **run: Any) -> Prepared:
    """Prepare rows at `NOW`, of `GEOMETRY` unless said otherwise."""
    return prepare(frame, Run(**{"geometry": GEOMETRY, **run}), now=NOW)


def problems(frame: pl.DataFrame, **run: Any) -> list[Found]:
    """What is wrong with rows that must be refused."""
    return refused(lambda: prepared(frame, **run))


def refused(call: Callable[[], object]) -> list[Found]:
    """The problems for which a call refuses its input."""
    with pytest.raises(InputRefused) as refusal:
        call()
    return [
        (problem.column, problem.row, problem.value, problem.message)
        for problem in refusal.value.problems
    ]
