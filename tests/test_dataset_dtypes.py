"""Types of columns as JSON: every type that a file holds comes back, and nothing else is read."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_cli.dataset.dtypes import read, spell

SIMPLE = (
    *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.Int128()),
    *(pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64(), pl.UInt128()),
    *(pl.Float16(), pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Binary()),
    *(pl.Date(), pl.Time(), pl.Null(), pl.Categorical()),
)
UNITS = st.sampled_from(["ms", "us", "ns"])
NAMES = st.text(st.characters(codec="utf-8"), max_size=4)


def _is_a_name(text: str) -> bool:
    """Of a field: no pattern."""
    return text != "*" and not (text.startswith("^") and text.endswith("$"))


@st.composite
def decimals(draw: st.DrawFn) -> pl.DataType:
    precision = draw(st.integers(1, 38))
    return pl.Decimal(precision, draw(st.integers(0, precision)))


def nested(inner: st.SearchStrategy[pl.DataType]) -> st.SearchStrategy[pl.DataType]:
    return st.one_of(
        st.builds(pl.List, inner),
        st.builds(pl.Array, inner, st.integers(1, 9)),
        st.dictionaries(NAMES.filter(_is_a_name), inner, max_size=3).map(pl.Struct),
    )


DTYPES = st.recursive(
    st.one_of(
        st.sampled_from(SIMPLE),
        st.builds(pl.Datetime, UNITS, st.sampled_from([None, "UTC", "Europe/Berlin"])),
        st.builds(pl.Duration, UNITS),
        st.lists(NAMES, unique=True, max_size=3).map(pl.Enum),
        decimals(),
    ),
    nested,
    max_leaves=6,
)


@given(DTYPES)
def test_a_type_comes_back_from_json(dtype: pl.DataType) -> None:
    assert read(json.loads(json.dumps(spell(dtype)))) == dtype


def test_a_type_that_would_not_come_back_is_not_spelled() -> None:
    """One word that cannot be read would spoil a whole catalog."""
    for dtype in (
        pl.Object(),
        pl.Decimal(39, 1),
        pl.Datetime("us", ""),
        pl.Array(pl.Int8, 0),
        pl.Array(pl.Int8, 1 << 30),
        pl.Struct({"*": pl.Int8}),
        pl.Struct({"^a$": pl.Int8}),
    ):
        for each in (dtype, pl.List(dtype), pl.Array(dtype, 2), pl.Struct({"a": dtype})):
            assert spell(each) is None


def deep(levels: int) -> object:
    word: object = "Int8"
    for _ in range(levels):
        word = ["List", word]
    return word


def test_types_in_types_may_be_as_deep_as_in_a_footer() -> None:
    assert spell(read(deep(99))) == deep(99)


@pytest.mark.parametrize(
    "word",
    [
        *(None, 5, {}, {"List": "Int8"}, [], [[], 1], "int8", "List", "Int8 "),
        *(["List"], ["List", "Int8", 1], ["List", None], ["Object"], deep(100), deep(800)),
        *(
            ["Array", "Int8"],
            ["Array", "Int8", -1],
            ["Array", "Int8", 0],
            ["Array", "Int8", 1 << 40],
        ),
        *(["Array", "Int8", 1.0], ["Array", 2, "Int8"]),
        *(["Decimal", 5], ["Decimal", 0, 0], ["Decimal", 39, 1], ["Decimal", 5, 6]),
        *(["Decimal", 5, -1], ["Decimal", 1 << 70, 0], ["Decimal", "5", "1"]),
        *(["Datetime", "s", None], ["Datetime", "us"], ["Datetime", "us", 5]),
        *(["Datetime", "us", ""], ["Datetime", "us", "Nowhere/Town"], ["Datetime", None, None]),
        *(["Duration", "s"], ["Duration", ["us"]], ["Duration"]),
        *(["Enum", "ab"], ["Enum", ["a", "a"]], ["Enum", [1]], ["Enum", {"a": 1}]),
        *(["Struct", "ab"], ["Struct", [["a"]]], ["Struct", ["ab"]], ["Struct", [[1, "Int8"]]]),
        *(["Struct", {"a": "Int8"}], ["Struct", [["a", "Int8"], ["a", "Int16"]]]),
    ],
    ids=lambda word: json.dumps(word)[:40],
)
def test_what_spells_no_type_is_refused(word: object) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        read(word)
