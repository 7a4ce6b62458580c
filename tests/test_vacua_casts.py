"""Casts: a cell is either had exactly or marked; never rounded, truncated or moved."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_cli.vacua import casts

INT32, INT64 = pl.Int32(), pl.Int64()
FLOAT32, FLOAT64 = pl.Float32(), pl.Float64()
UTC_TIME = pl.Datetime("us", "UTC")
INTEGER_TYPES = (
    pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Int128,
)  # fmt: skip


def cast(cells: pl.Series | list[Any], dtype: pl.DataType) -> list[object]:
    """Each cell after its cast; `...` where it is marked as inexact."""
    series = cells if isinstance(cells, pl.Series) else pl.Series(cells)
    after = casts.cast(series, dtype)
    assert (after.values.dtype, len(after.values), len(after.inexact)) == (
        dtype,
        *[len(series)] * 2,
    )
    pairs = zip(after.values, after.inexact, strict=True)
    return [... if inexact else value for value, inexact in pairs]


def is_integer_text(text: str) -> int | None:
    """What decimal text tells exactly, worked out with fractions."""
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", text.strip()):
        return None
    value = Fraction(text.strip())
    return int(value) if value.denominator == 1 else None


@given(st.lists(st.none() | st.integers(-(2**70), 2**70)), st.sampled_from([INT32, INT64]))
def test_integers_fit_or_are_marked(cells: list[int | None], dtype: pl.DataType) -> None:
    highest = 2 ** (31 if dtype == pl.Int32 else 63) - 1
    wanted = [x if x is None or -highest - 1 <= x <= highest else ... for x in cells]
    assert cast(pl.Series(cells, dtype=pl.Int128), dtype) == wanted


@pytest.mark.parametrize("source", INTEGER_TYPES)
@pytest.mark.parametrize("dtype", [INT32, INT64])
def test_ends_of_each_integer_type(source: Any, dtype: pl.DataType) -> None:
    ends = [source.min(), source.max()]
    cells = [pl.select(end).item() for end in ends] + [0, None]
    highest = 2 ** (31 if dtype == pl.Int32 else 63) - 1
    wanted = [x if x is None or -highest - 1 <= x <= highest else ... for x in cells]
    assert cast(pl.Series(cells, dtype=source), dtype) == wanted


@given(st.lists(st.none() | st.floats() | st.integers(-(2**33), 2**33).map(float)))
def test_floats_become_int32_only_where_they_are_one(cells: list[float | None]) -> None:
    wanted = [
        x if x is None else int(x) if x.is_integer() and -(2**31) <= x < 2**31 else ...
        for x in cells
    ]
    assert cast(pl.Series(cells, dtype=FLOAT64), INT32) == wanted


@given(st.lists(st.floats() | st.integers(-(2**64), 2**64).map(float)))
def test_large_floats_may_hide_a_rounding_and_are_no_int64(cells: list[float]) -> None:
    wanted = [int(x) if x.is_integer() and abs(x) < 2**53 else ... for x in cells]
    assert cast(pl.Series(cells, dtype=FLOAT64), INT64) == wanted


def test_32_bit_floats_become_integers_exactly() -> None:
    cells = pl.Series([1.5, 2.0, 2147483648.0, -2147483648.0, float("nan")], dtype=FLOAT32)
    assert cast(cells, INT32) == [..., 2, ..., -(2**31), ...]


@given(st.lists(st.decimals(-(10**12), 10**12, places=2)))
def test_decimals_become_integers_only_where_they_are_one(cells: list[Decimal]) -> None:
    wanted = [int(x) if x == int(x) and -(2**31) <= x < 2**31 else ... for x in cells]
    assert cast(pl.Series(cells, dtype=pl.Decimal(20, 2)), INT32) == wanted


@given(st.lists(st.integers(-(2**65), 2**65).map(str) | st.integers(-99, 99).map(str)))
def test_text_of_integers(cells: list[str]) -> None:
    wanted = [int(x) if -(2**63) <= int(x) < 2**63 else ... for x in cells]
    assert cast(pl.Series(cells, dtype=pl.String), INT64) == wanted


@given(
    st.lists(
        st.from_regex(r"\A ?[+-]?[0-9]{0,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})? ?\Z")
        | st.from_regex(r"\A[0-9]{1,3}\.0{0,30}([eE]\+?0[0-3])?\Z")
        | st.sampled_from(["nan", "inf", "0x10", "1_000", "5\x00", "٣", "--1", "1e", "true", ""])
    )
)
def test_text_becomes_an_integer_exactly_or_is_marked(cells: list[str]) -> None:
    """What is marked may be an integer spelt oddly; what is not marked is exactly that one."""
    for text, found in zip(cells, cast(pl.Series(cells, dtype=pl.String), INT64), strict=True):
        assert found in (..., is_integer_text(text)), text


def test_usual_spellings_of_integers() -> None:
    cells = ["5", " 5 ", "+5", "-0", "5.0", "5.", "1e3", "-0.0", "1.000000000000000000e+01", "007"]
    assert cast(cells, INT64) == [5, 5, 5, 0, 5, 5, 1000, 0, 10, 7]


def test_one_odd_cell_does_not_cost_the_others_their_digits() -> None:
    cells = ["9007199254740993", "9223372036854775807", "1.0", None, "x"]
    assert cast(cells, INT64) == [9007199254740993, 9223372036854775807, 1, None, ...]


def test_text_that_a_float_would_round_is_no_integer() -> None:
    cells = [
        "9007199254740993.0",
        "5.0000000000000000001",
        "9223372036854775808",
        "1234567890123e6",
    ]
    assert cast(cells, INT64) == [...] * 4


@given(st.lists(st.floats(allow_nan=False)))
def test_text_of_floats_gives_the_float_back(cells: list[float]) -> None:
    assert cast(pl.Series([repr(x) for x in cells], dtype=pl.String), FLOAT64) == cells


@given(st.from_regex(r"\A[+-]?[0-9]{1,30}\.[0-9]{1,30}([eE][+-]?[0-9]{1,3})?\Z"))
def test_text_becomes_the_nearest_float_or_is_marked_beyond_them_all(text: str) -> None:
    number = float(text)
    assert cast([text], FLOAT64) == [... if abs(number) == float("inf") else number]


def test_text_of_floats_at_the_edge() -> None:
    cells = ["1e400", "-1e400", "inf", "-Infinity", "0x10", "1_0", "", "1,5", None]
    wanted = [..., ..., float("inf"), float("-inf"), ..., ..., ..., ..., None]
    assert cast(cells, FLOAT64) == wanted
    assert cast(["1e39", "inf", "0.5", "x"], FLOAT32) == [..., float("inf"), 0.5, ...]


@given(st.lists(st.none() | st.integers(-(2**127), 2**127 - 1)))
def test_integers_become_floats_exactly_or_are_marked(cells: list[int | None]) -> None:
    wanted = [x if x is None else float(x) if int(float(x)) == x else ... for x in cells]
    assert cast(pl.Series(cells, dtype=pl.Int128), FLOAT64) == wanted


def test_large_unsigned_integers_become_floats_exactly_or_are_marked() -> None:
    cells = pl.Series([2**63, 2**64 - 1, 2**53 + 1], dtype=pl.UInt64)
    assert cast(cells, FLOAT64) == [2.0**63, ..., ...]


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_32_bit_floats_become_64_bits_exactly(cells: list[float]) -> None:
    assert cast(pl.Series(cells, dtype=FLOAT32), FLOAT64) == cells


def test_rounding_to_32_bits_is_allowed_and_overflow_is_not() -> None:
    cells = [0.1, 1e39, float("inf"), 3.4028235677973366e38, None]
    assert cast(cells, FLOAT32) == [0.10000000149011612, ..., float("inf"), ..., None]


def test_booleans() -> None:
    assert cast(["true", " False ", "1", "0", "yes", "", None], pl.Boolean()) == [
        True, False, True, False, ..., ..., None,
    ]  # fmt: skip
    assert cast([1, 0, 2, -1, None], pl.Boolean()) == [True, False, ..., ..., None]


def test_text() -> None:
    assert cast([1, None], pl.String()) == ["1", None]
    for source in (pl.Categorical(), pl.Enum(["a"])):
        assert cast(pl.Series(["a", None], dtype=source), pl.String()) == ["a", None]
    assert cast(pl.Series(["17", None], dtype=pl.Categorical), INT32) == [17, None]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)), st.sampled_from(["ns", "us", "ms"]))
def test_times_are_whole_microseconds_of_known_years_or_marked(
    stamps: list[int | None], unit: Any
) -> None:
    steps = {"ns": Fraction(1, 1000), "us": Fraction(1), "ms": Fraction(1000)}[unit]
    first, end = (
        Fraction((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
        for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    )
    wanted: list[object] = []
    for stamp in stamps:
        micros = None if stamp is None else stamp * steps
        fits = micros is None or (micros.denominator == 1 and first <= micros <= end)
        wanted.append(None if micros is None else int(micros) if fits else ...)
    for zone in (None, "UTC", "Europe/Berlin"):
        cells = pl.Series(stamps, dtype=pl.Int64).cast(pl.Datetime(unit, zone))
        after = casts.cast(cells, UTC_TIME)
        pairs = zip(after.values.to_physical(), after.inexact, strict=True)
        assert [... if inexact else value for value, inexact in pairs] == wanted


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from(["T", " ", "t"]))
def test_iso_text_is_a_time(moment: datetime, between: str) -> None:
    assert cast([moment.isoformat(between)], UTC_TIME) == [moment]
    assert cast([moment.replace(tzinfo=None).isoformat(between)], UTC_TIME) == [moment]


def test_zones_in_text() -> None:
    wanted = datetime(2026, 6, 1, 12, 34, 56, tzinfo=timezone(timedelta(hours=2)))
    cells = ["2026-06-01T12:34:56+02:00", "2026-06-01 12:34:56+0200", "2026-06-01T10:34:56z"]
    assert cast(cells, UTC_TIME) == [wanted] * 3


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01T12:34:56.1234567Z",  # a digit would go
        "2026-06-01T12:34:60Z",  # would become the next minute
        "2026-02-30T00:00:00Z",
        "2026-06-01",
        "1780000000",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-05:00",
        "today",
        "",
    ],
)
def test_text_that_is_no_time(text: str) -> None:
    assert cast([text], UTC_TIME) == [...]


def test_digits_of_a_time_that_say_nothing_may_go() -> None:
    wanted = datetime(2026, 6, 1, 12, 34, 56, 123450, tzinfo=UTC)
    assert cast(["2026-06-01T12:34:56.123450000"], UTC_TIME) == [wanted]


def test_a_day_is_its_midnight() -> None:
    assert cast([date(2026, 6, 1), None], UTC_TIME) == [datetime(2026, 6, 1, tzinfo=UTC), None]


@pytest.mark.parametrize("dtype", [INT32, INT64, FLOAT64, pl.Boolean(), pl.String(), UTC_TIME])
def test_null_is_null_in_every_type(dtype: pl.DataType) -> None:
    assert cast(pl.Series([None, None]), dtype) == [None, None]
    assert cast(pl.Series([], dtype=pl.Null), dtype) == []


@pytest.mark.parametrize(
    ("cells", "dtype", "message"),
    [
        ([True], INT32, "must be an integer from -2147483648 to 2147483647"),
        ([[1]], INT32, "must be an integer from -2147483648 to 2147483647"),
        ([True], FLOAT64, "must be a number within the range of a 64-bit float"),
        ([{"a": 1}], FLOAT64, "must be a number within the range of a 64-bit float"),
        ([1.0], pl.Boolean(), "must be true or false"),
        ([1.5], pl.String(), "must be text"),
        ([b"a"], pl.String(), "must be text"),
        ([5], UTC_TIME, "must be a time"),
    ],
)
def test_types_that_have_nothing_to_do_with_each_other(
    cells: list[Any], dtype: pl.DataType, message: str
) -> None:
    with pytest.raises(casts.UncastableError) as error:
        casts.cast(pl.Series(cells), dtype)
    assert str(error.value) == message


def lists(cells: pl.Series | list[Any], dtype: pl.DataType = INT32) -> list[object]:
    """Each list after its cast; `...` where one of its cells is marked as inexact."""
    flat = casts.flatten(cells if isinstance(cells, pl.Series) else pl.Series(cells))
    marked = set(flat.rows().filter(casts.cast(flat.cells, dtype).inexact))
    after = flat.lists.cast(pl.List(dtype), strict=False).to_list()
    return [... if row in marked else cells for row, cells in enumerate(after, start=1)]


@given(st.lists(st.none() | st.lists(st.integers(-(2**31), 2**31 - 1))))
def test_every_spelling_of_a_list(cells: list[list[int] | None]) -> None:
    def text(spell: Any) -> pl.Series:
        return pl.Series([None if x is None else spell(x) for x in cells], dtype=pl.String)

    assert lists(text(str)) == cells
    assert lists(text(lambda x: " ".join(map(str, x)))) == cells
    assert lists(text(lambda x: " [ " + "\n ".join(map(str, x)) + " ] ")) == cells
    assert lists(text(lambda x: ",".join(map(str, x)))) == cells
    assert lists(text(lambda x: str([float(cell) for cell in x]))) == cells
    assert lists(pl.Series(cells, dtype=pl.List(pl.Int64))) == cells
    words = [None if x is None else [f" {cell} " for cell in x] for x in cells]
    assert lists(pl.Series(words, dtype=pl.List(pl.String))) == cells


@given(st.lists(st.lists(st.none() | st.floats(allow_nan=False))))
def test_lists_of_floats_as_json_text(cells: list[list[float | None]]) -> None:
    text = [str(x).replace("None", "null") for x in cells]
    assert lists(pl.Series(text, dtype=pl.String), FLOAT64) == cells


@pytest.mark.parametrize(
    "text",
    ["[1, 2", "1, 2]", "[[1, 2], [3]]", "(1, 2]", "[1;2]", "[1,,2]", "[1, 2,]", "[1.5, 2]", "nan",
     "1_000 2", "0x10", "2147483648", '"1" 2', "array([1, 2])", "1 . 2", "[1 2 ... 9]", "{1, 2",
     "-", "0,5 1,5", "1, 2 3", "([1, 2])", "(1+2j)"],
)  # fmt: skip
def test_text_that_is_no_list_of_integers(text: str) -> None:
    assert lists([text, "[5]"]) == [..., [5]]


def test_lists_of_every_type() -> None:
    assert lists(pl.Series([[1, 2], None], dtype=pl.Array(pl.Int64, 2))) == [[1, 2], None]
    assert lists(pl.Series([[], []], dtype=pl.Array(pl.Int8, 0))) == [[], []]
    assert lists(pl.Series([[2**64 - 1], [3], []], dtype=pl.List(pl.UInt64))) == [..., [3], []]
    assert lists(pl.Series([["1"], None], dtype=pl.List(pl.Categorical))) == [[1], None]
    assert lists(pl.Series(["[1]", None], dtype=pl.Categorical)) == [[1], None]
    assert lists(pl.Series([None, None])) == [None, None]
    assert lists(pl.Series([[None], []], dtype=pl.List(pl.Null))) == [[None], []]
    assert lists(pl.Series([[1.0, 2.5], [3.0]])) == [..., [3]]


@pytest.mark.parametrize("cells", [[1, 2], [{"a": 1}], [True]])
def test_what_is_no_list(cells: list[Any]) -> None:
    with pytest.raises(casts.UncastableError, match=r"^must be numbers$"):
        casts.flatten(pl.Series(cells))


def test_rows_of_cells_count_null_and_empty_lists() -> None:
    flat = casts.flatten(pl.Series([[1, 2], None, [], [3]]))
    assert (flat.cells.to_list(), flat.rows().to_list()) == ([1, 2, 3], [1, 1, 4])
