"""Settling: asking the repo, moving what it has; done twice, or after a crash, it ends the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.folders import tree
from tests.hub_support import addition
from tests.sync_support import (
    Place,
    by_name,
    ledger_of,
    name_of,
    path_of,
    put_many,
    sha256_of_file,
    shard_bytes,
    shards_in,
)
from vulcan_cli.errors import LeaseLost
from vulcan_cli.hub.repo import Commit, Landed, RemoteFile
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import entries_aside
from vulcan_cli.staging.journal import BatchRecord, Journal, JournalShard
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.settle import Settler, Sorted, sort


@pytest.fixture
def place(folder_place: Place) -> Place:
    """These are facts about files: one kind of repo is enough."""
    return folder_place


def settler(
    area: StagingArea, place: Place, still_ours: Callable[[], None] = lambda: None
) -> tuple[Settler, SyncReport]:
    report = SyncReport()
    made = Settler(area, place.open(), report, now=lambda: 1000.0, still_ours=still_ours)
    return made, report


def in_flight(area: StagingArea, place: Place, staged: dict[str, str]) -> BatchRecord:
    """A journal record of everything in `pending/`, as a run leaves it that died."""
    repo = place.open()
    record = BatchRecord(
        batch="0123abc",
        repo=repo.key,
        revision="main",
        parent=repo.head(),
        shards=tuple(
            JournalShard(name, path, sha256, (area.pending / name).stat().st_size)
            for (path, sha256), name in zip(staged.items(), by_name(staged), strict=True)
        ),
        created=900.0,
    )
    Journal(area).open(record)
    return record


def commit(place: Place, folder: Path, files: dict[str, bytes], description: str = "") -> str:
    repo = place.open()
    additions = tuple(addition(folder, path, data) for path, data in files.items())
    outcome = repo.commit(Commit("one", description, repo.head(), additions))
    assert isinstance(outcome, Landed)
    return outcome.commit_id


def test_sorting_goes_by_content() -> None:
    one, two, three = (JournalShard(f"{n}", f"p{n}", n * 64, 1) for n in "123")
    remote = {"p1": RemoteFile("p1", 1, "1" * 64), "p2": RemoteFile("p2", 1, "0" * 64)}
    assert sort([one, two, three], remote) == Sorted((one,), (three,), (two,))


def test_p7_settling_twice_ends_as_settling_once(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    staged = put_many(area, 4)
    record = in_flight(area, place, staged)
    paths = list(staged)
    files = {path: (area.pending / name_of(f"run00{n}")).read_bytes() for n, path in
             enumerate(paths[:2])}  # fmt: skip
    files[paths[2]] = shard_bytes("run002", 99)
    head = commit(place, tmp_path / "in", files, f"vulcan batch {record.batch}")

    made, report = settler(area, place)
    made.recover()
    assert (report.n_committed, report.n_conflicts, report.n_commits) == (2, 1, 1)
    assert report.commit_oids == [head]
    after = tree(area.root)
    assert shards_in(area.synced) == by_name({path: staged[path] for path in paths[:2]})
    assert shards_in(area.pending) == by_name({paths[3]: staged[paths[3]]})
    assert Journal(area).pending() == []

    # As if the run had died just before it dropped the journal.
    Journal(area).open(record)
    again, report = settler(area, place)
    again.recover()
    assert (report.n_committed, report.n_conflicts, report.n_unreadable) == (0, 0, 0)
    assert tree(area.root) == after


def test_p7_a_run_that_died_between_the_move_and_the_ledger_is_written_down(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    staged = put_many(area, 2)
    in_flight(area, place, staged)
    files = {path: (area.pending / name).read_bytes() for path, name in
             zip(staged, by_name(staged), strict=True)}  # fmt: skip
    commit(place, tmp_path / "in", files)
    first = name_of("run000")
    (area.pending / first).rename(area.synced / first)
    made, report = settler(area, place)
    made.recover()
    assert report.n_committed == 2
    key = place.open().key
    assert ledger_of(area) == [(path, sha, key, "main") for path, sha in staged.items()]


def sent(area: StagingArea, place: Place, root: Path) -> Path:
    """A shard in `pending/` that is in flight, and that somebody else has committed."""
    in_flight(area, place, put_many(area, 1))
    file = area.pending / name_of("run000")
    commit(place, root / "in", {path_of("run000"): file.read_bytes()})
    return file


def test_p8_terabytes_of_nothing_under_a_name_that_was_sent_keep_no_run_busy(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    file = sent(area, place, tmp_path)
    file.unlink()
    file.write_bytes(b"")
    os.truncate(file, 1 << 42)
    made, report = settler(area, place)
    made.recover()
    assert (report.n_committed, report.n_conflicts, report.n_unreadable) == (1, 1, 0)
    assert [each.name for each in entries_aside(area, "conflicts")] == [file.name]


def test_a_commit_of_somebody_else_is_not_counted_as_ours(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    sent(area, place, tmp_path)
    made, report = settler(area, place)
    made.recover()
    assert (report.n_committed, report.n_commits, report.commit_oids) == (1, 0, [])


def test_p5_other_bytes_under_a_name_that_was_sent_are_kept(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    file = sent(area, place, tmp_path)
    file.chmod(0o644)
    file.write_bytes(b"other bytes")
    made, report = settler(area, place)
    made.recover()
    assert (report.n_committed, report.n_conflicts) == (1, 1)
    assert shards_in(area.synced) == shards_in(area.pending) == {}
    (aside,) = entries_aside(area, "conflicts")
    assert (aside.path.read_bytes(), aside.why) == (
        b"other bytes",
        "it was replaced by other bytes while it was being sent",
    )


def test_p11_a_lost_lease_ends_the_moves_at_once(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    staged = put_many(area, 4)
    in_flight(area, place, staged)
    files = {path: (area.pending / name).read_bytes() for path, name in
             zip(staged, by_name(staged), strict=True)}  # fmt: skip
    commit(place, tmp_path / "in", files)
    left = iter(range(2))

    def still_ours() -> None:
        if next(left, None) is None:
            raise LeaseLost("somebody")

    made, _ = settler(area, place, still_ours)
    with pytest.raises(LeaseLost):
        made.recover()
    assert len(shards_in(area.synced)) == 2
    assert shards_in(area.pending) | shards_in(area.synced) == by_name(staged)
    assert len(Journal(area).pending()) == 1
    settler(area, place)[0].recover()
    assert shards_in(area.synced) == by_name(staged)
    assert [path for path, *_ in ledger_of(area)] == sorted(staged)


def test_records_of_other_repos_are_not_touched(area: StagingArea, place: Place) -> None:
    staged = put_many(area, 1)
    record = in_flight(area, place, staged)
    Journal(area).open(record._replace(repo="another"))
    made, report = settler(area, place)
    made.recover()
    assert [each.repo for each in Journal(area).pending()] == ["another"]
    assert (report.n_committed, report.errors) == (0, [])
    assert sha256_of_file(area.pending / name_of("run000")) == staged[path_of("run000")]
