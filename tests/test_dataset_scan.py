"""Reading many shards as one frame: batches, pieces, several at once, and shards that fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.dataset_support import PEERS, WHOLE, ask, put, vacua
from vulcan_cli.dataset import scan
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query, query_sql
from vulcan_cli.dataset.split_view import SplitView
from vulcan_cli.dataset.splits import Splits


@pytest.mark.parametrize(("files", "pieces"), [(1, 1), (1, 3), (2, 3), (3, 10**6)])
def test_batches_and_pieces_do_not_show(
    monkeypatch: pytest.MonkeyPatch, files: int, pieces: int
) -> None:
    monkeypatch.setattr(scan, "_BATCH_FILES", files)
    monkeypatch.setattr(scan, "_PIECE_ROWS", pieces)
    assert_frame_equal(ask(PEERS), WHOLE)
    assert_frame_equal(ask(PEERS, limit=100), WHOLE.head(100))
    monkeypatch.setattr(scan, "_BATCH_BYTES", 1)
    assert_frame_equal(ask(PEERS), WHOLE)
    assert_frame_equal(
        query(PEERS, Filters()).rows.slice(50, 90).filter(pl.col("tau_im") > 3).collect(),
        WHOLE.slice(50, 90).filter(pl.col("tau_im") > 3),
    )


def test_rows_to_write_come_a_few_megabytes_at_a_time(tmp_path: Path) -> None:
    """Polars holds some dozens of what it writes; of what is collected each would be a chunk."""
    masses = pl.Series([[0.5 + row] * 360 for row in range(3000)])
    catalog = Catalog.read([put(tmp_path, vacua(3000, mass2=masses), "run", h11=3, h12=2)])
    stored = pl.read_parquet(catalog.rows["file"][0])
    statement = "SELECT * FROM vacua"
    heights: list[int] = []

    def note(rows: pl.DataFrame) -> pl.DataFrame:
        heights.append(rows.height)
        return rows

    for asked in (
        query(catalog, Filters(), to_write=True),
        query_sql(catalog, Filters(), statement, to_write=True),
    ):
        noted = asked.rows.map_batches(note, streamable=True)
        assert_frame_equal(noted.collect(engine="streaming"), stored)
        n_rows = 3000 * (2 << 20) // int(stored.estimated_size())
        assert sorted(heights, reverse=True) == [n_rows] * 4 + [3000 - 4 * n_rows]
        heights.clear()

    for asked in (query(catalog, Filters()), query_sql(catalog, Filters(), statement)):
        assert asked.rows.collect(engine="streaming").n_chunks("all") == [1] * stored.width


def test_a_split_comes_in_slices_where_it_is_written_and_in_one_piece_where_it_is_collected(
    tmp_path: Path,
) -> None:
    masses = pl.Series([[0.5 + row] * 360 for row in range(3000)])
    catalog = Catalog.read([put(tmp_path, vacua(3000, mass2=masses), "run", h11=3, h12=2)])
    view = SplitView(catalog=catalog, filters=Filters(), splits=Splits(("all",), (1.0,)))

    features, _ = view.features("all")

    collected = [view.rows("all"), view.with_flags("all")[0]]
    chunks = [rows.collect(engine="streaming").n_chunks() for rows in collected]
    assert (features.n_chunks(), chunks) == (1, [5, 5])


def test_of_rows_that_may_be_wide_so_many_bytes_are_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers and times take little, whatever stands beside them in the files."""
    catalog = Catalog.read(put(tmp_path, vacua(5), f"run{n}", h11=3) for n in range(4))
    monkeypatch.setattr(scan, "_BATCH_BYTES", 2 * catalog.rows["bytes"][0])
    found: list[int] = []

    def note(rows: pl.DataFrame) -> pl.DataFrame:
        found.append(rows.height)
        return rows

    def heights(*columns: str) -> list[int]:
        found.clear()
        asked = query(catalog, Filters(columns=columns or None)).rows
        asked.map_batches(note, streamable=True).collect(engine="streaming")
        return found

    assert heights() == [10, 10]
    assert heights("flux") == [10, 10]
    assert heights("run_id", "tau_re") == [10, 10]
    assert heights("tau_re", "created_at") == [20]


ONE_THREAD = """
import polars as pl
from tests.dataset_support import PEERS, Filters, query
from vulcan_cli.dataset import scan

assert pl.thread_pool_size() == 1
scan._BATCH_FILES = 1
everything = query(PEERS, Filters()).rows
count = pl.len().alias("n")

def inner(_: pl.Series) -> pl.Series:
    return pl.Series([everything.collect().height])

once = pl.LazyFrame({"key": [1], "n": [0]})
nested = pl.col("n").map_batches(inner, return_dtype=pl.Int64)
for engine in ("in-memory", "streaming"):
    for asked in (
        everything.select(count),
        everything.join(everything, on="run_id", how="semi").select(count),
        pl.concat([everything, everything]).select(count),
        everything.group_by("h11").agg(count).select("n").sum(),
        once.select(nested),
        once.group_by("key").agg(nested.first()).select("n"),
    ):
        print(asked.collect(engine=engine).item(), end=" ")
    print(*(rows.height for rows in pl.collect_all([everything] * 3, engine=engine)))
print(sum(rows.height for rows in everything.collect_batches()))
"""


def test_batches_that_are_read_at_once_wait_for_no_thread_of_polars() -> None:
    """With one thread, anything that held it while it waits for a batch would wait for ever."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_THREAD],
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    n = WHOLE.height
    line = f"{n} {n} {2 * n} {n} {n} {n} {n} {n} {n}\n"
    assert done.stdout == f"{line}{line}{n}\n"


def test_a_result_may_be_dropped_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_BATCH_FILES", 1)
    for _ in range(20):
        for rows in query(PEERS, Filters()).rows.collect_batches(maintain_order=True):
            assert_frame_equal(rows, WHOLE.head(rows.height))
            break


def cut(file: Path) -> None:
    """Damage the data, not the footer."""
    data = bytearray(file.read_bytes())
    data[4:600] = bytes(596)
    file.write_bytes(data)


@pytest.mark.parametrize("harm", [cut, Path.unlink])
@pytest.mark.parametrize(("at", "files"), [(0, 256), (4, 256), (9, 256), (4, 1)])
def test_a_shard_that_fails_while_read_is_left_out_and_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Path], None],
    at: int,
    files: int,
) -> None:
    """One file at a time is read in pieces, of which none is in the result."""
    monkeypatch.setattr(scan, "_BATCH_FILES", files)
    monkeypatch.setattr(scan, "_PIECE_ROWS", 5)
    sources = [put(tmp_path, vacua(20), f"run{n}", h11=3, h12=2) for n in range(10)]
    catalog = Catalog.read(sources)
    harm(sources[at].file)

    asked = query(catalog, Filters(where="tau_im > 10"))
    rows = asked.rows.collect(engine="streaming")

    good = [source.file for source in sources if source is not sources[at]]
    wanted = pl.concat(pl.read_parquet(file) for file in good).filter(pl.col("tau_im") > 10)
    assert_frame_equal(rows, wanted)
    assert [bad.path for bad in asked.bad] == [sources[at].file]
    if harm is Path.unlink:
        assert asked.bad[0].reason == "it is gone since it was listed"


@pytest.mark.parametrize("when", ["before they are located", "before they are opened"])
@pytest.mark.parametrize("batch", [1, 256])
def test_shards_that_sync_moves_meanwhile_are_read_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, batch: int
) -> None:
    monkeypatch.setattr(scan, "_BATCH_FILES", batch)
    pending, synced = tmp_path / "pending", tmp_path / "synced"
    for folder in (pending, synced):
        folder.mkdir()
    sources = [
        put(pending, vacua(3, tau_re=[number] * 3), f"run{number}", h11=3, h12=2)._replace(
            state="pending"
        )
        for number in range(4)
    ]
    catalog = Catalog.read(sources)
    wanted = pl.concat(pl.read_parquet(source.file) for source in sources)

    def move_on() -> None:
        for source in sources[1:]:
            if source.file.exists():
                source.file.rename(synced / source.file.name)

    if when == "before they are located":
        move_on()
    else:
        located = scan._located

        def then_moved(*asked: Any) -> Iterator[scan._Located]:
            found = list(located(*asked))
            move_on()
            return iter(found)

        monkeypatch.setattr(scan, "_located", then_moved)
    asked = query(catalog, Filters())
    assert_frame_equal(asked.rows.collect(engine="streaming"), wanted)
    assert asked.bad == ()


@pytest.mark.parametrize("state", ["pending", "synced"])
def test_a_shard_that_is_gone_from_everywhere_is_said_to_be_gone(
    tmp_path: Path, state: str
) -> None:
    (tmp_path / state).mkdir()
    source = put(tmp_path / state, vacua(3), "run", h11=3, h12=2)._replace(state=state)
    catalog = Catalog.read([source])
    source.file.unlink()
    asked = query(catalog, Filters())
    assert asked.rows.collect(engine="streaming").height == 0
    assert [(bad.path, bad.reason) for bad in asked.bad] == [
        (source.file, "it is gone since it was listed")
    ]


def test_shards_that_fail_are_told_in_their_order_whichever_failed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_BATCH_FILES", 1)
    sources = [put(tmp_path, vacua(1), f"run{n:02}", h11=3, h12=2) for n in range(40)]
    catalog = Catalog.read(sources)
    for number, source in enumerate(sources):
        # A file that is gone fails sooner than one that is damaged.
        cut(source.file) if number % 2 else source.file.unlink()

    asked = query(catalog, Filters())
    assert asked.rows.collect().height == 0

    assert [bad.path for bad in asked.bad] == [source.file for source in sources]
