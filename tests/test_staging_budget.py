"""The commit budget, P10: never more than so many requests per window, whoever spends."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.staging_tools import inject, names, run_all, start
from vulcan_cli.errors import DiskTrouble, NotSetUp, TryLater
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.records import RecordError
from vulcan_cli.staging.stamps import parse_history

NOW = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ours(area: StagingArea) -> Path:
    return area.private / "budget" / "repo.json"


def peers(area: StagingArea) -> Path:
    return area.root / "_commit_budget.json"


def write(path: Path, stamps: object, window_s: object = 3600.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"budget": 90, "window_s": window_s, "timestamps": stamps}))


def test_p10_no_more_than_the_budget_in_any_window(area: StagingArea, clock: Clock) -> None:
    budget = Budget(area, "repo", 2, 100.0, clock)
    assert (budget.remaining(), budget.next_slot_at()) == (2, None)
    assert budget.spend() == NOW
    clock.now += 10
    assert budget.spend() == NOW + 10
    assert (budget.remaining(), budget.next_slot_at()) == (0, NOW + 100)
    with pytest.raises(TryLater) as caught:
        budget.spend()
    assert caught.value.retry_at == NOW + 100
    clock.now = NOW + 99.9
    assert budget.remaining() == 0
    clock.now = NOW + 100
    assert (budget.remaining(), budget.next_slot_at()) == (1, None)
    budget.spend()
    assert budget.next_slot_at() == NOW + 110


def test_p10_a_slot_is_on_disk_when_it_is_spent(area: StagingArea, clock: Clock) -> None:
    Budget(area, "repo", 2, 100.0, clock).spend()
    assert Budget(area, "repo", 2, 100.0, clock).remaining() == 1
    assert Budget(area, "other", 2, 100.0, clock).remaining() == 2


def test_p10_a_slot_that_could_not_be_saved_is_not_given(area: StagingArea, clock: Clock) -> None:
    Budget(area, "repo", 5, 100.0, clock).spend()
    process = start("spend", area.root, 5, under=inject("fsync", "error=ENOSPC", "1+"))
    assert run_all([process]) == ["DiskTrouble"]
    assert Budget(area, "repo", 5, 100.0, clock).remaining() == 4


def test_p10_the_peers_stamps_count_and_ours_are_mirrored(area: StagingArea, clock: Clock) -> None:
    write(peers(area), [NOW - 50, NOW - 20], window_s=200.0)
    budget = Budget(area, "repo", 4, 100.0, clock, with_peer=True)
    assert budget.remaining() == 2
    budget.spend()
    assert budget.remaining() == 1
    assert json.loads(peers(area).read_text()) == {
        "budget": 90,
        "window_s": 200.0,
        "timestamps": [NOW - 50, NOW - 20, NOW],
    }
    # The peer replaced its file without having seen our stamp: it counts all the same.
    write(peers(area), [NOW - 50, NOW - 20, NOW - 1])
    assert budget.remaining() == 0
    assert Budget(area, "repo", 4, 100.0, clock).remaining() == 1


def test_p7_killed_between_the_two_files_a_request_is_counted_once(
    area: StagingArea, clock: Clock
) -> None:
    budget = Budget(area, "repo", 3, 100.0, clock, with_peer=True)
    stamp = budget.spend()
    before = peers(area).read_bytes()
    clock.now += 10
    budget.answered(stamp, clock.now)
    peers(area).write_bytes(before)
    assert (budget.remaining(), budget.spent_at()) == (2, (NOW + 10,))
    clock.now += 10
    assert budget.spend() == NOW + 20
    assert json.loads(peers(area).read_text())["timestamps"] == [NOW + 10, NOW + 20]
    # Nothing is left of it once the peer's file is as it should be.
    assert budget.spend() == NOW + 20
    assert json.loads(ours(area).read_text()) == {
        "budget": 3,
        "timestamps": [NOW + 10, NOW + 20, NOW + 20],
        "window_s": 100.0,
    }


def test_p10_a_slot_counts_from_when_its_request_was_answered(
    area: StagingArea, clock: Clock
) -> None:
    """It may have arrived just before that: a window at the repo begins there."""
    write(peers(area), [NOW - 1])
    budget = Budget(area, "repo", 3, 100.0, clock, with_peer=True)
    first, second = budget.spend(), budget.spend()
    assert first == second == NOW
    clock.now += 20
    budget.answered(first, clock.now)
    assert json.loads(peers(area).read_text())["timestamps"] == [NOW - 1, NOW, NOW + 20]
    assert json.loads(ours(area).read_text())["timestamps"] == [NOW - 1, NOW, NOW + 20]
    # Not from a moment that is still to come, and not from before it was sent.
    budget.answered(NOW + 20, NOW + 1e6)
    budget.answered(second, NOW - 50)
    budget.answered(12.0, NOW)
    assert json.loads(ours(area).read_text())["timestamps"] == [NOW - 1, NOW, NOW + 20]
    assert (budget.remaining(), budget.next_slot_at()) == (0, NOW + 99)
    clock.now = NOW + 119
    assert budget.remaining() == 2


def test_p10_two_requests_at_one_instant_are_two(area: StagingArea, clock: Clock) -> None:
    budget = Budget(area, "repo", 3, 100.0, clock, with_peer=True)
    budget.spend()
    budget.spend()
    assert budget.remaining() == 1


UNREADABLE = {
    "garbage": b"{",
    "empty": b"",
    "no list": b'{"timestamps": 5}',
    "text": b'{"timestamps": ["1"]}',
    "null": b'{"timestamps": [null]}',
    "deep": b"[" * 100_000,
    "huge": b'{"timestamps": [' + b"1," * (1 << 22) + b"1]}",
}


@pytest.mark.parametrize("where", ["ours", "the peer's"])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_p10_an_unreadable_history_is_full_for_one_window(
    area: StagingArea, clock: Clock, kind: str, where: str
) -> None:
    path = ours(area) if where == "ours" else peers(area)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(UNREADABLE[kind])
    budget = Budget(area, "repo", 3, 100.0, clock, with_peer=True)
    assert (budget.remaining(), budget.next_slot_at()) == (0, NOW + 100)
    with pytest.raises(TryLater) as caught:
        budget.spend()
    assert caught.value.retry_at == NOW + 100
    # The repair was saved, so that time passes.
    clock.now += 100
    assert budget.remaining() == 3
    budget.spend()


@pytest.mark.parametrize("error", ["EIO", "ESTALE"])
@pytest.mark.parametrize("call", ["openat", "read"])
def test_p7_an_error_that_passes_closes_no_window(area: StagingArea, call: str, error: str) -> None:
    write(peers(area), [])
    write(ours(area), [])
    # The path that strace watches is the one that the call names, or that of what it has open.
    watched = ("-P", "repo.json", "-P", str(ours(area)))
    spoilt = (*inject(call, f"error={error}"), *watched)
    assert run_all([start("spend", area.root, 5, under=spoilt)]) == ["5"]


def test_p10_a_folder_in_the_place_of_a_history_is_full_for_one_window(
    area: StagingArea, clock: Clock
) -> None:
    (peers(area) / "inside").mkdir(parents=True)
    budget = Budget(area, "repo", 3, 100.0, clock, with_peer=True)
    with pytest.raises(TryLater) as caught:
        budget.spend()
    assert caught.value.retry_at == NOW + 100
    clock.now += 100
    assert budget.spend() == NOW + 100
    (moved,) = area.root.glob("_commit_budget.json.*")
    assert names(moved) == ["inside"]


@pytest.mark.parametrize("budget", [100_000, 10**9])
def test_p10_a_large_budget_opens_again_too(area: StagingArea, clock: Clock, budget: int) -> None:
    ours(area).parent.mkdir(parents=True)
    ours(area).write_bytes(b"{")
    slots = Budget(area, "repo", budget, 100.0, clock)
    with pytest.raises(TryLater) as caught:
        slots.spend()
    assert caught.value.retry_at == NOW + 100
    clock.now = NOW + 100
    assert slots.spend() == NOW + 100


def test_p10_a_long_history_is_read_whole(area: StagingArea, clock: Clock) -> None:
    write(ours(area), [NOW - 0.5] * 100_000)
    assert Budget(area, "repo", 100_001, 100.0, clock).remaining() == 1


def test_p10_an_unreadable_link_is_full(area: StagingArea, clock: Clock) -> None:
    secret = area.root / "secret"
    write(secret, [])
    peers(area).symlink_to(secret)
    budget = Budget(area, "repo", 3, 100.0, clock, with_peer=True)
    with pytest.raises(TryLater):
        budget.spend()
    assert json.loads(secret.read_text())["timestamps"] == []
    assert not peers(area).is_symlink()
    clock.now += 100
    budget.spend()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, NOW + 1, 1e300, 10**400])
def test_p10_a_stamp_that_cannot_be_is_now(area: StagingArea, clock: Clock, bad: float) -> None:
    write(ours(area), [bad])
    budget = Budget(area, "repo", 1, 100.0, clock)
    with pytest.raises(TryLater) as caught:
        budget.spend()
    assert caught.value.retry_at == NOW + 100
    clock.now += 60
    assert budget.next_slot_at() == NOW + 100
    clock.now += 40
    assert budget.remaining() == 1


def test_p10_a_shorter_window_forgets_nothing_for_a_longer_one(
    area: StagingArea, clock: Clock
) -> None:
    Budget(area, "repo", 5, 3600.0, clock).spend()
    clock.now += 100
    Budget(area, "repo", 5, 10.0, clock).spend()
    assert Budget(area, "repo", 5, 3600.0, clock).remaining() == 3


def test_p10_sixteen_processes_share_one_budget(area: StagingArea) -> None:
    spent = run_all([start("spend", area.root, 40) for _ in range(16)])
    assert sum(map(int, spent)) == 40
    assert len(json.loads(peers(area).read_text())["timestamps"]) == 40


def test_what_is_left_is_read_without_writing(area: StagingArea, clock: Clock) -> None:
    write(peers(area), [NOW - 1])
    budget = Budget(area, "repo", 3, 100.0, clock, with_peer=True)
    before = names(area.root)
    assert budget.remaining() == 2
    assert names(area.root) == before
    assert not area.private.exists()


def test_a_key_that_is_no_file_name_is_hashed(area: StagingArea, clock: Clock) -> None:
    Budget(area, "../../evil", 3, 100.0, clock).spend()
    assert len(names(area.private / "budget")) == 2
    assert Budget(area, "../../evil", 3, 100.0, clock).remaining() == 2


def test_no_budget_at_all_gives_no_slot(area: StagingArea, clock: Clock) -> None:
    budget = Budget(area, "repo", 0, 100.0, clock)
    with pytest.raises(TryLater) as caught:
        budget.spend()
    assert caught.value.retry_at is None


def test_p10_a_held_lock_is_waited_for_and_given_up(area: StagingArea, clock: Clock) -> None:
    holder = start("hold-budget", area.root)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waits: list[float] = []
    with pytest.raises(TryLater):
        Budget(area, "repo", 3, 100.0, clock, sleep=waits.append).spend()
    assert waits
    holder.communicate()
    Budget(area, "repo", 3, 100.0, clock, sleep=waits.append).spend()


def test_p17_no_stamp_goes_through_a_link(area: StagingArea, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "elsewhere").mkdir()
    area.private.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotSetUp):
        Budget(area, "repo", 3, 100.0, clock).spend()
    assert names(tmp_path / "elsewhere") == []


def test_a_lock_that_is_a_link_is_not_followed(
    area: StagingArea, tmp_path: Path, clock: Clock
) -> None:
    (area.private / "budget").mkdir(parents=True)
    (area.private / "budget" / "repo.lock").symlink_to(tmp_path / "made")
    with pytest.raises(DiskTrouble):
        Budget(area, "repo", 3, 100.0, clock).spend()
    assert not (tmp_path / "made").exists()


numbers = st.floats() | st.integers() | st.none() | st.text()


@settings(deadline=None)
@given(
    st.binary()
    | st.fixed_dictionaries(
        {}, optional={"timestamps": st.lists(numbers), "window_s": numbers, "budget": numbers}
    ).map(json.dumps)
)
def test_p10_no_history_raises_anything_else(data: bytes | str) -> None:
    try:
        history = parse_history(data.encode() if isinstance(data, str) else data, NOW)
    except RecordError:
        return
    assert all(math.isfinite(stamp) and stamp <= NOW for stamp in history.stamps)


def test_p10_what_the_repo_said_of_its_limit_holds_for_its_hour(
    area: StagingArea, clock: Clock
) -> None:
    budget = Budget(area, "repo", 90, 3600.0, clock)
    for _ in range(3):
        budget.spend()
    budget.hear(commits_per_hour=2, closed_until=None)
    # Another process, another run: it is on disk.
    later = Budget(area, "repo", 90, 3600.0, clock)
    assert (later.limit(), later.remaining(), later.next_slot_at()) == (2, 0, NOW + 3600)
    assert Budget(area, "other", 90, 3600.0, clock).limit() == 90
    with pytest.raises(TryLater) as caught:
        later.spend()
    assert str(caught.value) == "all 2 commits of this window of 3600 s are used"
    # A window of another length has its share, and one at least.
    assert Budget(area, "repo", 90, 7200.0, clock).limit() == 4
    assert Budget(area, "repo", 90, 60.0, clock).limit() == 1
    assert Budget(area, "repo", 1, 3600.0, clock).limit() == 1
    clock.now = NOW + 3600
    assert (later.limit(), later.remaining(), later.next_slot_at()) == (90, 90, None)


def test_p10_a_repo_that_said_when_to_come_back_is_left_alone_until_then(
    area: StagingArea, clock: Clock
) -> None:
    budget = Budget(area, "repo", 90, 3600.0, clock, with_peer=True)
    budget.spend()
    budget.hear(commits_per_hour=None, closed_until=NOW + 600)
    assert (budget.limit(), budget.remaining(), budget.next_slot_at()) == (90, 0, NOW + 600)
    with pytest.raises(TryLater) as caught:
        budget.spend()
    assert caught.value.retry_at == NOW + 600
    # The peer's file knows nothing of it, and keeps its form.
    assert json.loads(peers(area).read_text()) == {
        "budget": 90,
        "window_s": 3600.0,
        "timestamps": [NOW],
    }
    clock.now = NOW + 600
    assert (budget.remaining(), budget.next_slot_at()) == (89, None)
    budget.spend()
    # What it says next takes the place of what it said.
    budget.hear(commits_per_hour=50, closed_until=None)
    assert (budget.limit(), budget.remaining()) == (50, 48)


def test_p10_nothing_that_was_said_holds_for_longer_than_a_window(
    area: StagingArea, clock: Clock
) -> None:
    budget = Budget(area, "repo", 90, 3600.0, clock)
    budget.hear(commits_per_hour=1, closed_until=NOW + 1e9)
    assert budget.next_slot_at() == NOW + 3600
    # The clock was far ahead when it was said: it counts as said now, once.
    clock.now = NOW - 86_400
    assert budget.next_slot_at() == clock.now + 3600
    budget.repair()
    clock.now += 3600
    assert (budget.limit(), budget.remaining(), budget.next_slot_at()) == (90, 90, None)


@pytest.mark.parametrize(
    "heard",
    [
        "soon",
        [],
        {},
        {"at": "now", "commits_per_hour": 1},
        {"at": NOW, "commits_per_hour": -1},
        {"at": NOW, "closed_until": math.nan},
        {"at": NOW, "closed_until": 10**400},
    ],
)
def test_p10_what_cannot_have_been_said_is_dropped(
    area: StagingArea, clock: Clock, heard: object
) -> None:
    ours(area).parent.mkdir(parents=True)
    ours(area).write_text(json.dumps({"timestamps": [NOW - 1], "heard": heard}))
    budget = Budget(area, "repo", 3, 100.0, clock)
    assert (budget.limit(), budget.remaining(), budget.next_slot_at()) == (3, 2, None)
    budget.repair()
    assert json.loads(ours(area).read_text()) == {
        "budget": 3,
        "window_s": 100.0,
        "timestamps": [NOW - 1],
    }
