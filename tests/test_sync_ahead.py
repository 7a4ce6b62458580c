"""The look at the next batch while this one is sent: what it learns, and what it leaves alone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from tests.folders import tree
from tests.sync_support import (
    Hooked,
    Killed,
    Place,
    by_name,
    grow_old,
    kill,
    name_of,
    on_call,
    path_of,
    put,
    put_bytes,
    put_many,
    sha256_of_file,
    shard_bytes,
    shards_in,
)
from vulcan_cli.errors import LeaseLost
from vulcan_cli.hub.repo import Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import entries_aside
from vulcan_cli.staging.lease import break_lease
from vulcan_cli.staging.listing import Entry
from vulcan_cli.sync.ahead import MOST_BYTES, THREAD, Lookahead
from vulcan_cli.sync.check import Checked, NotChecked, check_all
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.vacua.shard import Footer, read_footer


def entries_of(area: StagingArea) -> tuple[Entry, ...]:
    return area.scan("pending").entries


def seen(area: StagingArea, entries: Sequence[Entry], wanted: int) -> dict[str, Footer]:
    """What a look has learned once it has seen so many shards; given so long that it is done."""
    pause = 0.01
    while True:
        ahead = Lookahead(area)
        ahead.begin(entries)
        time.sleep(pause)
        found = ahead.end()
        if len(found) >= wanted:
            return found
        pause *= 2


def looking() -> int:
    """How many threads take a look, or wait to."""
    return sum(thread.name.partition("_")[0] == THREAD for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """No descriptor and no thread is left behind."""

    def held() -> set[str]:
        here = Path("/proc/self/fd")
        files = {str(link.readlink()) for link in here.iterdir() if link.exists()}
        return {name for name in files if name.startswith("/")}

    before = held()
    yield
    assert (held(), looking()) == (before, 0)


def test_it_learns_which_bytes_are_shards(area: StagingArea) -> None:
    staged = put_many(area, 12)
    found = seen(area, entries_of(area), 12)
    assert {footer.path_in_repo: sha256 for sha256, footer in found.items()} == staged


def test_p8_of_all_else_it_learns_nothing(area: StagingArea) -> None:
    good = put(area, "good")
    put_bytes(area, name_of("bad"), shard_bytes("bad")[:-3])
    large = put_bytes(area, name_of("large"), shard_bytes("large"))
    os.truncate(large, MOST_BYTES + 1)
    os.mkfifo(area.pending / name_of("fifo"))
    (area.pending / name_of("link")).symlink_to(good)
    gone = put(area, "gone")
    entries = entries_of(area)
    gone.unlink()
    # The good one is looked at last.
    found = seen(area, sorted(entries, key=lambda entry: entry.name == good.name), 1)
    assert found == {sha256_of_file(good): read_footer(good)}


def test_it_writes_and_moves_nothing(area: StagingArea) -> None:
    good = put(area, "good")
    good.chmod(0o666)
    put_bytes(area, name_of("bad"), b"no parquet")
    before = tree(area.root)
    seen(area, sorted(entries_of(area), key=lambda entry: entry.parquet == good), 1)
    assert tree(area.root) == before


def test_it_ends_at_once_whatever_is_left_to_look_at(area: StagingArea) -> None:
    staged = put_many(area, 40)
    ahead = Lookahead(area)
    ahead.begin(entries_of(area))
    assert set(ahead.end()) <= set(staged.values())
    assert ahead.end() == {}


def test_a_staging_directory_that_is_gone_is_found_out_later(area: StagingArea) -> None:
    put(area, "run")
    entries = entries_of(area)
    area.pending.rename(area.root / "elsewhere")
    ahead = Lookahead(area)
    ahead.begin(entries)
    assert ahead.end() == {}


def test_p15_bytes_that_are_known_are_still_held_against_name_and_sidecar(
    area: StagingArea,
) -> None:
    file = put(area, "run")
    known = {sha256_of_file(file): read_footer(file)}
    put_bytes(area, name_of("other"), file.read_bytes())
    lying = put(area, "lying")
    known[sha256_of_file(lying)] = read_footer(lying)
    sidecar = lying.with_name(f"{lying.name}.meta.json")
    sidecar.unlink()
    sidecar.write_text("{}")
    grow_old(lying)
    results = check_all(area, entries_of(area), now=time.time(), known=known)
    found = {}
    for result in results:
        if isinstance(result, Checked):
            result.close()
        found[result.entry.name] = result.why if isinstance(result, NotChecked) else "good"
    assert found == {
        file.name: "good",
        name_of("other"): f"it says of itself that it is {path_of('run')}",
        lying.name: "its sidecar: provenance is no object",
    }


def test_p15_what_is_replaced_after_the_look_is_checked_again(
    area: StagingArea, folder_place: Place
) -> None:
    staged = put_many(area, 4)
    bad = area.pending / name_of("run003")

    def replace() -> None:
        bad.unlink()
        put_bytes(area, bad.name, b"no parquet")

    repo = Hooked(folder_place.open(), after=on_call("commit", 1, replace))
    report = sync(area, cast("Repo", repo), SyncOptions(max_batch=2))
    assert (report.n_committed, report.n_rejected, report.exit_code) == (3, 1, 3)
    del staged[path_of("run003")]
    assert (folder_place.tree(), shards_in(area.synced)) == (staged, by_name(staged))
    assert [aside.name for aside in entries_aside(area, "rejected")] == [bad.name]


def test_p11_a_run_that_lost_its_lease_stops_looking(
    area: StagingArea, folder_place: Place
) -> None:
    put_many(area, 20)

    def rob() -> None:
        break_lease(area)

    repo = Hooked(folder_place.open(), before=on_call("commit", 1, rob))
    report = sync(area, cast("Repo", repo), SyncOptions(max_batch=5))
    assert isinstance(report.stopped, LeaseLost)


def test_p7_a_run_that_dies_in_the_middle_stops_looking(
    area: StagingArea, folder_place: Place
) -> None:
    put_many(area, 20)
    repo = Hooked(folder_place.open(), before=on_call("commit", 1, kill))
    with pytest.raises(Killed):
        sync(area, cast("Repo", repo), SyncOptions(max_batch=5))


def test_it_is_taken_while_a_batch_is_sent_that_another_follows(
    area: StagingArea, folder_place: Place
) -> None:
    put_many(area, 6)
    at_work: list[int] = []

    def count(called: str) -> None:
        if called == "upload":
            at_work.append(looking())

    repo = Hooked(folder_place.open(), before=count)
    report = sync(area, cast("Repo", repo), SyncOptions(max_batch=2))
    assert (report.n_committed, at_work) == (6, [1, 1, 0])
