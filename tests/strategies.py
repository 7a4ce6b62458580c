"""Hypothesis strategies for frames as solvers write them, all of them fit for a shard."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from vulcan_cli.vacua.geometry import KEYS, Geometry
from vulcan_cli.vacua.schema import CERT_STATUSES, DTYPES, IDENTITY, REQUIRED

_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_INT32 = st.integers(-(2**31), 2**31 - 1)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_MOMENTS = st.datetimes(
    datetime(1, 1, 2),
    datetime(9999, 12, 30),
    timezones=st.just(UTC),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
"""Any text that UTF-8 can hold, and too short to look like a token."""

_OPTIONAL = [name for name in DTYPES if name not in (*REQUIRED, *IDENTITY)]

_FLUX_TYPES = (pl.List(pl.Int32), pl.List(pl.Int64), pl.List(pl.Float64), pl.List(pl.Int8))

EXTENSIONS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (pl.String(), TEXT),
    "bytes": (pl.Binary(), st.binary(max_size=8)),
    "flag": (pl.Boolean(), st.booleans()),
    "small": (pl.Int8(), st.integers(-128, 127)),
    "unsigned": (pl.UInt64(), st.integers(0, 2**64 - 1)),
    "single": (pl.Float32(), st.floats(width=32)),
    "double": (pl.Float64(), st.floats()),
    "exact": (pl.Decimal(20, 3), st.decimals(-(10**9), 10**9, places=3)),
    "day": (pl.Date(), st.dates(date(1, 1, 1), date(9999, 12, 31))),
    "moment": (pl.Datetime("us", "UTC"), _MOMENTS),
    "span": (pl.Duration("us"), st.timedeltas(timedelta(days=-(10**8)), timedelta(days=10**8))),
    "none": (pl.Null(), st.none()),
    "words": (pl.List(pl.String), st.lists(st.none() | TEXT, max_size=3)),
    "nested": (pl.List(pl.List(pl.Int16)), st.lists(st.lists(st.integers(-9, 9), max_size=2))),
    "pair": (
        pl.Struct({"a": pl.Int64, "b": pl.List(pl.String)}),
        st.fixed_dictionaries({"a": st.none() | _INT64, "b": st.lists(TEXT, max_size=2)}),
    ),
    "fixed": (pl.Array(pl.Float32, 2), st.lists(st.floats(width=32), min_size=2, max_size=2)),
}
"""Columns that a shard does not know: name to Polars type and cells."""


def geometries() -> st.SearchStrategy[Geometry]:
    """Geometries with at least one key."""
    keys = st.just(-1) | st.integers(0, 2**31 - 1)
    some = st.tuples(*[keys] * len(KEYS)).filter(lambda values: set(values) != {-1})
    return some.map(lambda values: Geometry(*values))


@st.composite
def vacua(draw: st.DrawFn, *, max_rows: int = 6) -> pl.DataFrame:
    """Rows of one geometry, without its keys: what is required, and some of all else.

    Lists have one length, optional columns have nulls, columns stand in any order.
    """
    n_rows = draw(st.integers(1, max_rows))
    n_moduli = draw(st.integers(1, 3))
    columns = {
        "flux": draw(_flux(n_rows)),
        "moduli_re": _series(draw, pl.List(pl.Float64), _lists(_FINITE, n_moduli), n_rows),
        "moduli_im": _series(draw, pl.List(pl.Float64), _lists(_FINITE, n_moduli), n_rows),
        "tau_re": _series(draw, pl.Float64(), _FINITE, n_rows),
        "tau_im": _series(draw, pl.Float64(), st.floats(5e-324, 1e308), n_rows),
        "tadpole_charge": _series(draw, pl.Int64(), _INT32, n_rows),
    }
    if draw(st.booleans()):
        columns["created_at"] = _series(draw, pl.Datetime("us", "UTC"), _MOMENTS, n_rows)
    for name in draw(st.lists(st.sampled_from(_OPTIONAL), max_size=4, unique=True)):
        cells = st.none() | _optional_cells(name)
        columns[name] = _series(draw, DTYPES[name], cells, n_rows)
    for name in draw(st.lists(st.sampled_from(sorted(EXTENSIONS)), max_size=3, unique=True)):
        dtype, cells = EXTENSIONS[name]
        columns[name] = _series(draw, dtype, st.none() | cells, n_rows)
    order = draw(st.permutations(sorted(columns)))
    return pl.DataFrame({name: columns[name] for name in order})


@st.composite
def _flux(draw: st.DrawFn, n_rows: int) -> pl.Series:
    dtype = draw(st.sampled_from(_FLUX_TYPES))
    quanta = st.integers(-128, 127) if dtype.inner == pl.Int8 else _INT32
    return _series(draw, dtype, _lists(quanta, draw(st.integers(1, 12))), n_rows)


def _optional_cells(name: str) -> st.SearchStrategy[Any]:
    if name == "cert_status":
        return st.sampled_from(CERT_STATUSES)
    dtype = DTYPES[name]
    if isinstance(dtype, pl.List):
        return st.lists(st.none() | st.floats(), max_size=3)
    by_type: dict[Any, st.SearchStrategy[Any]] = {
        pl.Float64: st.floats(),
        pl.Float32: st.floats(width=32),
        pl.Int32: _INT32,
        pl.Int64: _INT64,
        pl.Boolean: st.booleans(),
        pl.String: TEXT,
    }
    return by_type[dtype.base_type()]


def _lists(cells: st.SearchStrategy[Any], length: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(cells, min_size=length, max_size=length)


def _series(draw: st.DrawFn, dtype: Any, cells: st.SearchStrategy[Any], n_rows: int) -> pl.Series:
    values = draw(_lists(cells, n_rows))
    return pl.Series(values, dtype=dtype, strict=False)


def slugs() -> st.SearchStrategy[str]:
    """Short words that may stand in a run id."""
    return st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
