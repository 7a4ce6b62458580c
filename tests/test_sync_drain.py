"""Draining into both kinds of repo: batches, budget, conflicts, and being killed at each step."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

import pytest

from tests.folders import tree
from tests.hub_support import addition
from tests.sync_support import (
    FakeTime,
    Hooked,
    Killed,
    Place,
    by_name,
    in_pairs,
    kill,
    ledger_of,
    name_of,
    on_call,
    path_of,
    put_many,
    sha256_of_file,
    shard_bytes,
    shards_in,
)
from vulcan_cli.errors import DiskTrouble, RepoMissing, RepoRefuses, TryLater, UsageError
from vulcan_cli.hub.repo import Commit, Landed, Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import entries_aside
from vulcan_cli.staging.budget import PEER_BUDGET, Budget
from vulcan_cli.staging.journal import Journal
from vulcan_cli.staging.lease import break_lease
from vulcan_cli.staging.ledger import LEDGER_NAME
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.rehearse import rehearse
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.vacua.geometry import file_name


def run(area: StagingArea, repo: Repo | Hooked, **options: Any) -> SyncReport:
    outside = {
        name: options.pop(name) for name in ("clock", "stopping", "progress") if name in options
    }
    return sync(area, cast("Repo", repo), SyncOptions(**options), **outside)


def counts(report: SyncReport) -> dict[str, int]:
    """The counts of a report that are not zero, and its exit status."""
    found = {
        "committed": report.n_committed,
        "failed": report.n_failed,
        "remaining": report.n_remaining,
        "commits": report.n_commits,
        "rejected": report.n_rejected,
        "conflicts": report.n_conflicts,
        "unreadable": report.n_unreadable,
        "exit": report.exit_code,
    }
    return {name: count for name, count in found.items() if count}


def left_of(area: StagingArea, repo: Repo, *, budget: int = 90) -> int:
    """Slots left."""
    return Budget(area, repo.key, budget, 3600.0, with_peer=True).remaining()


def somebody_pushes(repo: Repo, folder: Path, path: str, data: bytes) -> None:
    """Another writer's commit."""
    new = addition(folder, path, data)
    outcome = repo.commit(Commit("somebody else", "", repo.head(), (new,)))
    assert isinstance(outcome, Landed)


def test_p5_all_that_waits_is_published_and_confirmed(area: StagingArea, place: Place) -> None:
    staged = put_many(area, 7)
    repo = place.open()
    report = run(area, repo, max_batch=3)

    assert counts(report) == {"committed": 7, "commits": 3}
    assert (report.errors, report.stopped, report.next_slot_at) == ([], None, None)
    assert report.commit_oids == [commit.id for commit in reversed(repo.log(3))]
    assert place.tree() == staged
    assert [(title, len(paths)) for title, paths in place.commits()] == [
        ("vulcan: forge, 3 shards", 3),
        ("vulcan: forge, 3 shards", 3),
        ("vulcan: forge, 1 shard", 1),
    ]
    assert list(area.pending.iterdir()) == []
    assert shards_in(area.synced) == by_name(staged)
    assert in_pairs(area.synced)
    assert ledger_of(area) == [(path, sha, repo.key, "main") for path, sha in staged.items()]
    assert Journal(area).pending() == []
    assert left_of(area, repo) == 87


def test_a_second_run_has_nothing_to_do_and_asks_nobody(area: StagingArea, place: Place) -> None:
    put_many(area, 2)
    run(area, place.open())
    before = tree(area.synced)
    called: list[str] = []
    report = run(area, Hooked(place.open(), before=called.append))
    assert (counts(report), called, len(place.commits())) == ({}, [], 1)
    assert tree(area.synced) == before


def test_what_the_repo_has_needs_no_commit_and_no_slot(area: StagingArea, place: Place) -> None:
    staged = put_many(area, 3)
    other = StagingArea(area.root.parent / "other")
    other.create()
    assert put_many(other, 3) == staged
    run(other, place.open())

    report = run(area, place.open(), budget=1)
    assert counts(report) == {"committed": 3}
    assert (len(place.commits()), left_of(area, place.open())) == (1, 90)
    assert shards_in(area.synced) == by_name(staged)
    assert len(ledger_of(area)) == 3


def test_p7_what_the_repo_had_is_written_down_by_the_run_after_a_full_disk(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    staged = put_many(area, 2)
    for path in staged:
        data = (area.pending / file_name(path)).read_bytes()
        somebody_pushes(place.open(), tmp_path / "in", path, data)
    ledger = area.private / LEDGER_NAME
    ledger.mkdir(parents=True)
    report = run(area, place.open(), budget=1)
    assert type(report.stopped) is DiskTrouble
    assert shards_in(area.synced) == by_name(staged)

    ledger.rmdir()
    report = run(area, place.open(), budget=1)
    assert (report.stopped, report.errors, report.n_commits) == (None, [], 0)
    assert ledger_of(area) == [(p, s, place.open().key, "main") for p, s in staged.items()]
    assert (Journal(area).pending(), left_of(area, place.open())) == ([], 90)


def test_p3_what_the_repo_has_otherwise_is_set_aside(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    staged = put_many(area, 3)
    taken = path_of("run001")
    theirs = shard_bytes("run001", 99)
    somebody_pushes(place.open(), tmp_path / "in", taken, theirs)
    report = run(area, place.open())
    assert counts(report) == {"committed": 2, "commits": 1, "conflicts": 1, "exit": 3}
    (aside,) = entries_aside(area, "conflicts")
    assert (aside.name, sha256_of_file(aside.path)) == (name_of("run001"), staged[taken])
    assert place.tree()[taken] != staged[taken]
    assert list(area.pending.iterdir()) == []


def test_p10_the_budget_ends_a_run_in_good_order(area: StagingArea, place: Place) -> None:
    staged = put_many(area, 5)
    fake = FakeTime()
    first = fake.moment
    report = run(area, place.open(), max_batch=2, budget=2, window_s=600.0, clock=fake.clock)
    assert counts(report) == {"committed": 4, "remaining": 1, "commits": 2}
    assert (report.next_slot_at, fake.slept) == (first + 600, 0)

    fake.moment += 599
    called: list[str] = []
    again = run(
        area,
        Hooked(place.open(), before=called.append),
        max_batch=2,
        budget=2,
        window_s=600.0,
        clock=fake.clock,
    )
    assert counts(again) == {"remaining": 1}
    assert called == ["preflight"]

    fake.moment += 1
    last = run(area, place.open(), max_batch=2, budget=2, window_s=600.0, clock=fake.clock)
    assert counts(last) == {"committed": 1, "commits": 1}
    assert place.tree() == staged


def test_p10_a_run_may_wait_for_slots(area: StagingArea, place: Place) -> None:
    staged = put_many(area, 5)
    fake = FakeTime()
    report = run(
        area, place.open(), max_batch=1, budget=2, window_s=600.0, wait=True, clock=fake.clock
    )
    assert counts(report) == {"committed": 5, "commits": 5}
    assert (place.tree(), fake.slept) == (staged, 1200)


def test_a_budget_of_nothing_waits_for_nothing(area: StagingArea, place: Place) -> None:
    put_many(area, 1)
    report = run(area, place.open(), budget=0, wait=True)
    assert (counts(report), report.next_slot_at) == ({"remaining": 1}, None)


def test_p10_an_unreadable_budget_stalls_one_window_and_no_more(
    area: StagingArea, place: Place
) -> None:
    put_many(area, 1)
    fake = FakeTime()
    repo = place.open()
    file = area.private / "budget" / f"{repo.key}.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\0\0")
    stalled = run(area, repo, window_s=600.0, clock=fake.clock)
    assert counts(stalled) == {"remaining": 1}
    assert stalled.next_slot_at == fake.moment + 600
    fake.moment += 600
    assert counts(run(area, repo, window_s=600.0, clock=fake.clock)) == {
        "committed": 1,
        "commits": 1,
    }


@pytest.mark.parametrize("with_peer", [True, False])
def test_p10_the_peers_commits_count_where_it_commits_to_the_same_repo(
    area: StagingArea, place: Place, *, with_peer: bool
) -> None:
    put_many(area, 1)
    now = time.time()
    peer = {"budget": 90, "window_s": 3600.0, "timestamps": [now - 60] * 90}
    (area.root / PEER_BUDGET).write_text(json.dumps(peer))
    report = run(area, place.open(), with_peer=with_peer)
    assert counts(report) == ({"remaining": 1} if with_peer else {"committed": 1, "commits": 1})
    mirrored = json.loads((area.root / PEER_BUDGET).read_text())
    assert mirrored["timestamps"] == peer["timestamps"]


def test_p10_our_commits_are_shown_to_the_peer(area: StagingArea, place: Place) -> None:
    put_many(area, 2)
    fake = FakeTime()
    run(area, place.open(), max_batch=1, clock=fake.clock)
    assert json.loads((area.root / PEER_BUDGET).read_text())["timestamps"] == [fake.moment] * 2


def test_a_run_that_is_asked_to_stop_ends_after_the_commit_at_hand(
    area: StagingArea, place: Place
) -> None:
    staged = put_many(area, 5)
    asked: list[bool] = []
    repo = Hooked(place.open(), before=on_call("commit", 2, lambda: asked.append(True)))
    report = run(area, repo, max_batch=2, stopping=lambda: bool(asked))
    assert counts(report) == {"committed": 4, "remaining": 1, "commits": 2}
    assert shards_in(area.synced) == by_name(dict(list(staged.items())[:4]))


def test_a_run_that_is_asked_to_stop_stops_waiting(area: StagingArea, place: Place) -> None:
    put_many(area, 2)
    fake = FakeTime()
    report = run(
        area,
        place.open(),
        max_batch=1,
        budget=1,
        wait=True,
        clock=fake.clock,
        stopping=lambda: fake.slept > 100,
    )
    assert counts(report) == {"committed": 1, "remaining": 1, "commits": 1}
    assert fake.slept == 101
    # A budget that is used up is no trouble, whatever ended the wait.
    report.out_of_time()
    assert (report.exit_code, report.stopped, report.errors) == (0, None, [])


def test_progress_is_told_before_each_batch(area: StagingArea, place: Place) -> None:
    put_many(area, 5)
    told: list[tuple[int, int]] = []
    run(
        area,
        place.open(),
        max_batch=2,
        progress=lambda report, left: told.append((report.n_committed, left)),
    )
    assert told == [(0, 5), (2, 3), (4, 1)]


def test_p9_a_missing_repo_leaves_all_in_pending_without_a_slot(
    area: StagingArea, place: Place
) -> None:
    staged = put_many(area, 2)
    absent = Place(place.kind, place.root / "nowhere", place.hub)
    repo = absent.open() if place.hub is None else place.open(name="alice/nowhere")
    report = run(area, repo)
    assert isinstance(report.stopped, RepoMissing)
    assert counts(report) == {"remaining": 2, "exit": 4}
    assert shards_in(area.pending) == by_name(staged)
    assert left_of(area, repo) == 90

    made = run(area, repo, create_repo=True)
    assert counts(made) == {"committed": 2, "commits": 1}


def test_a_missing_branch_is_no_repo_to_commit_to(area: StagingArea, place: Place) -> None:
    put_many(area, 1)
    report = run(area, place.open(), revision="nowhere")
    assert isinstance(report.stopped, RepoMissing)
    assert counts(report) == {"remaining": 1, "exit": 4}


def test_p6_somebody_elses_commit_makes_us_look_again(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    staged = put_many(area, 3)
    other = place.open()

    def push() -> None:
        somebody_pushes(other, tmp_path / "in", path_of("other"), shard_bytes("other"))

    report = run(area, Hooked(place.open(), before=on_call("commit", 1, push)))
    assert counts(report) == {"committed": 3, "commits": 1}
    assert {path: place.tree()[path] for path in staged} == staged
    assert left_of(area, place.open()) == 88


def test_p6_a_repo_that_changes_at_every_try_is_left_for_later(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    staged = put_many(area, 1)
    other, number = place.open(), iter(range(100))

    def push(name: str) -> None:
        if name == "commit":
            run_of = f"other{next(number)}"
            somebody_pushes(other, tmp_path / "in", path_of(run_of), shard_bytes(run_of))

    report = run(area, Hooked(place.open(), before=push), max_retries=2)
    assert isinstance(report.stopped, TryLater)
    assert counts(report) == {"remaining": 1, "exit": 5}
    assert shards_in(area.pending) == by_name(staged)
    assert left_of(area, place.open()) == 87


def test_p6_another_sync_with_the_lock_broken_commits_nothing_twice(
    area: StagingArea, place: Place
) -> None:
    staged = put_many(area, 4)
    inner: list[SyncReport] = []

    def other_sync() -> None:
        break_lease(area)
        inner.append(run(area, place.open(), max_batch=4))

    # Between our look at the repo and our commit another sync does all the work.
    repo = Hooked(place.open(), after=on_call("upload", 1, other_sync))
    report = run(area, repo, max_batch=4)
    assert counts(inner[0]) == {"committed": 4, "commits": 1}
    assert report.exit_code == 7
    assert place.tree() == staged
    assert place.committed() == sorted(staged)
    assert shards_in(area.synced) == by_name(staged)
    again = run(area, place.open())
    assert (counts(again), len(place.commits())) == ({}, 1)


METHODS = ("preflight", "head", "look_up", "upload", "commit")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_p7_a_run_that_died_at_the_repo_is_finished_by_the_next(
    area: StagingArea, place: Place, method: str, when: str, number: int
) -> None:
    staged = put_many(area, 4)
    hook = on_call(method, number, kill)
    repo = Hooked(place.open(), **{when: hook})
    died = False
    try:
        run(area, repo, max_batch=2)
    except Killed:
        died = True
    assert died is not (method == "preflight" and number == 2)
    # P5: at this very moment each shard is in pending, or in the repo and not in synced unasked.
    there = shards_in(area.pending) | shards_in(area.synced)
    assert there == by_name(staged)
    assert set(shards_in(area.synced)) <= set(by_name(place.tree()))

    report = run(area, place.open(), max_batch=2)
    assert (report.n_remaining, report.exit_code, report.errors) == (0, 0, [])
    assert place.tree() == staged
    assert place.committed() == sorted(staged)
    assert shards_in(area.synced) == by_name(staged)
    assert list(area.pending.iterdir()) == []
    assert ledger_of(area) == [(p, s, place.open().key, "main") for p, s in staged.items()]
    assert Journal(area).pending() == []
    assert left_of(area, place.open()) >= 87


def test_a_commit_that_landed_before_the_crash_is_counted_by_the_run_that_finds_it(
    area: StagingArea, place: Place
) -> None:
    put_many(area, 2)
    with pytest.raises(Killed):
        run(area, Hooked(place.open(), after=on_call("commit", 1, kill)))
    repo = place.open()
    report = run(area, repo)
    assert counts(report) == {"committed": 2, "commits": 1}
    assert report.commit_oids == [repo.head()]
    assert left_of(area, repo) == 89


def test_the_journal_of_another_repo_is_left_to_its_own_sync(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    put_many(area, 1)
    with pytest.raises(Killed):
        run(area, Hooked(place.open(), before=on_call("commit", 1, kill)))
    elsewhere = Place("directory", tmp_path / "elsewhere")
    elsewhere.folder.mkdir(parents=True)
    report = run(area, elsewhere.open())
    assert counts(report) == {"committed": 1, "commits": 1}
    assert [record.repo for record in Journal(area).pending()] == [place.open().key]


def test_a_journal_of_a_branch_that_is_gone_stops_nothing(area: StagingArea, place: Place) -> None:
    put_many(area, 1)
    with pytest.raises(Killed):
        run(area, Hooked(place.open(), before=on_call("commit", 1, kill)))
    (record,) = Journal(area).pending()
    gone = area.private / "journal" / f"{record.batch}.json"
    gone.write_text(gone.read_text().replace('"main"', '"gone"'))
    assert counts(run(area, place.open())) == {"committed": 1, "commits": 1}


def test_what_was_committed_is_told_where_pending_is_lost_after_it(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    put_many(area, 5)

    def lose(report: SyncReport, _left: int) -> None:
        if report.n_committed:
            area.pending.rename(tmp_path / "lost")

    report = run(area, place.open(), max_batch=2, progress=lose)
    assert counts(report) == {"committed": 2, "commits": 1, "exit": 4}
    assert len(report.commit_oids) == 1
    assert report.errors == [f"there is no folder {area.pending}"]


def test_p5_bytes_that_were_swapped_while_they_were_sent_are_kept(
    area: StagingArea, place: Place
) -> None:
    staged = put_many(area, 2)
    name = name_of("run000")
    other = shard_bytes("run000", 99)

    def swap() -> None:
        (area.pending / f"new-{name}").write_bytes(other)
        (area.pending / f"new-{name}").rename(area.pending / name)

    report = run(area, Hooked(place.open(), after=on_call("upload", 1, swap)))
    assert counts(report) == {"committed": 2, "commits": 1, "conflicts": 1, "exit": 3}
    assert place.tree() == staged
    (aside,) = entries_aside(area, "conflicts")
    assert (aside.name, aside.path.read_bytes()) == (name, other)
    assert shards_in(area.synced) == by_name({path_of("run001"): staged[path_of("run001")]})


def test_p3_synced_is_never_overwritten(area: StagingArea, place: Place) -> None:
    staged = put_many(area, 2)
    other = shard_bytes("run000", 99)
    (area.synced / name_of("run000")).write_bytes(other)
    report = run(area, place.open())
    assert counts(report) == {"committed": 1, "commits": 1, "conflicts": 1, "exit": 3}
    assert (area.synced / name_of("run000")).read_bytes() == other
    (aside,) = entries_aside(area, "conflicts")
    assert sha256_of_file(aside.path) == staged[path_of("run000")]


def test_the_report_of_an_entry_that_vanished_is_silent(area: StagingArea, place: Place) -> None:
    staged = put_many(area, 2)
    gone = area.pending / name_of("run000")

    def vanish() -> None:
        gone.unlink()
        gone.with_name(gone.name + SIDECAR_SUFFIX).unlink()

    report = run(area, Hooked(place.open(), before=on_call("preflight", 1, vanish)))
    assert counts(report) == {"committed": 1, "commits": 1}
    assert list(place.tree()) == [path for path in staged if "run001" in path]


def test_directory_repos_have_no_pull_requests(area: StagingArea, folder_place: Place) -> None:
    put_many(area, 1)
    before = tree(area.root)
    with pytest.raises(UsageError, match=r" is a folder, which has no pull requests$"):
        run(area, folder_place.open(), create_pr=True)
    assert tree(area.root) == before


def test_a_rehearsal_that_reserves_nothing_writes_nothing(
    area: StagingArea, folder_place: Place
) -> None:
    put_many(area, 5)
    (area.pending / name_of("bad")).write_bytes(b"young and broken")
    before = {path: path.stat() for path in area.root.rglob("*")}
    whole = tree(area.root)
    report = rehearse(
        area, SyncOptions(max_batch=2), repo_key=folder_place.open().key, reserve=False
    )
    assert counts(report) == {"committed": 5, "remaining": 1, "commits": 3}
    assert report.commit_oids == [None, None, None]
    assert tree(area.root) == whole
    after = {path: path.stat() for path in area.root.rglob("*")}
    assert {path: (s.st_mtime_ns, s.st_ino) for path, s in after.items()} == {
        path: (s.st_mtime_ns, s.st_ino) for path, s in before.items()
    }


def test_a_rehearsal_reserves_as_many_slots_as_the_run_would_take(
    area: StagingArea, folder_place: Place
) -> None:
    put_many(area, 5)
    whole = tree(area.root)
    key = folder_place.open().key
    report = rehearse(area, SyncOptions(max_batch=2, budget=2), repo_key=key)
    assert counts(report) == {"committed": 4, "remaining": 1, "commits": 2}
    assert report.next_slot_at is not None
    new = {path for path in tree(area.root) if path not in whole}
    assert new == {
        PEER_BUDGET,
        "_vulcan",
        "_vulcan/budget",
        f"_vulcan/budget/{key}.json",
        f"_vulcan/budget/{key}.lock",
    }
    assert tree(area.root).items() >= whole.items()
    assert left_of(area, folder_place.open(), budget=2) == 0


@pytest.mark.parametrize("count", [1, 2, 7])
def test_p9_a_repo_that_refuses_everything_blames_nobody(
    area: StagingArea, folder_place: Place, count: int
) -> None:
    """A folder that has something in the way of every path."""
    staged = put_many(area, count)
    (folder_place.folder / "h12_2").write_bytes(b"in the way")
    report = run(area, folder_place.open())
    if count == 1:
        # Nothing tells one bad shard from a bad repo.
        assert counts(report) == {"failed": 1, "exit": 3}
        return
    assert isinstance(report.stopped, RepoRefuses)
    assert counts(report) == {"remaining": count, "exit": 4}
    assert shards_in(area.pending) == by_name(staged)
    assert left_of(area, folder_place.open()) >= 90 - 12
