"""Large shards in a repo: of what is not asked for, nothing is read."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from tests.dataset_support import STAGING, footer_of
from tests.hub_support import plain_lfs
from tests.hubserver import Fault, HubThread, LocalHub
from tests.sync_support import NAME, Place, path_of, shard_bytes
from vulcan_cli.dataset import away, parts
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.parts import choose
from vulcan_cli.dataset.query import query
from vulcan_cli.dataset.ranges import Wanted
from vulcan_cli.dataset.sources import locate
from vulcan_cli.dataset.structs import read_struct, write_struct
from vulcan_cli.errors import TryLater, VulcanError

N_ROWS = 4000


def large(run: str, number: int) -> bytes:
    """A shard in four row groups, of which `tau_im` tells apart what stands in which."""
    taus = [float(1 + number + row // 1000) for row in range(N_ROWS)]
    data = shard_bytes(run, number, count=N_ROWS, tau_im=taus, odd=["ab" * 9] * N_ROWS)
    out = BytesIO()
    pq.write_table(pq.read_table(BytesIO(data)), out, row_group_size=1000)
    return out.getvalue()


FIRST = path_of("a")
SHARDS = {FIRST: large("a", 0), path_of("b"): large("b", 10)}
ROWS = pl.concat([pl.read_parquet(BytesIO(data)) for data in SHARDS.values()])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A repo that knows no catalog: its shards are found by listing."""
    monkeypatch.setattr(away, "SMALLEST_IN_PARTS", 1)
    monkeypatch.setattr(parts, "_GAP", 0)
    with plain_lfs(), HubThread(tmp_path / "hub") as running:
        running.create_repo(NAME)
        running.push(NAME, SHARDS)
        yield running


class Reading:
    """Questions to one repo on one machine, and what they cost."""

    def __init__(self, hub: LocalHub, tmp_path: Path) -> None:
        self._hub = hub
        self.catalog = locate(None, [Place("hub", tmp_path, hub).open()], "repo").catalog

    def ask(self, **filters: Any) -> tuple[pl.DataFrame, list[int | None]]:
        """Rows, and the status of each request for a shard."""
        before = len(self._hub.requests())
        found = query(self.catalog, Filters(**filters)).rows.collect(engine="streaming")
        asked = self._hub.requests()[before:]
        return found, [each.status for each in asked if ".parquet" in each.path]


@pytest.fixture
def reading(hub: LocalHub, tmp_path: Path) -> Reading:
    return Reading(hub, tmp_path)


@pytest.mark.parametrize(
    ("filters", "condition", "requests"),
    [
        # Each of two shards: a footer, and one column of four row groups.
        ({"columns": ("tau_im",)}, "true", 2 * 5),
        # One shard, of which one row group may match: two columns beside each other.
        ({"columns": ("tau_re", "tau_im"), "where": "tau_im < 2"}, "tau_im < 2", 2),
        ({"columns": ("run_id",), "where": "tau_im = 13"}, "tau_im = 13", 2),
        # A row group that may match holds no such row; the other shard cannot.
        ({"columns": ("tau_im",), "where": "tau_im = 2.5"}, "tau_im = 2.5", 1),
        ({"columns": ("tau_im",), "limit": 10}, "true", 4),
    ],
    ids=str,
)
def test_only_columns_and_row_groups_that_are_asked_for_are_read(
    reading: Reading, filters: dict[str, Any], condition: str, requests: int
) -> None:
    columns = filters["columns"]
    wanted = ROWS.filter(pl.sql_expr(condition)).select(columns).head(filters.get("limit", 10**6))

    found, statuses = reading.ask(**filters)

    assert found.equals(wanted)
    assert statuses == [206] * requests
    again, statuses = reading.ask(**filters)
    assert again.equals(wanted)
    assert statuses == []


def test_what_the_catalog_tells_is_counted_without_a_request(hub: LocalHub, tmp_path: Path) -> None:
    found = query(Reading(hub, tmp_path).catalog, Filters(run_id=("a",), limit=10**6))
    limited = query(Reading(hub, tmp_path).catalog, Filters(limit=7, columns=("tau_im",)))
    assert (found.n_rows, limited.n_rows) == (N_ROWS, 7)
    assert query(found.shards, Filters(where="tau_im > 0")).n_rows is None


def test_reading_tells_how_far_it_is(hub: LocalHub, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    catalog = Reading(hub, tmp_path).catalog
    rows = query(catalog, Filters(), progress=lambda *step: steps.append(step)).rows
    assert steps == []
    assert rows.collect(engine="streaming").equals(ROWS)
    assert steps == [(0, 2), (2, 2)]


def test_what_is_half_of_a_shard_is_brought_whole(reading: Reading) -> None:
    found, statuses = reading.ask(run_id=("a",))
    assert found.equals(ROWS.filter(run_id="a"))
    assert statuses == [206, 200]
    found, statuses = reading.ask(run_id=("a",), columns=("tau_im",))
    assert found.equals(ROWS.filter(run_id="a").select("tau_im"))
    assert statuses == []


def test_offline_the_same_question_has_its_answer(
    reading: Reading, hub: LocalHub, tmp_path: Path
) -> None:
    before, _ = reading.ask(columns=("tau_im",))
    constants.HF_HUB_OFFLINE = True
    try:
        offline = Reading(hub, tmp_path)
        found, statuses = offline.ask(columns=("tau_im",))
        assert found.equals(before)
        assert statuses == []
        with pytest.raises(TryLater) as error:
            offline.ask(columns=("tau_re",))
        assert str(error.value) == f"{path_of('a')} of {NAME} is not on this machine"
    finally:
        constants.HF_HUB_OFFLINE = False


def test_a_hub_that_knows_no_ranges_is_read_all_the_same(hub: LocalHub, tmp_path: Path) -> None:
    hub.add_faults(Fault("other_range", "/resolve/", "GET", times=None))
    found, statuses = Reading(hub, tmp_path).ask(columns=("tau_im",))
    assert found.equals(ROWS.select("tau_im"))
    assert statuses == [200] * 2 * 5


def test_what_breaks_on_the_way_is_for_later_and_leaves_nothing_half(
    reading: Reading, hub: LocalHub, tmp_path: Path
) -> None:
    hub.add_faults(Fault("status", "/resolve/", "GET", status=403, times=None, skip=2))
    with pytest.raises(VulcanError):
        reading.ask(columns=("tau_im",))
    kept = [file.name for file in tmp_path.rglob("vulcan/parts/*/*")]
    assert kept == ["footer"] * len(kept)
    hub.clear_faults()
    assert reading.ask(columns=("tau_im",))[0].equals(ROWS.select("tau_im"))


FOOTER = footer_of(SHARDS[FIRST])


@given(st.data())
def test_a_footer_of_any_damage_gives_places_in_the_file_or_none(data: st.DataObject) -> None:
    damaged = bytearray(FOOTER)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    size = len(SHARDS[FIRST])
    try:
        chosen = choose(bytes(damaged), ROWS.schema, Wanted(("tau_im",), pl.lit(value=True)), size)
    except ValueError:
        return
    assert all(4 <= start < end <= size - len(FOOTER) for start, end in chosen.ranges)


@pytest.mark.parametrize(
    "file",
    [*sorted((STAGING / "synced").glob("*.parquet"))[:2], FIRST],
    ids=["peer", "peer too", "pyarrow"],
)
def test_a_footer_comes_back_as_it_was(file: Path | str) -> None:
    data = file.read_bytes() if isinstance(file, Path) else SHARDS[file]
    footer = footer_of(data)[:-8]
    assert write_struct(read_struct(footer)) == footer


def test_a_footer_of_polars_comes_back_as_it_was() -> None:
    footer = footer_of(shard_bytes("a"))[:-8]
    assert write_struct(read_struct(footer)) == footer
