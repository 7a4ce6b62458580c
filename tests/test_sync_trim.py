"""Making room: only what the repo confirms, by SHA-256, in that very run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.folders import tree
from tests.hubserver import Fault
from tests.sync_support import (
    NAME,
    FakeTime,
    Place,
    name_of,
    path_of,
    put,
    put_many,
    shard_bytes,
    shards_in,
)
from vulcan_cli.errors import RepoMissing, SyncAtWork, UsageError
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.trim import trim_synced

DAY = 86_400.0


def synced(area: StagingArea, place: Place, count: int = 3) -> tuple[list[str], FakeTime]:
    """Sync shards a day apart: their names, and the moment after."""
    fake = FakeTime()
    names = []
    for number in range(count):
        put(area, f"run{number:03d}", number)
        sync(area, place.open(), SyncOptions(), clock=fake.clock)
        names.append(name_of(f"run{number:03d}"))
        fake.moment += DAY
    return names, fake


def trim(area: StagingArea, place: Place, now: float, **limits: Any) -> dict[str, str]:
    """Run id to outcome."""
    told = trim_synced(area, place.open(), now=now, **limits)
    return {each.path_in_repo.rpartition("run_")[2][:-8]: each.outcome for each in told}


def test_p12_what_is_old_and_confirmed_is_deleted(area: StagingArea, place: Place) -> None:
    names, fake = synced(area, place)
    told = trim(area, place, fake.moment, older_than_s=1.5 * DAY)
    assert told == {"run000": "deleted", "run001": "deleted"}
    left = sorted(path.name for path in area.synced.iterdir())
    assert left == [names[2], f"{names[2]}{SIDECAR_SUFFIX}"]


def test_p12_the_oldest_go_until_few_enough_bytes_are_left(area: StagingArea, place: Place) -> None:
    names, fake = synced(area, place)
    last = (area.synced / names[2]).stat().st_size
    assert trim(area, place, fake.moment, keep_bytes=last) == {
        "run000": "deleted",
        "run001": "deleted",
    }
    assert trim(area, place, fake.moment, keep_bytes=last) == {}
    assert trim(area, place, fake.moment, keep_bytes=0) == {"run002": "deleted"}


def test_p12_what_the_repo_has_no_more_stays(area: StagingArea, place: Place) -> None:
    names, fake = synced(area, place)
    if place.hub is not None:
        place.hub.push(NAME, {}, deletes=[path_of("run000")])
        place.hub.push(NAME, {path_of("run001"): shard_bytes("run001", 99)})
    else:
        (place.folder / path_of("run000")).unlink()
        (place.folder / path_of("run001")).unlink()
        (place.folder / path_of("run001")).write_bytes(shard_bytes("run001", 99))
    before = shards_in(area.synced)
    assert trim(area, place, fake.moment, older_than_s=0.0) == {
        "run000": "unconfirmed",
        "run001": "unconfirmed",
        "run002": "deleted",
    }
    assert shards_in(area.synced) == {name: before[name] for name in names[:2]}


def test_p12_what_was_altered_here_stays(area: StagingArea, place: Place) -> None:
    names, fake = synced(area, place, 2)
    altered = area.synced / names[0]
    altered.chmod(0o644)
    altered.write_bytes(b"other")
    assert trim(area, place, fake.moment, older_than_s=0.0) == {
        "run000": "unconfirmed",
        "run001": "deleted",
    }
    assert altered.read_bytes() == b"other"


def test_what_the_ledger_does_not_know_is_kept(area: StagingArea, place: Place) -> None:
    put_many(area, 1)
    sync(area, place.open(), SyncOptions())
    (area.private / "ledger.jsonl").unlink()
    now = time.time() + 100 * DAY
    assert trim(area, place, now, older_than_s=0.0, keep_bytes=0) == {}


def test_what_another_repo_confirmed_is_kept(
    area: StagingArea, place: Place, tmp_path: Path
) -> None:
    _, fake = synced(area, place, 1)
    other = Place("directory", tmp_path / "other")
    other.folder.mkdir(parents=True)
    assert trim(area, other, fake.moment, older_than_s=0.0) == {}


def test_a_rehearsal_tells_what_is_due_and_asks_nobody(area: StagingArea, place: Place) -> None:
    _, fake = synced(area, place)
    before = tree(area.root)
    if place.hub is not None:
        place.hub.add_faults(Fault("status", times=None))
    told = trim(area, place, fake.moment, keep_bytes=0, dry_run=True)
    assert told == {"run000": "due", "run001": "due", "run002": "due"}
    assert tree(area.root) == before


def test_p12_a_repo_that_does_not_answer_confirms_nothing(area: StagingArea, place: Place) -> None:
    _, fake = synced(area, place)
    before = shards_in(area.synced)
    if place.hub is None:
        place.folder.rename(place.folder.with_name("moved"))
    else:
        place.hub.add_faults(Fault("status", "paths-info", times=None, status=404))
    with pytest.raises(RepoMissing):
        trim(area, place, fake.moment, older_than_s=0.0)
    assert shards_in(area.synced) == before


def test_p11_a_trim_and_a_sync_never_work_at_once(area: StagingArea, place: Place) -> None:
    _, fake = synced(area, place, 1)
    with SyncLock(area), pytest.raises(SyncAtWork):
        trim(area, place, fake.moment, older_than_s=0.0)


def test_a_trim_without_a_limit_is_wrong_usage(area: StagingArea, place: Place) -> None:
    with pytest.raises(UsageError):
        trim(area, place, 0.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a file immutable")
def test_p8_one_file_that_cannot_be_deleted_does_not_stop_the_others(
    area: StagingArea, place: Place
) -> None:
    names, fake = synced(area, place)
    stuck = area.synced / names[1]
    if os.system(f"chattr +i '{stuck}' 2>/dev/null") != 0:
        pytest.skip("no immutable files on this file system")
    try:
        told = trim(area, place, fake.moment, older_than_s=0.0)
    finally:
        os.system(f"chattr -i '{stuck}'")
    assert told == {"run000": "deleted", "run001": "stays", "run002": "deleted"}
    assert list(shards_in(area.synced)) == [names[1]]
