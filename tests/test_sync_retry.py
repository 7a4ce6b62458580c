"""Back to pending: from failed, from rejected, and rows in conflict under a new run id."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.folders import tree
from tests.sync_support import (
    Place,
    by_name,
    in_pairs,
    name_of,
    path_of,
    put,
    put_bytes,
    put_many,
    rows,
    sha256_of_file,
    shard_bytes,
    shards_in,
)
from vulcan_cli.errors import SyncAtWork
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import entries_aside, set_aside
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import Moving, move
from vulcan_cli.staging.reasons import read_reason, write_reason
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.retry import Retried, retry_aside, retry_failed
from vulcan_cli.vacua.shard import read_footer


def fail(area: StagingArea, *runs: str) -> None:
    for run in runs:
        write_reason(area, name_of(run), f"{run} is refused")
    move(area, [Moving(name_of(run)) for run in runs], "pending", "failed")


def test_p13_failed_shards_come_back_with_their_sidecars(area: StagingArea) -> None:
    staged = put_many(area, 3)
    fail(area, "run000", "run001", "run002")
    told = retry_failed(area)
    assert told == tuple(
        Retried(name_of(f"run00{n}"), path_of(f"run00{n}"), f"run00{n} is refused", outcome="moved")
        for n in range(3)
    )
    assert (shards_in(area.pending), shards_in(area.failed)) == (by_name(staged), {})
    assert in_pairs(area.pending)
    assert read_reason(area, name_of("run000")) is None


def test_a_rehearsal_of_a_retry_changes_nothing(area: StagingArea) -> None:
    put_many(area, 2)
    fail(area, "run000", "run001")
    before = tree(area.root)
    (told,) = retry_failed(area, ["*1"], dry_run=True)
    assert told == Retried(name_of("run001"), path_of("run001"), "run001 is refused", None)
    assert tree(area.root) == before


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["run001"], {"run001"}),
        (["run*"], {"run000", "run001"}),
        (["other", "*0"], {"run000"}),
        (["RUN000"], set()),
    ],
)
def test_patterns_choose_by_run_id(
    area: StagingArea, patterns: list[str], chosen: set[str]
) -> None:
    put_many(area, 2)
    fail(area, "run000", "run001")
    retry_failed(area, patterns)
    assert set(shards_in(area.pending)) == {name_of(run) for run in chosen}


def test_p13_a_retry_never_replaces_a_pending_file(area: StagingArea) -> None:
    put(area, "same")
    fail(area, "same")
    old = sha256_of_file(area.failed / name_of("same"))
    put_bytes(area, name_of("same"), shard_bytes("same", 99))
    before = shards_in(area.pending)
    (told,) = retry_failed(area)
    assert told.outcome == "exists"
    assert shards_in(area.pending) == before
    assert shards_in(area.failed) == {name_of("same"): old}
    assert read_reason(area, name_of("same")) == "same is refused"


def test_p13_any_number_of_files(area: StagingArea) -> None:
    data = shard_bytes("x")
    for number in range(500):
        (area.failed / name_of(f"many{number}")).write_bytes(data)
    assert {told.outcome for told in retry_failed(area)} == {"moved"}
    assert len(shards_in(area.pending)) == 500


def test_p11_a_retry_and_a_sync_never_work_at_once(area: StagingArea) -> None:
    put_many(area, 1)
    fail(area, "run000")
    with SyncLock(area), pytest.raises(SyncAtWork):
        retry_failed(area)
    assert list(shards_in(area.failed)) == [name_of("run000")]


def test_rejected_entries_come_back_as_they_were(area: StagingArea) -> None:
    file = put(area, "good")
    sha256 = sha256_of_file(file)
    set_aside(area, file.name, into="rejected", why="a mistake")
    (area.pending / "odd\nname.parquet").write_bytes(b"odd")
    set_aside(area, "odd\nname.parquet", into="rejected", why="odd")
    (area.pending / f"{file.name}{SIDECAR_SUFFIX}").write_text("stray")
    set_aside(area, f"{file.name}{SIDECAR_SUFFIX}", into="rejected", why="stray")

    told = retry_aside(area, heap="rejected")
    assert told == (
        Retried(file.name, path_of("good"), "a mistake", "moved"),
        Retried("odd\nname.parquet", None, "odd", "moved"),
    )
    assert shards_in(area.pending)[file.name] == sha256
    assert (area.pending / f"{file.name}{SIDECAR_SUFFIX}").exists()
    assert [aside.why for aside in entries_aside(area, "rejected")] == ["stray"]


def test_p13_a_rejected_entry_replaces_nothing(area: StagingArea) -> None:
    file = put(area, "good")
    set_aside(area, file.name, into="rejected", why="a mistake")
    put_bytes(area, file.name, b"another")
    (told,) = retry_aside(area, ["good"], heap="rejected")
    assert told.outcome == "exists"
    assert file.read_bytes() == b"another"
    assert len(list(entries_aside(area, "rejected"))) == 1


def test_rows_in_conflict_are_published_under_a_new_run_id(
    area: StagingArea, tmp_path: Path
) -> None:
    place = Place("directory", tmp_path)
    place.folder.mkdir()
    first = StagingArea(tmp_path / "first")
    first.create()
    put(first, "same", 1)
    sync(first, place.open(), SyncOptions())
    file = put(area, "same", 2, tags="kept")
    sha256 = sha256_of_file(file)
    original = pl.read_parquet(file)
    sync(area, place.open(), SyncOptions())
    (aside,) = entries_aside(area, "conflicts")

    before = tree(area.root)
    (rehearsed,) = retry_aside(area, heap="conflicts", dry_run=True)
    assert (rehearsed.outcome, tree(area.root)) == (None, before)

    new = f"same_{sha256[:16]}"
    told = retry_aside(area, heap="conflicts")
    assert told == (Retried(name_of("same"), path_of("same"), aside.why, "moved", path_of(new)),)
    assert list(entries_aside(area, "conflicts")) == []
    assert in_pairs(area.pending)
    report = sync(area, place.open(), SyncOptions())
    assert (report.n_committed, report.exit_code) == (1, 0)
    published = place.folder / path_of(new)
    assert_frame_equal(
        pl.read_parquet(published).drop("run_id"), original.drop("run_id"), check_exact=True
    )
    assert read_footer(published).run_id == new
    assert sorted(place.tree()) == sorted([path_of("same"), path_of(new)])


def test_p7_a_retry_of_a_conflict_that_died_makes_no_second_copy(area: StagingArea) -> None:
    file = put(area, "same")
    data = file.read_bytes()
    set_aside(area, file.name, into="conflicts", why="taken")
    retry_aside(area, heap="conflicts")
    staged = shards_in(area.pending)
    # As after a crash between publishing the new and dropping the old.
    put_bytes(area, file.name, data)
    set_aside(area, file.name, into="conflicts", why="taken")
    (told,) = retry_aside(area, heap="conflicts")
    assert told.outcome == "moved"
    assert shards_in(area.pending) == staged
    assert list(entries_aside(area, "conflicts")) == []


@pytest.mark.parametrize("data", [b"", b"no parquet", shard_bytes("x")[:-100]])
def test_what_is_no_shard_stays_in_conflicts(area: StagingArea, data: bytes) -> None:
    put_bytes(area, name_of("bad"), data)
    set_aside(area, name_of("bad"), into="conflicts", why="taken")
    (told,) = retry_aside(area, heap="conflicts")
    assert told.outcome == "stays"
    (aside,) = entries_aside(area, "conflicts")
    assert aside.path.read_bytes() == data


def test_the_rows_of_these_tests_are_different() -> None:
    assert not rows(1).equals(rows(2))
