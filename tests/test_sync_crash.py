"""Killed at any system call, sync, retry and trim are finished by running them again.

A sample of the points; `python -m tests.campaign.crash_matrix` takes them all.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash_support import CALLS, Scene
from tests.hub_support import plain_lfs
from tests.hubserver import WRITE, Fault, HubProcess
from tests.sync_process import Zygote, calls_in
from tests.sync_support import NAME, Place, by_name, open_hub, put_many, shards_in
from vulcan_cli.errors import LeaseLost
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.journal import Journal
from vulcan_cli.staging.lease import break_lease
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions

POINTS = 2
"""So many points of each system call are tried here."""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as started:
        yield started


@pytest.fixture(scope="module")
def counted(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often an undisturbed sync makes each call."""
    root = tmp_path_factory.mktemp("counted")
    scene = Scene.make(root)
    code = zygote.run(inject=",".join(CALLS), trace=root / "trace", **scene.order())
    assert code == 3
    scene.assert_done()
    return calls_in(root / "trace")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("part", range(POINTS))
def test_p7_a_killed_sync_is_finished_by_the_next(
    zygote: Zygote, counted: dict[str, int], tmp_path: Path, call: str, part: int
) -> None:
    count = counted.get(call, 0)
    if count <= part:
        pytest.skip(f"a sync here makes {count} calls of {call}")
    scene = Scene.make(tmp_path)
    when = 1 + (2 * part + 1) * count // (2 * POINTS)
    code = zygote.run(inject=f"{call}:signal=KILL:when={when}", **scene.order())
    assert code == -signal.SIGKILL
    scene.assert_nothing_lost()
    scene.run_again()
    scene.assert_done()
    scene.assert_slots()


@pytest.mark.parametrize(
    ("verb", "call", "when"),
    [
        ("retry", "renameat2", 1),
        ("retry", "renameat2", 2),
        ("retry", "unlinkat", 2),
        ("retry", "fsync", 2),
        ("trim", "unlinkat", 2),
        ("trim", "unlinkat", 3),
        ("trim", "unlinkat", 4),
        ("trim", "fsync", 2),
    ],
)
def test_p7_a_killed_retry_or_trim_is_finished_by_the_next(
    zygote: Zygote, tmp_path: Path, verb: str, call: str, when: int
) -> None:
    scene = Scene.make(tmp_path)
    scene.run_again()
    before = scene.where_shards_are()
    code = zygote.run(inject=f"{call}:signal=KILL:when={when}", **scene.order(verb=verb))
    assert code == -signal.SIGKILL
    scene.assert_nothing_lost()
    scene.run_again(verb=verb)
    scene.assert_nothing_lost()
    after = scene.where_shards_are()
    if verb == "retry":
        assert (after["failed"], after["pending"]) == ({}, before["failed"])
    else:
        assert after["synced"] == {}
    scene.run_again()
    scene.assert_nothing_lost()


def test_p11_a_trim_that_was_stopped_and_wakes_deletes_no_more_once_its_lease_is_gone(
    zygote: Zygote, tmp_path: Path
) -> None:
    scene = Scene.make(tmp_path)
    scene.run_again()
    before = shards_in(scene.area.synced)
    _, *others = before
    pid = zygote.start(**scene.order(verb="trim"))
    # Its lease's temporary, a sidecar, and the parquet.
    with zygote.stopped(pid, "unlinkat", 3):
        assert shards_in(scene.area.synced) == {name: before[name] for name in others}
        break_lease(scene.area)
    assert zygote.wait(pid) == LeaseLost.exit_code
    assert shards_in(scene.area.synced) == {name: before[name] for name in others}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    with plain_lfs(), HubProcess(tmp_path / "hub") as running:
        running.create_repo(NAME)
        yield running


def order(area: StagingArea, hub: HubProcess, **options: object) -> dict[str, object]:
    return {
        "staging": str(area.root),
        "repo": NAME,
        "token": WRITE,
        "endpoint": hub.url,
        "options": options,
    }


@pytest.mark.parametrize("path", ["preupload", "objects/batch", "PUT", "commit", "paths-info"])
def test_p7_a_client_killed_in_a_request_is_followed_by_one_that_finishes(
    tmp_path: Path, hub: HubProcess, path: str
) -> None:
    area = StagingArea(tmp_path / "staging")
    area.create()
    staged = put_many(area, 4)
    method, where = ("PUT", "") if path == "PUT" else ("POST", path)
    hub.add_faults(Fault("hold", where, method, skip=1, reply="wait"))
    with Zygote() as zygote:
        pid = zygote.start(**order(area, hub, max_batch=2))
        os.kill(pid, signal.SIGCONT)
        assert hub.await_held() == 1
        os.kill(pid, signal.SIGKILL)
        assert zygote.wait(pid) == -signal.SIGKILL
    hub.release()
    report = sync(area, open_hub(hub), SyncOptions(max_batch=2))
    assert (report.n_remaining, report.exit_code) == (0, 0)
    place = Place("hub", tmp_path, hub)
    assert (place.tree(), place.committed()) == (staged, sorted(staged))
    assert shards_in(area.synced) == by_name(staged)
    left = Budget(area, open_hub(hub).key, 90, 3600.0).remaining()
    assert len(hub.attempts(NAME)) <= 90 - left <= 3
    assert Journal(area).pending() == []


def test_p7_a_hub_killed_in_the_act_is_asked_when_it_is_back(
    tmp_path: Path, hub: HubProcess
) -> None:
    area = StagingArea(tmp_path / "staging")
    area.create()
    staged = put_many(area, 4)
    hub.add_faults(Fault("hold", "/commit/", "POST", skip=1))
    with Zygote() as zygote:
        pid = zygote.start(**order(area, hub, max_batch=2, max_retries=0))
        os.kill(pid, signal.SIGCONT)
        assert hub.await_held() == 1
        hub.kill()
        assert zygote.wait(pid) == 5
    assert len(shards_in(area.pending)) == 2
    hub.start()
    report = sync(area, open_hub(hub), SyncOptions(max_batch=2))
    assert (report.n_committed, report.exit_code) == (2, 0)
    place = Place("hub", tmp_path, hub)
    assert (place.tree(), place.committed()) == (staged, sorted(staged))


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("broken", [False, True])
def test_p6_syncs_at_the_same_time_publish_each_shard_once(
    zygote: Zygote, tmp_path: Path, processes: int, *, broken: bool
) -> None:
    area = StagingArea(tmp_path / "staging")
    area.create()
    place = Place("directory", tmp_path)
    place.folder.mkdir()
    staged = put_many(area, 12)
    started = [
        zygote.start(
            staging=str(area.root),
            repo=place.folder.as_uri(),
            options={"max_batch": 2},
            **{"break": broken and number > 0},
        )
        for number in range(processes)
    ]
    for pid in started:
        os.kill(pid, signal.SIGCONT)
        # Spread, so that some find a lease to break.
        time.sleep(0.1)
    codes = sorted(zygote.wait(pid) for pid in started)
    assert set(codes) <= {0, 7}
    assert broken or 0 in codes
    assert shards_in(area.pending) | shards_in(area.synced) == by_name(staged)
    report = sync(area, place.open(), SyncOptions(max_batch=2))
    assert (report.n_remaining, report.exit_code) == (0, 0)
    assert (place.tree(), place.committed()) == (staged, sorted(staged))
    assert all(paths for _, paths in place.commits())
    assert shards_in(area.synced) == by_name(staged)
