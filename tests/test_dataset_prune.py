"""Shards that cannot match are not read, and nothing that matches is lost."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.dataset_support import put, vacua
from vulcan_cli.dataset.catalog import Catalog, Source
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.prune import may_match
from vulcan_cli.dataset.query import query
from vulcan_cli.vacua import arrow_ipc


def shard(folder: Path, run: str, rows: pl.DataFrame) -> Source:
    """A shard of any values, such as another writer may leave."""
    source = put(folder, vacua(1), run, h11=3, h12=2)
    told = pl.read_parquet_metadata(source.file)
    inside = {key: text for key, text in told.items() if key != arrow_ipc.KEY}
    message = arrow_ipc.schema_message(rows.schema, inside)
    rows.write_parquet(source.file, metadata={**inside, arrow_ipc.KEY: message})
    return source


FLOATS = st.none() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0, 1.0, 2.5, -3.0])
INTS = st.none() | st.integers(-3, 3)
FLAGS = st.none() | st.booleans()
OPERATORS = st.sampled_from(["<", "<=", ">", ">=", "=", "==", "<>", "!="])
NUMBERS = st.sampled_from(["0", "-0.0", "1", "2.5", "-3", "1e0", "-1e400", "3."])
COMPARED = st.one_of(
    st.tuples(st.sampled_from(["tau_im", "tadpole_charge"]), OPERATORS, NUMBERS).map(" ".join),
    st.tuples(NUMBERS, OPERATORS, st.sampled_from(["tau_im", "tadpole_charge"])).map(" ".join),
    st.sampled_from(
        ["is_susy", "NOT is_susy", "tau_im IS NULL", "tau_im BETWEEN 0 AND 1", "tau_im + 1 < 2"]
    ),
)
WHERE = st.recursive(
    COMPARED,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" AND ", " and ", " OR "]), inner).map("".join),
        inner.map("NOT ({})".format),
    ),
    max_leaves=4,
)


@given(
    st.lists(
        st.lists(st.tuples(FLOATS, INTS, FLAGS), min_size=1, max_size=3), min_size=1, max_size=4
    ),
    st.none() | WHERE,
    FLAGS,
)
def test_no_matching_row_is_lost(
    shards: list[list[tuple[object, ...]]], where: str | None, susy: bool | None
) -> None:
    types = {"tau_im": pl.Float64, "tadpole_charge": pl.Int32, "is_susy": pl.Boolean}
    frames = [pl.DataFrame(rows, schema=types, orient="row") for rows in shards]
    wanted = pl.concat(frames)
    if susy is not None:
        wanted = wanted.filter(pl.col("is_susy") == susy)
    if where is not None:
        wanted = wanted.filter(pl.sql_expr(where))
    with tempfile.TemporaryDirectory() as folder:
        sources = [shard(Path(folder), f"r{n}", rows) for n, rows in enumerate(frames)]
        catalog = Catalog.read(sources)

        found = query(catalog, Filters(where=where, is_susy=susy)).rows.collect()

    assert catalog.bad == ()
    assert_frame_equal(found, wanted)


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ({"where": "tau_im < 2"}, "a"),
        ({"where": "2 > tau_im AND run_id > 'a'"}, "ab"),
        ({"where": "tau_im = 6"}, "b"),
        ({"where": "tau_im > 20"}, "ab"),
        ({"where": "tadpole_charge > 4"}, ""),
        ({"where": "tadpole_charge >= 3 and 4 <= tau_im"}, "ab"),
        ({"where": ("tau_im < 2", "tau_im < 99")}, "a"),
        ({"where": ("tau_im < 2", "tau_im = max(tau_im)")}, "ab"),
        ({"where": "tau_im = max(tau_im)", "is_susy": True}, "ab"),
        ({"where": "tau_im > quantile_cont(tau_im, 0.2)", "is_susy": True}, "ab"),
        ({"where": "count(*) > 3", "is_susy": True}, "ab"),
        ({"where": "abs(tau_re) < 2", "is_susy": True}, "a"),
        ({"where": ("tau_im < 2", "abs(tau_re) < 9")}, "a"),
        ({"where": "tau_im < 2 OR tau_im < 99"}, "ab"),
        ({"where": "moduli_re[1] < 2"}, "ab"),
        ({"where": "tau_im < 2 -- AND tau_im < 0"}, "ab"),
        ({"is_susy": True}, "a"),
        ({"is_susy": False}, "b"),
    ],
)
def test_what_cannot_match_is_not_read(tmp_path: Path, asked: dict[str, object], read: str) -> None:
    catalog = Catalog.read(
        [
            put(tmp_path, vacua(3, is_susy=True), "a", h11=3, h12=2),
            put(tmp_path, vacua(3, tau_im=[5.0, 6.0, 7.0], is_susy=False), "b", h11=3, h12=2),
        ]
    )
    filters = Filters(**asked)  # type: ignore[arg-type]

    assert "".join(catalog.where(may_match(filters)).rows["run_id"]) == read
    assert "".join(query(catalog, filters).shards.rows["run_id"]) == "ab"


def test_columns_of_the_result_do_not_depend_on_what_is_read(tmp_path: Path) -> None:
    catalog = Catalog.read(
        [
            put(tmp_path, vacua(1, extra=1), "a", h11=3, h12=2),
            put(tmp_path, vacua(1, tau_im=[9.0], other="x"), "b", h11=3, h12=2),
        ]
    )

    found = query(catalog, Filters(where="tau_im < 2")).rows.collect()

    assert found.columns[-2:] == ["extra", "other"]
    assert found["other"].to_list() == [None]
