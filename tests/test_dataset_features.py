"""Features: which columns, lists of one length, and the peer's own results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.dataset_support import STAGING, listed
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.features import FeatureSpec
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query
from vulcan_cli.errors import UsageError

ROWS = pl.DataFrame(
    {
        "flux": [[1, 2, 3], [4], None, []],
        "run_id": ["a"] * 4,
        "geometry_id": ["g", "g", "h", "h"],
        "h11": [3] * 4,
        "is_susy": [True, None, False, True],
        "mass2": [[1.5, None], None, [math.nan, 2.0, 3.0, 4.0], []],
        "words": [["a", "b"], ["c"], [], None],
    },
    schema_overrides={"flux": pl.List(pl.Int32), "h11": pl.Int32},
)


def select(spec: FeatureSpec, rows: pl.DataFrame = ROWS) -> pl.DataFrame:
    return spec.select(rows.lazy()).collect()


@pytest.mark.parametrize(
    ("spec", "columns"),
    [
        (FeatureSpec(), ["flux", "is_susy", "mass2", "words", "geometry_id"]),
        (FeatureSpec(keep_geometry_id=False), ["flux", "is_susy", "mass2", "words"]),
        (FeatureSpec(["mass2", "flux"]), ["mass2", "flux", "geometry_id"]),
        (FeatureSpec(["geometry_id", "flux"]), ["geometry_id", "flux"]),
        (FeatureSpec(["geometry_id"], keep_geometry_id=False), ["geometry_id"]),
        (FeatureSpec(["run_id", "h11"], keep_geometry_id=False), ["run_id", "h11"]),
        (FeatureSpec([]), ["geometry_id"]),
        (FeatureSpec("flux"), ["flux", "geometry_id"]),
    ],
)
def test_columns_are_those_asked_for(spec: FeatureSpec, columns: list[str]) -> None:
    assert_frame_equal(select(spec), ROWS.select(columns))


def test_every_list_is_cut_or_filled_to_one_length() -> None:
    spec = FeatureSpec(["flux", "mass2", "words"], list_max_len=2, keep_geometry_id=False)

    found, cut = spec.collect(ROWS.lazy())

    assert found.schema == {
        "flux": pl.Array(pl.Int32, 2),
        "mass2": pl.Array(pl.Float64, 2),
        "words": pl.Array(pl.String, 2),
    }
    assert found["flux"].to_list() == [[1, 2], [4, 0], [0, 0], [0, 0]]
    assert found["words"].to_list() == [["a", "b"], ["c", ""], ["", ""], ["", ""]]
    assert repr(found["mass2"].to_list()) == "[[1.5, None], [0.0, 0.0], [nan, 2.0], [0.0, 0.0]]"
    assert cut == {"flux": 1, "mass2": 1}


def test_what_is_cut_can_be_counted_alone() -> None:
    spec = FeatureSpec(list_max_len=1)

    assert spec.truncated(ROWS.lazy()).collect().to_dicts() == [{"flux": 1, "mass2": 2, "words": 1}]


def test_without_a_length_lists_stay_and_nothing_is_counted() -> None:
    found, cut = FeatureSpec().collect(ROWS.lazy())

    assert_frame_equal(found, ROWS.drop("run_id", "h11").select(found.columns))
    assert cut == {}


@given(
    st.lists(st.none() | st.lists(st.none() | st.integers(-9, 9), max_size=6), max_size=12),
    st.integers(1, 5),
    st.integers(-9, 9),
)
def test_padding_is_what_a_loop_would_do(
    lists: list[list[int | None] | None], width: int, fill: int
) -> None:
    rows = pl.DataFrame({"x": lists}, schema={"x": pl.List(pl.Int16)})
    spec = FeatureSpec(["x"], width, fill, keep_geometry_id=False)

    found, cut = spec.collect(rows.lazy())

    assert found["x"].to_list() == [([*(row or []), *[fill] * width])[:width] for row in lists]
    assert found.schema == {"x": pl.Array(pl.Int16, width)}
    assert cut.get("x", 0) == sum(len(row or []) > width for row in lists)


def test_fixed_size_lists_are_cut_and_filled_too() -> None:
    rows = pl.DataFrame({"x": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2))})

    for width, wanted in ((1, [[1], [7]]), (3, [[1, 2, 7], [7, 7, 7]])):
        spec = FeatureSpec(["x"], width, 7, keep_geometry_id=False)
        found, cut = spec.collect(rows.lazy())
        assert found["x"].to_list() == wanted
        assert cut == ({"x": 1} if width == 1 else {})


@pytest.mark.parametrize("dtype", [pl.List(pl.Array(pl.Int8, 2)), pl.Array(pl.Int8, (3, 2))])
def test_lists_of_arrays_keep_the_arrays(dtype: Any) -> None:
    rows = pl.DataFrame({"x": [[[1, 2], None, [5, 6]], None]}, schema={"x": dtype})

    for width, wanted in (
        (1, [[[1, 2]], [[7, 7]]]),
        (2, [[[1, 2], None], [[7, 7], [7, 7]]]),
        (4, [[[1, 2], None, [5, 6], [7, 7]], [[7, 7]] * 4]),
    ):
        spec = FeatureSpec(["x"], width, 7, keep_geometry_id=False)
        found, cut = spec.collect(rows.lazy())
        none, _ = spec.collect(rows.head(0).lazy())
        assert found["x"].to_list() == wanted
        assert found.schema == none.schema == {"x": pl.Array(pl.Int8, (width, 2))}
        assert cut == ({"x": 1} if width < 3 else {})


@pytest.mark.parametrize(
    ("dtype", "fill", "wanted"),
    [
        (pl.Int32, -1, -1),
        (pl.Int32, -1.0, -1),
        (pl.Float64, -1, -1.0),
        (pl.Float32, 0.5, 0.5),
        (pl.Boolean, 0, False),
        (pl.Boolean, True, True),
        (pl.String, 0, ""),
        (pl.String, "?", "?"),
        (pl.Date, 0, None),
        (pl.List(pl.Int8), 0, []),
        (pl.Array(pl.List(pl.Int8), 2), 0, [[], []]),
        (pl.Array(pl.Float64, (2, 1)), 0, [[0.0], [0.0]]),
    ],
)
def test_the_fill_takes_the_type_of_the_list(dtype: Any, fill: Any, wanted: object) -> None:
    rows = pl.DataFrame({"x": [None]}, schema={"x": pl.List(dtype)})

    found = select(FeatureSpec(["x"], 1, fill, keep_geometry_id=False), rows)

    assert found["x"].to_list() == [[wanted]]


@pytest.mark.parametrize(
    ("dtype", "fill", "sentence"),
    [
        (pl.Int32, 0.5, "0.5 cannot fill the lists of column x, which hold Int32"),
        (pl.Int32, math.nan, "nan cannot fill the lists of column x, which hold Int32"),
        (pl.Int8, 128, "128 cannot fill the lists of column x, which hold Int8"),
        (pl.Float64, "q", "'q' cannot fill the lists of column x, which hold Float64"),
        (pl.String, 1, "1 cannot fill the lists of column x, which hold String"),
        (pl.Array(pl.Int8, 2), 0.5, "0.5 cannot fill the lists of column x, which hold Int8"),
    ],
)
def test_a_fill_of_another_type_is_refused(dtype: Any, fill: Any, sentence: str) -> None:
    rows = pl.DataFrame({"x": [None]}, schema={"x": pl.List(dtype)})

    with pytest.raises(UsageError) as refused:
        select(FeatureSpec(["x"], 1, fill, keep_geometry_id=False), rows)

    assert str(refused.value) == sentence


def test_a_length_or_feature_that_makes_no_sense_is_refused() -> None:
    for wrong in (2.5, "3", True):
        with pytest.raises(UsageError, match=rf"^list_max_len is one integer, not {wrong!r}$"):
            FeatureSpec(list_max_len=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^lists need a length of at least 1, not 0$"):
        FeatureSpec(list_max_len=0)
    with pytest.raises(UsageError, match=r"^the feature flux is named twice$"):
        FeatureSpec(["flux", "flux"])
    with pytest.raises(
        UsageError, match=r"^there is no column 'fluxx': did you mean flux\? columns are flux, "
    ):
        select(FeatureSpec(["fluxx"]))


def test_features_of_the_peers_shards_are_those_the_peer_makes() -> None:
    """`peer_features.parquet` is the peer's `as_dataframe` of its own shards, lists cut to 3."""
    theirs = pl.read_parquet(Path(__file__).parent / "data/dataset/peer_features.parquet")
    rows = query(Catalog.read(listed(STAGING / "synced")), Filters()).rows

    ours, cut = FeatureSpec(list_max_len=3).collect(rows)

    assert_frame_equal(
        ours.cast({pl.Array: pl.List(pl.Float64)}), theirs.cast({pl.List: pl.List(pl.Float64)})
    )
    assert ours.schema["flux"] == pl.Array(pl.Int32, 3)
    assert cut == {"flux": 160, "moduli_re": 40, "moduli_im": 40}
