"""Splits: the peer's vectors, one split per geometry, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from vulcan_cli.dataset.splits import Share, Splits, assignments, shares, uniform
from vulcan_cli.errors import UsageError

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data/interop/geometries.json").read_text()
)
SETTINGS: Mapping[str, Splits] = {
    "default": Splits(),
    "salt=fold-1": Splits(salt="fold-1"),
    "fractions=0.5,0.25,0.25": Splits(fractions=(0.5, 0.25, 0.25)),
    "splits=train,test fractions=0.9,0.1": Splits(("train", "test"), (0.9, 0.1)),
}
IDS = st.text("0123456789abcdef", min_size=16, max_size=16)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_geometry_stands_where_the_peer_puts_it(setting: str) -> None:
    splits = SETTINGS[setting]
    ids = pl.Series("geometry_id", [vector["geometry_id"] for vector in VECTORS])
    wanted = [vector["split"][setting] for vector in VECTORS]

    assert splits.of_all(ids).to_list() == wanted
    assert [splits.of(geometry_id) for geometry_id in ids] == wanted


def test_the_vectors_name_no_setting_that_is_not_tested() -> None:
    assert {name for vector in VECTORS for name in vector["split"]} == set(SETTINGS)


@given(st.lists(IDS | st.none(), max_size=30), st.text(max_size=5))
def test_a_column_gets_what_each_id_gets_alone(ids: list[str | None], salt: str) -> None:
    splits = Splits(("a", "b", "c", "d"), (0.25, 0.25, 0.25, 0.25), salt)

    found = splits.of_all(pl.Series("geometry_id", ids, dtype=pl.String))

    assert found.to_list() == [None if each is None else splits.of(each) for each in ids]
    assert found.dtype == pl.String
    assert found.name == "split"


@given(IDS)
def test_an_empty_split_receives_nothing(geometry_id: str) -> None:
    assert Splits(("none", "all"), (0, 1)).of(geometry_id) == "all"


def test_the_last_split_takes_what_rounding_leaves_over() -> None:
    geometry_id = max((vector["geometry_id"] for vector in VECTORS), key=uniform)
    short = 1 - 9e-7

    assert Splits(("a", "b"), (short, 0.0)).of(geometry_id) == "a"
    assert Splits(("a", "b"), (0.0, short)).of(geometry_id) == "b"


def test_assignments_are_one_row_per_geometry_in_order_of_ids() -> None:
    shards = pl.DataFrame(
        {
            "geometry_id": ["f5545078ba63ecd9", "459546a870cc7e47", "f5545078ba63ecd9"],
            "n_rows": [10, 5, 1],
        }
    )

    found = assignments(shards, Splits(fractions=(0.5, 0.25, 0.25)))

    assert_frame_equal(
        found,
        pl.DataFrame(
            {
                "geometry_id": ["459546a870cc7e47", "f5545078ba63ecd9"],
                "split": ["test", "val"],
                "n_rows": [5, 11],
            }
        ),
    )
    assert shares(found, Splits(fractions=(0.5, 0.25, 0.25))) == (
        Share("train", 0.5, 0, 0, 0.0),
        Share("val", 0.25, 1, 11, 11 / 16),
        Share("test", 0.25, 1, 5, 5 / 16),
    )


def test_a_dataset_without_shards_has_shares_of_nothing() -> None:
    none = pl.DataFrame(schema={"geometry_id": pl.String, "n_rows": pl.Int64})

    assert [share.of_rows for share in shares(assignments(none, Splits()), Splits())] == [0, 0, 0]


@pytest.mark.parametrize(
    ("names", "fractions", "sentence"),
    [
        ((), (), "splits need at least one name"),
        (("a", ""), (0.5, 0.5), "a split needs a name"),
        (("a", "b", "a"), (0.5, 0.25, 0.25), "two splits are called 'a'"),
        (("a", "b"), (1.0,), "1 fractions for 2 splits: each split needs one"),
        (("a", "b"), (-0.5, 1.5), "a fraction must be a number from 0 to 1, not -0.5"),
        (("a", "b"), (float("nan"), 1), "a fraction must be a number from 0 to 1, not nan"),
        (("a", "b"), (0.5, 0.6), "the fractions sum to 1.1, not to 1"),
        (("a", "b"), (0.5, 0.500002), "the fractions sum to 1.000002, not to 1"),
        (("a", "\udcff"), (0.5, 0.5), r"'\udcff' is not UTF-8"),
    ],
)
def test_what_makes_no_splits_is_refused(
    names: tuple[str, ...], fractions: tuple[float, ...], sentence: str
) -> None:
    with pytest.raises(UsageError) as refused:
        Splits(names, fractions)
    assert str(refused.value) == sentence


def test_a_salt_is_text() -> None:
    with pytest.raises(UsageError, match=r"^the salt '\\udcff' is not UTF-8$"):
        Splits(salt="\udcff")


def test_fractions_may_miss_one_by_a_millionth() -> None:
    assert Splits(("a", "b"), (0.5, 0.5000009)).fractions == (0.5, 0.5000009)


def test_a_fraction_of_nothing_has_no_sign() -> None:
    assert str(Splits(("a", "b"), (1.0, -0.0)).fractions) == "(1.0, 0.0)"


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"^there is no split 'tran': choose from train, val, tes"):
        Splits().check_name("tran")
