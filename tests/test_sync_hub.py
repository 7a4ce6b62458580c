"""Draining to a Hub that fails in every way it can: the real client against a real server."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from email.utils import formatdate
from typing import Any, cast

import pytest

from tests.hubserver import BAD, READ, WRITE, Fault, HubThread, LocalHub, Refusal, Token
from tests.sync_support import (
    NAME,
    FakeTime,
    Hooked,
    Killed,
    Place,
    by_name,
    kill,
    name_of,
    on_call,
    open_hub,
    path_of,
    put_many,
    shards_in,
)
from vulcan_cli.errors import (
    Denied,
    RateLimited,
    RepoMissing,
    RepoRefuses,
    ServerTrouble,
    Unreachable,
    VulcanError,
)
from vulcan_cli.hub.repo import Repo
from vulcan_cli.quantities import format_size
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.journal import Journal
from vulcan_cli.staging.reasons import read_reason
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.report import SyncReport

COMMIT = f"/api/datasets/{NAME}/commit/"
HEAD = f"GET /api/datasets/{NAME}/revision/"


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


def run(area: StagingArea, repo: Repo | Hooked, fake: FakeTime, **options: Any) -> SyncReport:
    return sync(area, cast("Repo", repo), SyncOptions(**options), clock=fake.clock)


def spent(area: StagingArea, repo: Repo) -> int:
    """Slots that were spent, as they stand in the staging directory."""
    file = area.private / "budget" / f"{repo.key}.json"
    return len(json.loads(file.read_bytes())["timestamps"]) if file.exists() else 0


def requested(hub: LocalHub) -> int:
    """Commit requests that arrived."""
    return len(hub.attempts(NAME))


def assert_whole(area: StagingArea, hub: LocalHub, staged: dict[str, str]) -> None:
    """Every shard is in the repo with its own SHA-256, in `synced/`, and in one commit of ours."""
    place = Place("hub", area.root.parent, hub)
    assert place.tree() == staged
    assert place.committed() == sorted(staged)
    assert shards_in(area.synced) == by_name(staged)
    assert list(area.pending.iterdir()) == []
    assert Journal(area).pending() == []


LOST: dict[str, tuple[Fault, int]] = {
    "connection closed before": (Fault("drop", COMMIT, "POST"), 2),
    "connection reset before": (Fault("drop", COMMIT, "POST", mode="reset"), 2),
    "connection closed after": (Fault("drop_after", COMMIT, "POST"), 1),
    "connection reset after": (Fault("drop_after", COMMIT, "POST", mode="reset"), 1),
    "504 after": (Fault("status_after", COMMIT, "POST", status=504), 1),
    "504 before": (Fault("status", COMMIT, "POST", status=504), 2),
    "500": (Fault("status", COMMIT, "POST", status=500), 2),
    "503": (Fault("status", COMMIT, "POST", status=503), 2),
    "409": (Fault("status", COMMIT, "POST", status=409), 2),
    "408": (Fault("status", COMMIT, "POST", status=408), 2),
    "412": (Fault("status", COMMIT, "POST", status=412), 2),
    "200 without fields": (Fault("status_after", COMMIT, "POST", status=200, body={}), 1),
    "no JSON": (Fault("status", COMMIT, "POST", status=200, body="what"), 2),
}


@pytest.mark.parametrize("what", LOST)
def test_p6_a_lost_answer_neither_loses_nor_doubles_a_shard(
    area: StagingArea, hub: LocalHub, fake: FakeTime, what: str
) -> None:
    fault, requests = LOST[what]
    staged = put_many(area, 1)
    hub.add_faults(fault)
    repo = open_hub(hub)
    report = run(area, repo, fake)
    assert (report.n_committed, report.n_commits, report.exit_code) == (1, 1, 0)
    assert report.commit_oids == [repo.head()]
    assert requested(hub) == spent(area, repo) == requests
    assert_whole(area, hub, staged)


def test_p6_another_server_than_we_think_the_hub_is(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    """Small files in git, no error codes, no headers beside, small pages, answers half empty."""
    hub.configure(
        all_regular=True, error_codes=False, rate_headers=False, keep_alive=False, page_size=2
    )
    staged = put_many(area, 5)
    place = Place("hub", area.root.parent, hub)
    paths = list(staged)
    hub.push(NAME, {paths[0]: (area.pending / name_of("run000")).read_bytes()})
    hub.add_faults(Fault("status_after", COMMIT, "POST", status=200, body={"success": True}))
    report = run(area, open_hub(hub), fake, max_batch=3)
    assert (report.n_committed, report.n_commits, report.exit_code) == (5, 2, 0)
    assert (place.tree(), place.committed()) == (staged, paths[1:])
    assert shards_in(area.synced) == by_name(staged)
    assert requested(hub) == 2
    # What it does not say, and what it says without a code.
    put_many(area, 1, "more")
    missing = run(area, open_hub(hub, name="alice/none"), fake)
    assert (type(missing.stopped), missing.exit_code) == (RepoMissing, 4)
    branch = run(area, open_hub(hub), fake, revision="none")
    assert (type(branch.stopped), branch.exit_code) == (RepoMissing, 4)
    hub.set_cap(2)
    limited = run(area, open_hub(hub, clock=lambda: fake.moment), fake)
    assert (type(limited.stopped), limited.exit_code) == (RateLimited, 5)


def test_p7_a_hub_that_tells_no_history_is_asked_for_its_files(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    staged = put_many(area, 2)
    hub.add_faults(
        Fault("drop_after", COMMIT, "POST"),
        Fault("status", f"/{NAME}/commits/", times=None, status=404),
    )
    report = run(area, open_hub(hub), fake)
    assert (report.n_committed, report.exit_code, requested(hub)) == (2, 0, 1)
    assert_whole(area, hub, staged)


def test_a_server_error_halves_the_batches_for_the_rest_of_the_run(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    staged = put_many(area, 8)
    hub.add_faults(Fault("status", COMMIT, "POST", status=504, times=None, min_operations=5))
    report = run(area, open_hub(hub), fake)
    assert (report.n_committed, report.exit_code) == (8, 0)
    # Two operations in each are catalog and card.
    assert [attempt.operations for attempt in hub.attempts(NAME)] == [10, 6, 4, 4, 4, 4]
    assert_whole(area, hub, staged)


def test_a_lost_part_of_a_search_does_not_make_all_batches_small(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    staged = put_many(area, 16)
    hub.refuse_paths(Refusal("run000", names_path=False))
    hub.add_faults(Fault("status", COMMIT, "POST", skip=3, status=504))
    report = run(area, open_hub(hub), fake, max_batch=8)
    assert (report.n_committed, report.n_failed, report.exit_code) == (15, 1, 3)
    sizes = [attempt.operations for attempt in hub.attempts(NAME)]
    # The search goes without catalog and card, which are in the first commit and in the last.
    assert (sizes[:4], sizes[-1]) == ([10, 4, 2, 1], 6)
    assert shards_in(area.failed) == by_name({path_of("run000"): staged[path_of("run000")]})


@pytest.mark.parametrize("status", [500, 503, 504])
def test_p9_a_server_in_trouble_is_left_for_later(
    area: StagingArea, hub: LocalHub, fake: FakeTime, status: int
) -> None:
    staged = put_many(area, 4)
    hub.add_faults(Fault("status", COMMIT, "POST", status=status, times=None))
    repo = open_hub(hub)
    report = run(area, repo, fake, max_retries=3)
    assert isinstance(report.stopped, ServerTrouble)
    assert (report.n_remaining, report.n_failed, report.exit_code) == (4, 0, 5)
    assert shards_in(area.pending) == by_name(staged)
    assert requested(hub) == spent(area, repo) == 4
    assert fake.slept == 2 + 4 + 8
    hub.clear_faults()
    assert run(area, repo, fake).exit_code == 0
    assert_whole(area, hub, staged)


def test_each_wait_and_each_question_is_noted(
    area: StagingArea, hub: LocalHub, fake: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    put_many(area, 2)
    hub.add_faults(Fault("drop_after", COMMIT, "POST"))
    hub.add_faults(Fault("status", COMMIT, "POST", status=503))
    repo = open_hub(hub)
    with caplog.at_level(logging.INFO, "vulcan_cli.sync"):
        report = run(area, repo, fake, budget=1, wait=True, max_batch=1)
    moment = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    size = format_size(next(area.synced.glob("*.parquet")).stat().st_size)
    assert [re.sub(moment, "THEN", note) for note in caplog.messages] == [
        f"{NAME} has 0 of 1 shard already",
        f"{NAME} confirms 1 of 1 shard",
        "waits for a commit slot until THEN",
        f"{NAME} has 0 of 1 shard already",
        f"{NAME} confirms 0 of 1 shard",
        f"tries again at THEN: {NAME} has trouble of its own: A fault of the local Hub (HTTP 503)",
        "waits for a commit slot until THEN",
        f"{NAME} has 0 of 1 shard already",
        f"{NAME} took 1 shard, {size}: commit {report.commit_oids[1]}",
        f"{NAME} confirms 1 of 1 shard",
    ]


CAPS: dict[str, Fault] = {
    "words": Fault(
        "status",
        COMMIT,
        "POST",
        status=429,
        body={"error": "You have exceeded the rate limit for repository commits (128 per hour). "
              "You can retry this action in 2 minutes."},
    ),
    "Retry-After": Fault("status", COMMIT, "POST", status=429, headers={"Retry-After": "120"}),
    "Retry-After as a date": Fault(
        "status",
        COMMIT,
        "POST",
        status=429,
        headers={"Retry-After": "a date"},
    ),
    "RateLimit": Fault(
        "status", COMMIT, "POST", status=429, headers={"RateLimit": '"api";r=0;t=120'}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CAPS)
def test_a_rate_limit_within_patience_is_waited_out(
    area: StagingArea, hub: LocalHub, fake: FakeTime, what: str
) -> None:
    staged = put_many(area, 2)
    fault = CAPS[what]
    if what.endswith("date"):
        # Told from the clock of the run: the suite may have been at work for minutes.
        fault = replace(fault, headers={"Retry-After": formatdate(fake.moment + 200, usegmt=True)})
    hub.add_faults(fault)
    repo = Hooked(open_hub(hub, clock=lambda: fake.moment))
    report = run(area, repo, fake)
    assert (report.n_committed, report.exit_code, requested(hub)) == (2, 0, 2)
    assert 199 <= fake.slept <= 200 if what.endswith("date") else fake.slept == 120
    assert [attempt.operations for attempt in hub.attempts(NAME)] == [4, 4]
    assert_whole(area, hub, staged)


@pytest.mark.parametrize("flavour", ["text", "retry-after", "retry-after-date", "ratelimit"])
def test_p9_a_rate_limit_beyond_patience_says_when_to_come_back(
    area: StagingArea, hub: LocalHub, fake: FakeTime, flavour: Any
) -> None:
    staged = put_many(area, 4)
    hub.set_cap(2, window=3600.0, flavour=flavour)
    repo = open_hub(hub, clock=lambda: fake.moment)
    start = fake.moment
    report = run(area, repo, fake, max_batch=1)
    assert isinstance(report.stopped, RateLimited)
    assert (report.n_committed, report.n_remaining, report.exit_code) == (2, 2, 5)
    assert requested(hub) == spent(area, repo) == 3
    assert report.next_slot_at is not None
    assert 3000 <= report.next_slot_at - start <= 3660
    assert fake.slept == 0
    rest = {path: sha for path, sha in staged.items() if path > path_of("run001")}
    assert shards_in(area.pending) == by_name(rest)


def test_a_run_waits_out_what_the_repo_told_the_one_before(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    put_many(area, 2)
    hub.add_faults(
        Fault("status", COMMIT, "POST", times=1, status=429, headers={"Retry-After": "120"})
    )
    repo = open_hub(hub, clock=lambda: fake.moment)
    first = run(area, repo, fake, max_retries=0)
    assert (first.n_committed, first.exit_code, fake.slept) == (0, 5, 0)
    again = run(area, repo, fake, max_retries=0)
    assert (again.n_committed, again.exit_code, again.errors) == (2, 0, [])
    assert (requested(hub), fake.slept) == (2, 120)


def test_p9_a_run_that_may_not_commit_yet_ends_as_the_one_that_was_told(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    staged = put_many(area, 2)
    hub.add_faults(
        Fault("status", COMMIT, "POST", times=None, status=429, headers={"Retry-After": "900"})
    )
    repo = open_hub(hub, clock=lambda: fake.moment)
    told = fake.moment + 900
    for options in ({}, {"fail_exhausted": True}):
        report = run(area, repo, fake, max_retries=0, **options)
        assert isinstance(report.stopped, RateLimited)
        assert (report.n_remaining, report.exit_code, report.next_slot_at) == (2, 5, told)
        assert (requested(hub), fake.slept) == (1, 0)
    assert shards_in(area.pending) == by_name(staged)


def test_a_run_that_is_asked_to_stop_waits_no_longer_for_a_repo_that_takes_no_more(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    put_many(area, 1)
    hub.add_faults(
        Fault("status", COMMIT, "POST", times=1, status=429, headers={"Retry-After": "120"})
    )
    repo = open_hub(hub, clock=lambda: fake.moment)
    assert run(area, repo, fake, max_retries=0).exit_code == 5
    report = sync(area, repo, SyncOptions(), clock=fake.clock, stopping=lambda: fake.slept >= 10)
    assert (report.n_remaining, report.exit_code, report.stopped) == (1, 0, None)
    assert (requested(hub), fake.slept) == (1, 10)
    told = fake.moment + 110
    assert isinstance(report.waited_for, RateLimited)
    assert (report.waited_for.retry_at, report.next_slot_at) == (told, told)
    # Where its time was up, that is trouble, and no success.
    report.out_of_time()
    assert (report.exit_code, report.stopped) == (5, report.waited_for)
    assert report.errors == [str(report.waited_for)]


def test_p10_the_wait_for_a_rate_limit_is_never_longer_than_the_window(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    put_many(area, 1)
    hub.add_faults(Fault("status", COMMIT, "POST", status=429, headers={"Retry-After": "86400"}))
    repo = open_hub(hub, clock=lambda: fake.moment)
    report = run(area, repo, fake, wait=True, window_s=1000.0)
    assert (report.n_committed, report.exit_code, fake.slept) == (1, 0, 1000)


def test_p10_a_run_says_to_come_back_when_a_window_has_passed_at_the_latest(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    put_many(area, 1)
    hub.add_faults(Fault("status", COMMIT, "POST", status=429, headers={"Retry-After": "86400"}))
    repo = open_hub(hub, clock=lambda: fake.moment)
    report = run(area, repo, fake, window_s=1000.0)
    assert isinstance(report.stopped, RateLimited)
    then = fake.moment + 1000.0
    assert (report.next_slot_at, report.stopped.retry_at, report.exit_code) == (then, then, 5)


def test_p10_a_run_learns_the_repos_own_limit(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    """The Hub takes 3 an hour from everybody; our budget says 90."""
    staged = put_many(area, 6)
    hub.set_cap(3, flavour="text")
    repo = open_hub(hub, clock=lambda: fake.moment)

    def keep_time(name: str) -> None:
        if name == "commit":
            hub.configure(clock_offset=fake.slept)

    report = run(area, Hooked(repo, before=keep_time), fake, max_batch=1, wait=True)
    assert (report.n_committed, report.exit_code) == (6, 0)
    assert_whole(area, hub, staged)
    # One refusal taught it; from then on no request was wasted.
    assert [attempt.over is not None for attempt in hub.attempts(NAME)].count(True) == 1
    assert fake.slept == 3600


def test_p9_exhausted_retries_fail_a_batch_only_where_that_was_asked_for(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    staged = put_many(area, 3)
    hub.add_faults(Fault("status", COMMIT, "POST", status=429, times=None))
    repo = open_hub(hub, clock=lambda: fake.moment)
    report = run(area, repo, fake, max_batch=2, max_retries=1, fail_exhausted=True)
    assert isinstance(report.stopped, RateLimited)
    assert (report.n_failed, report.n_remaining, report.exit_code) == (2, 1, 5)
    assert shards_in(area.failed) == by_name(dict(list(staged.items())[:2]))
    assert read_reason(area, name_of("run000")) == str(report.stopped)


def test_p5_what_may_have_landed_is_never_failed(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    """The commit applies, and then nobody answers any more."""
    staged = put_many(area, 2)
    hub.add_faults(
        Fault("status_after", COMMIT, "POST", status=504),
        Fault("status", f"/{NAME}/paths-info", "POST", skip=1, times=None, status=503),
    )
    repo = open_hub(hub)
    report = run(area, repo, fake, max_retries=1, fail_exhausted=True)
    assert isinstance(report.stopped, ServerTrouble)
    assert (report.n_failed, report.n_remaining) == (0, 2)
    assert len(Journal(area).pending()) == 1
    hub.clear_faults()
    report = run(area, repo, fake)
    assert (report.n_committed, report.n_commits, report.exit_code) == (2, 1, 0)
    assert requested(hub) == 1
    assert_whole(area, hub, staged)


def test_a_question_without_an_answer_is_asked_again_within_patience(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    staged = put_many(area, 4)
    hub.add_faults(
        Fault("status", f"/{NAME}/paths-info", "POST", status=503, times=2),
        Fault("drop", f"/{NAME}/revision/main", "GET", skip=2, times=2),
        Fault("status", f"/{NAME}/preupload/", "POST", status=429, times=1),
    )
    report = run(area, open_hub(hub), fake, max_batch=2, max_retries=5)
    assert (report.n_committed, report.exit_code) == (4, 0)
    assert_whole(area, hub, staged)


CLASSES: dict[str, tuple[str | None, type[VulcanError]]] = {
    "401": (BAD, Denied),
    "403": (READ, Denied),
    "no token": (None, Denied),
    "404": (WRITE, RepoMissing),
    ".gitignore": (WRITE, RepoRefuses),
    "server down": (WRITE, Unreachable),
}


@pytest.mark.parametrize("what", CLASSES)
def test_p9_what_is_no_shards_fault_is_found_before_a_slot_is_spent(
    area: StagingArea, hub: LocalHub, fake: FakeTime, what: str
) -> None:
    token, kind = CLASSES[what]
    staged = put_many(area, 2)
    name = "alice/nowhere" if what == "404" else NAME
    repo = open_hub(hub, token, name=name)
    if what == ".gitignore":
        hub.push(NAME, {".gitignore": b"*.parquet\n"})
    if what == "server down":
        cast("HubThread", hub).stop()
    report = run(area, repo, fake)
    assert type(report.stopped) is kind
    assert report.exit_code == kind.exit_code
    assert (report.n_failed, report.n_remaining) == (0, 2)
    assert shards_in(area.pending) == by_name(staged)
    assert spent(area, repo) == 0
    if what == "server down":
        cast("HubThread", hub).start()
    assert hub.attempts() == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_p9_a_token_that_expires_during_the_run_stops_it(
    area: StagingArea, hub: LocalHub, fake: FakeTime, status: int
) -> None:
    staged = put_many(area, 4)
    hub.add_faults(Fault("status", COMMIT, "POST", skip=1, times=None, status=status))
    report = run(area, open_hub(hub), fake, max_batch=2)
    assert isinstance(report.stopped, RepoMissing if status == 404 else Denied)
    assert (report.n_committed, report.n_failed, report.n_remaining) == (2, 0, 2)
    hub.clear_faults()
    hub.set_token("hf_new", Token("new", "alice", "write"))
    assert run(area, open_hub(hub, "hf_new"), fake).n_committed == 2
    assert_whole(area, hub, staged)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_p9_the_shard_that_the_hub_refuses_is_alone_in_failed(
    area: StagingArea, hub: LocalHub, fake: FakeTime, status: int, *, names: bool
) -> None:
    staged = put_many(area, 20)
    guilty = path_of("run013")
    hub.refuse_paths(Refusal("run013", status, "No thirteens here.", names_path=names))
    repo = open_hub(hub)
    report = run(area, repo, fake)
    assert (report.n_committed, report.n_failed, report.n_remaining) == (19, 1, 0)
    assert report.exit_code == 3
    assert shards_in(area.failed) == by_name({guilty: staged[guilty]})
    reason = read_reason(area, name_of("run013"))
    assert reason is not None
    assert reason.startswith("No thirteens here.")
    assert requested(hub) == spent(area, repo)
    assert requested(hub) <= (2 if names else 8)
    place = Place("hub", area.root.parent, hub)
    assert place.committed() == sorted(set(staged) - {guilty})


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("max_batch", [1, 7, 500])
def test_p9_a_hub_that_refuses_everything_blames_no_shard(
    area: StagingArea, hub: LocalHub, fake: FakeTime, max_batch: int, *, names: bool
) -> None:
    staged = put_many(area, 30)
    hub.refuse_paths(Refusal("parquet", message="Storage limit reached.", names_path=names))
    repo = open_hub(hub)
    report = run(area, repo, fake, max_batch=max_batch)
    assert isinstance(report.stopped, RepoRefuses)
    assert (report.n_failed, report.n_remaining, report.exit_code) == (0, 30, 4)
    assert shards_in(area.pending) == by_name(staged)
    assert requested(hub) == spent(area, repo) <= 12


def test_p8_several_culprits_from_the_front_are_found(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    staged = put_many(area, 30)
    hub.refuse_paths(Refusal("run00[0-2]|run029", names_path=False))
    report = run(area, open_hub(hub), fake)
    assert (report.n_committed, report.n_failed, report.n_remaining) == (26, 4, 0)
    bad = {path: sha for path, sha in staged.items() if path[-11:-8] in ("000", "001", "002")}
    assert {**bad, path_of("run029"): ""}.keys() == {
        path
        for path in staged
        if name_of(path.rpartition("run_")[2][:-8]) in shards_in(area.failed)
    }


def test_p10_a_search_that_the_budget_cannot_end_is_not_begun(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    """Else a full batch with one culprit would eat every slot that opens, for ever."""
    put_many(area, 20)
    hub.refuse_paths(Refusal("run000", names_path=False))
    repo = open_hub(hub)
    budget = Budget(area, repo.key, 90, 3600.0, lambda: fake.moment)
    for _ in range(86):
        budget.spend()
    first = run(area, repo, fake)
    assert (first.n_committed, first.n_failed, first.exit_code) == (0, 0, 0)
    assert requested(hub) == 1
    fake.moment += 3600
    second = run(area, repo, fake)
    assert (second.n_committed, second.n_failed, second.n_remaining) == (19, 1, 0)


@pytest.mark.parametrize("released", ["before", "after"])
def test_p6_a_post_that_lands_after_its_client_died_commits_nothing_twice(
    area: StagingArea, hub: LocalHub, fake: FakeTime, released: str
) -> None:
    staged = put_many(area, 3)
    hub.add_faults(Fault("hold", COMMIT, "POST", reply="reset"))
    repo = open_hub(hub)
    with pytest.raises(Killed):
        run(area, Hooked(repo, after=on_call("commit", 1, kill)), fake)
    hub.await_held()
    if released == "before":
        hub.release()
    report = run(area, open_hub(hub), fake)
    assert (report.n_committed, report.n_commits, report.exit_code) == (3, 1, 0)
    if released == "after":
        hub.release()
    assert_whole(area, hub, staged)
    assert requested(hub) == spent(area, repo) == (1 if released == "before" else 2)
    assert run(area, open_hub(hub), fake).n_commits == 0
    assert_whole(area, hub, staged)


def test_p6_a_post_that_lands_in_the_middle_of_the_next_run_is_found(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    staged = put_many(area, 3)
    hub.add_faults(Fault("hold", COMMIT, "POST", reply="reset"))
    with pytest.raises(Killed):
        run(area, Hooked(open_hub(hub), after=on_call("commit", 1, kill)), fake)
    hub.await_held()

    def release() -> None:
        hub.release()

    repo = Hooked(open_hub(hub), before=on_call("commit", 1, release))
    report = run(area, repo, fake)
    assert (report.n_committed, report.exit_code) == (3, 0)
    assert_whole(area, hub, staged)
    assert requested(hub) == 2


@pytest.mark.parametrize("fault", ["truncate_upload", "spoil_upload"])
def test_p5_content_that_was_spoiled_on_the_way_is_sent_again(
    area: StagingArea, hub: LocalHub, fake: FakeTime, fault: Any
) -> None:
    staged = put_many(area, 3)
    hub.add_faults(Fault(fault, "", "PUT", keep=100))
    report = run(area, open_hub(hub), fake)
    assert report.n_failed == 0
    again = run(area, open_hub(hub), fake)
    assert (report.n_committed + again.n_committed, again.exit_code) == (3, 0)
    assert_whole(area, hub, staged)


@pytest.mark.parametrize("status", [404, 422])
def test_p9_content_that_did_not_arrive_blames_neither_shard_nor_repo(
    area: StagingArea, hub: LocalHub, fake: FakeTime, status: int
) -> None:
    staged = put_many(area, 3)
    hub.configure(verify=True)
    hub.add_faults(Fault("status", "/objects/verify", "POST", status=status))
    report = run(area, open_hub(hub), fake)
    assert (report.n_committed, report.n_failed, report.exit_code) == (3, 0, 0)
    assert_whole(area, hub, staged)


def test_no_commit_says_anything_that_stands_in_a_shard(
    area: StagingArea, hub: LocalHub, fake: FakeTime
) -> None:
    put_many(area, 3)
    run(area, open_hub(hub), fake, max_batch=2, commit_prefix="from the cluster")
    ours = hub.commits(NAME)[1:]
    assert [commit.title for commit in ours] == [
        "from the cluster, 2 shards",
        "from the cluster, 1 shard",
    ]
    assert [len(commit.description.split()) for commit in ours] == [3, 3]
    assert {commit.description.rsplit(" ", 1)[0] for commit in ours} == {"vulcan batch"}
