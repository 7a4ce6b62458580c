"""Pull requests: one for a run, its shards in review until the default branch has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from tests.hubserver import Fault, LocalHub
from tests.sync_support import (
    NAME,
    FakeTime,
    Hooked,
    Killed,
    by_name,
    kill,
    ledger_of,
    on_call,
    open_hub,
    path_of,
    put,
    put_many,
    sha256_of_file,
    shard_bytes,
    shards_in,
)
from vulcan_cli.errors import UsageError
from vulcan_cli.hub.repo import Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.journal import Journal
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.rehearse import rehearse
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.review import names_in_review

COMMIT = f"/api/datasets/{NAME}/commit/"


def run(area: StagingArea, repo: Repo | Hooked, **options: Any) -> SyncReport:
    return sync(area, cast("Repo", repo), SyncOptions(**options), clock=FakeTime().clock)


def propose(area: StagingArea, repo: Repo | Hooked, **options: Any) -> SyncReport:
    return run(area, repo, create_pr=True, **options)


def told(report: SyncReport) -> tuple[int, int, int, int, int]:
    """Committed, commits, in review, remaining, exit status."""
    return (
        report.n_committed,
        report.n_commits,
        report.n_in_review,
        report.n_remaining,
        report.exit_code,
    )


def shards_at(hub: LocalHub, revision: str) -> dict[str, str]:
    tree = hub.tree(NAME, revision)
    return {path: tree[path] for path in tree if path.endswith(".parquet")}


def test_a_run_proposes_all_its_shards_in_one_pull_request(
    area: StagingArea, hub: LocalHub
) -> None:
    staged = put_many(area, 5)
    report = propose(area, open_hub(hub), max_batch=2)
    assert told(report) == (0, 3, 5, 5, 0)
    assert report.pull_requests == {NAME: 1}
    assert [each["status"] for each in hub.discussions(NAME)] == ["open"]
    assert (shards_at(hub, "refs/pr/1"), shards_at(hub, "main")) == (staged, {})
    assert shards_in(area.pending) == by_name(staged)
    assert names_in_review(area, open_hub(hub).key) == set(by_name(staged))
    assert ledger_of(area) == []


def test_what_was_proposed_is_told_where_pending_is_lost_after_it(
    area: StagingArea, hub: LocalHub, tmp_path: Path
) -> None:
    put_many(area, 5)

    def lose(report: SyncReport, _left: int) -> None:
        if report.n_commits:
            area.pending.rename(tmp_path / "lost")

    options = SyncOptions(create_pr=True, max_batch=2)
    report = sync(area, open_hub(hub), options, clock=FakeTime().clock, progress=lose)
    assert told(report) == (0, 1, 0, 0, 4)
    assert report.pull_requests == {NAME: 1}
    assert report.errors == [f"there is no folder {area.pending}"]


@pytest.mark.parametrize("create_pr", [True, False])
def test_p6_what_is_in_review_is_not_committed_again(
    area: StagingArea, hub: LocalHub, *, create_pr: bool
) -> None:
    staged = put_many(area, 3)
    propose(area, open_hub(hub))
    attempts = len(hub.attempts(NAME))
    assert told(run(area, open_hub(hub), create_pr=create_pr)) == (0, 0, 3, 3, 0)
    assert len(hub.attempts(NAME)) == attempts
    rehearsed = rehearse(area, SyncOptions(), repo_key=open_hub(hub).key, reserve=False)
    assert told(rehearsed) == (0, 0, 3, 3, 0)

    new = put(area, "new")
    sha256 = sha256_of_file(new)
    report = run(area, open_hub(hub), create_pr=create_pr)
    if create_pr:
        assert (told(report), report.pull_requests) == ((0, 1, 4, 4, 0), {NAME: 2})
        assert shards_at(hub, "refs/pr/2") == {path_of("new"): sha256}
    else:
        assert (told(report), report.pull_requests) == ((1, 1, 3, 3, 0), {})
        assert shards_at(hub, "main") == {path_of("new"): sha256}
    assert shards_at(hub, "refs/pr/1") == staged


def test_p5_a_merged_pull_request_is_settled_without_a_commit(
    area: StagingArea, hub: LocalHub
) -> None:
    staged = put_many(area, 3)
    propose(area, open_hub(hub))
    hub.merge_pr(NAME, 1)
    attempts = len(hub.attempts(NAME))
    report = run(area, open_hub(hub))
    assert told(report) == (3, 0, 0, 0, 0)
    assert len(hub.attempts(NAME)) == attempts
    assert shards_in(area.synced) == by_name(staged)
    key = open_hub(hub).key
    assert ledger_of(area) == [(path, sha, key, "main") for path, sha in staged.items()]
    assert names_in_review(area, key) == set()


def test_a_closed_pull_request_leaves_plain_pending_shards(
    area: StagingArea, hub: LocalHub
) -> None:
    staged = put_many(area, 3)
    propose(area, open_hub(hub))
    hub.close_pr(NAME, 1)
    report = run(area, open_hub(hub))
    assert told(report) == (3, 1, 0, 0, 0)
    assert shards_at(hub, "main") == staged


def test_a_pull_request_that_was_merged_in_part_elsewhere(area: StagingArea, hub: LocalHub) -> None:
    staged = put_many(area, 3)
    propose(area, open_hub(hub))
    first, second, third = staged
    data = (area.pending / next(iter(by_name(staged)))).read_bytes()
    hub.push(NAME, {first: data, second: shard_bytes("run001", 99)})
    report = run(area, open_hub(hub))
    assert (told(report), report.n_conflicts) == ((1, 0, 1, 1, 3), 1)
    assert shards_in(area.pending) == by_name({third: staged[third]})


def test_a_pull_request_is_refused_where_there_can_be_none(
    area: StagingArea, hub: LocalHub
) -> None:
    put_many(area, 1)
    report = propose(area, open_hub(hub), revision="other")
    assert isinstance(report.stopped, UsageError)
    assert hub.attempts(NAME) == []


LOST = {
    "connection after": Fault("drop_after", COMMIT, "POST"),
    "504 after": Fault("status_after", COMMIT, "POST", status=504),
    "connection before": Fault("drop", COMMIT, "POST"),
}


@pytest.mark.parametrize("what", LOST)
def test_p6_a_pull_request_whose_answer_was_lost_is_found(
    area: StagingArea, hub: LocalHub, what: str
) -> None:
    staged = put_many(area, 4)
    hub.add_faults(LOST[what])
    report = propose(area, open_hub(hub), max_batch=2)
    assert (report.n_in_review, report.n_remaining, report.exit_code) == (4, 4, 0)
    assert len(hub.discussions(NAME)) == 1
    assert shards_at(hub, "refs/pr/1") == staged


@pytest.mark.parametrize("method", ["head", "look_up", "upload", "commit"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_p7_a_run_that_died_proposing_is_finished_by_the_next(
    area: StagingArea, hub: LocalHub, method: str, when: str, number: int
) -> None:
    staged = put_many(area, 4)
    repo = Hooked(open_hub(hub), **{when: on_call(method, number, kill)})
    try:
        propose(area, repo, max_batch=2)
    except Killed:
        assert shards_in(area.pending) == by_name(staged)
    report = propose(area, open_hub(hub), max_batch=2)
    assert (report.n_in_review, report.n_remaining, report.exit_code) == (4, 4, 0)
    open_ones = [each for each in hub.discussions(NAME) if each["status"] == "open"]
    found = [shards_at(hub, f"refs/pr/{each['num']}") for each in open_ones]
    assert {path: sha for each in found for path, sha in each.items()} == staged
    assert sum(map(len, found)) == len(staged)
    assert Journal(area).pending() == []
    for each in open_ones:
        hub.merge_pr(NAME, each["num"])
    assert told(run(area, open_hub(hub))) == (4, 0, 0, 0, 0)
    assert shards_in(area.synced) == by_name(staged)
