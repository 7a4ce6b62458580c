"""Moving shards: P3 no overwrite, P5 never lost, P7 run again, P11 a lost lease, P13 retry."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.folders import files_in
from tests.staging_tools import (
    digest_of,
    inject,
    meta_of,
    name_of,
    names,
    run,
    shard_bytes,
    sidecar,
    stage,
)
from vulcan_cli.errors import DiskTrouble, LeaseLost, NotSetUp
from vulcan_cli.files.open_files import Identity
from vulcan_cli.staging.area import StagingArea, State
from vulcan_cli.staging.aside import Aside, Unwanted, entries_aside, set_all_aside, set_aside
from vulcan_cli.staging.moves import Moved, Moving, Sent, move, remove_confirmed, restore, retry
from vulcan_cli.staging.reasons import read_reason, write_reason
from vulcan_cli.staging.tidy import tidy
from vulcan_cli.vacua.geometry import path_of_file_name

PAIR = [name_of("a"), meta_of("a")]


def sent(path: Path) -> Sent:
    return Sent(hashlib.sha256(path.read_bytes()).hexdigest(), Identity.of(path.lstat()))


def homes(area: StagingArea, name: str = "a") -> list[str]:
    """The folders that hold a shard's exact bytes."""
    return [
        str(path.parent.relative_to(area.root))
        for path in sorted(area.root.rglob("*"))
        if path.is_file() and path.read_bytes() == shard_bytes("rows", name)
    ]


def test_p5_a_shard_and_its_sidecar_move_as_they_are(area: StagingArea) -> None:
    stage(area, "a")
    before = files_in(area.pending)
    (moved,) = move(
        area, [Moving(name_of("a"), sent(area.pending / name_of("a")))], "pending", "synced"
    )
    assert moved.outcome == "moved"
    assert files_in(area.synced) == before
    assert names(area.pending) == []


def test_p5_other_bytes_than_were_sent_go_back(area: StagingArea) -> None:
    stage(area, "a")
    place = area.pending / name_of("a")
    was = sent(place)
    place.unlink()
    place.write_bytes(b"other")
    (moved,) = move(area, [Moving(name_of("a"), was)], "pending", "synced")
    assert moved.outcome == "altered"
    assert place.read_bytes() == b"other"
    assert names(area.synced) == []


def test_p5_equal_bytes_of_another_file_go_back(area: StagingArea) -> None:
    stage(area, "a")
    place = area.pending / name_of("a")
    was = sent(place)
    copy = area.pending / "copy"
    copy.write_bytes(place.read_bytes())
    copy.rename(place)
    (moved,) = move(area, [Moving(name_of("a"), was)], "pending", "synced")
    assert moved.outcome == "altered"
    assert names(area.synced) == []


@pytest.mark.parametrize("target", ["synced", "failed"])
def test_p3_a_move_replaces_nothing(area: StagingArea, target: State) -> None:
    stage(area, "a")
    place = area.root / target / name_of("a")
    place.write_bytes(b"other")
    before = files_in(area.root)
    (moved,) = move(area, [Moving(name_of("a"))], "pending", target)
    assert moved.outcome == "exists"
    assert files_in(area.root) == before


def test_p7_a_shard_that_is_in_both_folders_is_in_one_afterwards(area: StagingArea) -> None:
    stage(area, "a")
    place = area.pending / name_of("a")
    (area.synced / name_of("a")).write_bytes(place.read_bytes())
    (moved,) = move(area, [Moving(name_of("a"), sent(place))], "pending", "synced")
    assert moved.outcome == "moved"
    assert names(area.pending) == []
    assert names(area.synced) == PAIR


def test_p7_a_sidecar_left_behind_is_brought_to_its_shard(area: StagingArea) -> None:
    stage(area, "a")
    (area.pending / name_of("a")).rename(area.synced / name_of("a"))
    assert tidy(area, sidecar_of=lambda _: None).joined == 1
    assert (names(area.pending), names(area.synced)) == ([], PAIR)


def test_p8_one_bad_entry_keeps_no_other_from_moving(area: StagingArea) -> None:
    stage(area, "a")
    stage(area, "b")
    gone, taken = name_of("gone"), name_of("b")
    (area.synced / taken).mkdir()
    moved = move(area, map(Moving, [gone, taken, name_of("a")]), "pending", "synced")
    assert [one.outcome for one in moved] == ["gone", "exists", "moved"]


def test_p11_a_lost_lease_ends_the_run_before_the_next_move(area: StagingArea) -> None:
    stage(area, "a")
    stage(area, "b")
    calls: list[None] = []

    def check() -> None:
        calls.append(None)
        if len(calls) == 2:
            raise LeaseLost("another")

    with pytest.raises(LeaseLost):
        move(area, map(Moving, [name_of("a"), name_of("b")]), "pending", "synced", check=check)
    assert names(area.synced) == PAIR
    assert names(area.pending) == [name_of("b"), meta_of("b")]


KILLS = [("renameat2", 1), ("renameat2", 2), ("fsync", 1), ("fsync", 2)]


@pytest.mark.parametrize(("call", "when"), KILLS)
@pytest.mark.parametrize("verb", ["sync", "retry"])
def test_p7_killed_moves_lose_nothing_and_end_as_undisturbed_ones(
    area: StagingArea, verb: str, call: str, when: int
) -> None:
    stage(area, "a", salt="a")
    source, target = ("pending", "synced") if verb == "sync" else ("failed", "pending")
    if verb == "retry":
        move(area, [Moving(name_of("a"))], "pending", "failed")
    pair = files_in(area.root / source)
    code, _ = run(verb, area.root, "a", under=inject(call, "signal=KILL", when))
    assert code == -9
    assert len(homes(area)) == 1
    tidy(area, sidecar_of=lambda _: None)
    if homes(area) == [source]:
        assert run(verb, area.root, "a") == (0, "moved")
    assert files_in(area.root / target) == pair
    assert names(area.root / source) == []


@pytest.mark.parametrize("error", ["EIO", "ESTALE", "ENOSPC"])
@pytest.mark.parametrize("verb", ["sync", "retry"])
def test_p8_what_cannot_be_moved_stays(area: StagingArea, verb: str, error: str) -> None:
    stage(area, "a")
    if verb == "retry":
        move(area, [Moving(name_of("a"))], "pending", "failed")
    before = files_in(area.root)
    spoil = inject("renameat2", f"error={error}", "1+")
    assert run(verb, area.root, "a", under=spoil) == (0, "stays")
    assert files_in(area.root) == before


ELSEWHERE = {
    "another file system": inject("renameat2", "error=EXDEV", "1+"),
    "nfs": inject("renameat2", "error=EINVAL", "1+"),
    "no links": (
        *("-e", "trace=linkat,renameat2"),
        *("-e", "inject=linkat:error=EPERM:when=1+"),
        *("-e", "inject=renameat2:error=EINVAL:when=1+"),
    ),
}


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("verb", ["sync", "retry"])
def test_p5_moves_work_on_every_file_system(area: StagingArea, verb: str, where: str) -> None:
    stage(area, "a")
    source, target = (area.pending, area.synced)
    if verb == "retry":
        move(area, [Moving(name_of("a"))], "pending", "failed")
        source, target = area.failed, area.pending
    before = files_in(source)
    assert run(verb, area.root, "a", under=ELSEWHERE[where]) == (0, "moved")
    assert files_in(target) == before
    assert names(source) == []
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o440}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_p13_no_file_system_makes_retry_replace_a_pending_file(
    area: StagingArea, where: str
) -> None:
    stage(area, "a")
    move(area, [Moving(name_of("a"))], "pending", "failed")
    (area.pending / name_of("a")).write_bytes(b"other")
    before = files_in(area.root)
    assert run("retry", area.root, "a", under=ELSEWHERE[where]) == (0, "exists")
    assert files_in(area.root) == before


@pytest.mark.parametrize("when", [1, 2])
def test_p7_a_killed_copy_to_another_file_system_is_finished(area: StagingArea, when: int) -> None:
    stage(area, "a", salt="a")
    before = files_in(area.pending)
    spoil = (
        *("-e", "trace=linkat,renameat2"),
        *("-e", "inject=renameat2:error=EXDEV:when=1+"),
        *("-e", f"inject=linkat:signal=KILL:when={when}"),
    )
    assert run("sync", area.root, "a", under=spoil)[0] == -9
    assert homes(area)
    if "pending" in homes(area):
        assert run("sync", area.root, "a") == (0, "moved")
    tidy(area, sidecar_of=lambda _: None)
    assert {n: d for n, d in files_in(area.synced).items() if not n.startswith(".v")} == before
    assert names(area.pending) == []


def test_p13_retry_moves_any_number_and_forgets_why(area: StagingArea) -> None:
    runs = [f"r{n}" for n in range(300)]
    for one in runs:
        stage(area, one)
    move(area, [Moving(name_of(one)) for one in runs], "pending", "failed")
    write_reason(area, name_of("r7"), "the Hub said no")
    assert read_reason(area, name_of("r7")) == "the Hub said no"
    results = retry(area, map(name_of, runs))
    assert {one.outcome for one in results} == {"moved"}
    assert len(names(area.pending)) == 600
    assert names(area.failed) == []
    assert read_reason(area, name_of("r7")) is None


def test_p11_a_retry_that_lost_its_lease_has_told_of_all_that_it_moved(area: StagingArea) -> None:
    for one in "abc":
        stage(area, one)
        move(area, [Moving(name_of(one))], "pending", "failed")
        write_reason(area, name_of(one), "the Hub said no")
    checks = iter([None, None, LeaseLost("another")])
    told: list[Moved] = []

    def check() -> None:
        error = next(checks)
        if error is not None:
            raise error

    with pytest.raises(LeaseLost):
        retry(area, map(name_of, "abc"), check=check, tell=told.append)
    assert told == [Moved(name_of("a"), "moved"), Moved(name_of("b"), "moved")]
    reasons = [read_reason(area, name_of(one)) for one in "abc"]
    assert reasons == [None, None, "the Hub said no"]
    assert names(area.failed) == [name_of("c"), meta_of("c")]


def test_p13_a_pending_shard_of_equal_bytes_makes_one_of_two(area: StagingArea) -> None:
    stage(area, "a")
    before = files_in(area.pending)
    for name in PAIR:
        (area.failed / name).write_bytes(before[name])
    assert [one.outcome for one in retry(area, [name_of("a")])] == ["moved"]
    assert files_in(area.pending) == before
    assert name_of("a") not in names(area.failed)


def test_retry_of_what_is_not_there_is_gone(area: StagingArea) -> None:
    assert [one.outcome for one in retry(area, [name_of("a")])] == ["gone"]


def test_p12_only_the_confirmed_bytes_are_deleted(area: StagingArea) -> None:
    stage(area, "a")
    move(area, [Moving(name_of("a"))], "pending", "synced")
    sha256 = sent(area.synced / name_of("a")).sha256
    before = files_in(area.root)
    assert not remove_confirmed(area, name_of("a"), "0" * 64)
    assert files_in(area.root) == before
    assert remove_confirmed(area, name_of("a"), sha256)
    assert names(area.synced) == []
    assert not remove_confirmed(area, name_of("a"), sha256)


def put_vast(folder: Path, name: str) -> Path:
    """A file that says it has terabytes, as anybody makes one in no time."""
    path = folder / name
    path.write_bytes(b"")
    os.truncate(path, 1 << 42)
    return path


def test_p8_terabytes_of_nothing_are_neither_moved_over_nor_deleted_nor_read(
    area: StagingArea,
) -> None:
    stage(area, "a")
    shard = Moving(name_of("a"), sent(area.pending / name_of("a")))
    vast = put_vast(area.synced, name_of("a"))
    outcomes = [each.outcome for each in move(area, [shard], "pending", "synced")]
    assert outcomes == ["exists"]
    assert not remove_confirmed(area, name_of("a"), shard.sent.sha256 if shard.sent else "")
    assert (vast.stat().st_size, names(area.pending)) == (1 << 42, PAIR)


def test_p8_terabytes_of_nothing_are_not_copied_to_another_file_system(area: StagingArea) -> None:
    put_vast(area.pending, name_of("a"))
    spoil = ELSEWHERE["another file system"]
    assert run("sync", area.root, "a", under=spoil) == (0, "stays")
    assert (names(area.pending), names(area.synced)) == ([name_of("a")], [])


def test_p5_what_was_set_aside_comes_back_as_it_was(area: StagingArea) -> None:
    stage(area, "a")
    before = files_in(area.root)
    set_aside(area, name_of("a"), into="conflicts", why="taken")
    assert names(area.pending) == []
    (aside,) = entries_aside(area, "conflicts")
    assert restore(area, aside).outcome == "moved"
    assert files_in(area.root) == before


def test_p3_what_comes_back_replaces_nothing(area: StagingArea) -> None:
    stage(area, "a")
    aside = set_aside(area, name_of("a"), into="rejected", why="bad")
    stage(area, "a", rows="other")
    pending = files_in(area.pending)
    assert restore(area, aside).outcome == "exists"
    assert files_in(area.pending) == pending
    assert aside.path.read_bytes() == shard_bytes("rows")


def test_p8_what_stays_aside_keeps_its_sidecar_from_the_shard_of_that_name(
    area: StagingArea,
) -> None:
    stage(area, "a")
    aside = set_aside(area, name_of("a"), into="rejected", why="bad")
    stage(area, "a", rows="other")
    (area.pending / meta_of("a")).unlink()
    before = files_in(area.root)
    assert restore(area, aside).outcome == "exists"
    assert files_in(area.root) == before


def test_p7_what_came_back_by_a_link_comes_back_in_the_next_run(area: StagingArea) -> None:
    stage(area, "a")
    before = files_in(area.root)
    aside = set_aside(area, name_of("a"), into="rejected", why="bad")
    # Killed where a file system knows no other way, before the old name went.
    os.link(aside.path, area.pending / name_of("a"))
    assert restore(area, aside).outcome == "moved"
    assert files_in(area.root) == before


def test_what_comes_back_brings_its_sidecar_over_debris(area: StagingArea) -> None:
    stage(area, "a")
    before = files_in(area.pending)
    aside = set_aside(area, name_of("a"), into="rejected", why="bad")
    (area.pending / meta_of("a")).write_text("debris")
    assert restore(area, aside).outcome == "moved"
    assert files_in(area.root) == {f"pending/{name}": data for name, data in before.items()}


def test_p5_what_was_swapped_while_it_was_sent_leaves_synced_in_the_next_run(
    area: StagingArea,
) -> None:
    stage(area, "a")
    moving = Moving(name_of("a"), sent(area.pending / name_of("a")))
    # Swapped by its owner, moved, and killed before the look at what was moved.
    (area.pending / name_of("a")).unlink()
    (area.synced / name_of("a")).write_bytes(b"other")
    (moved,) = move(area, [moving], "pending", "synced")
    assert moved.outcome == "altered"
    assert names(area.synced) == []
    assert (area.pending / name_of("a")).read_bytes() == b"other"


@pytest.mark.parametrize("target", ["synced", "failed"])
def test_p17_a_state_folder_that_is_a_link_is_refused(
    area: StagingArea, tmp_path: Path, target: State
) -> None:
    stage(area, "a")
    before = files_in(area.pending)
    elsewhere = tmp_path / "elsewhere"
    (area.root / target).rename(elsewhere)
    (area.root / target).symlink_to(elsewhere)
    with pytest.raises(NotSetUp):
        move(area, [Moving(name_of("a"))], "pending", target)
    assert files_in(area.pending) == before
    assert names(elsewhere) == []


def age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_tidy_drops_our_temporaries_after_a_day_and_nobody_elses(area: StagingArea) -> None:
    with area.folder("_vulcan", "rejected", create=True):
        pass
    made = [area.pending / ".vold.tmp", area.private / "rejected" / ".vold.tmp"]
    kept = [area.pending / ".vnew.tmp", area.pending / "x.parquet.12.ab.tmp", area.synced / ".x"]
    for path in (*made, *kept):
        path.write_text("")
    for path in (*made, *kept[1:]):
        age(path, 86_500)
    assert tidy(area, sidecar_of=lambda _: None).temporaries == 2
    assert [path.exists() for path in (*made, *kept)] == [False, False, True, True, True]


def test_tidy_rebuilds_a_sidecar_once_its_shard_is_a_minute_old(area: StagingArea) -> None:
    stage(area, "a")
    true = area.read_sidecar("pending", name_of("a"))
    assert true is not None
    (area.pending / meta_of("a")).unlink()
    (area.pending / name_of("junk")).write_text("junk")
    age(area.pending / name_of("junk"), 100)

    def sidecar_of(path: Path) -> dict[str, object] | None:
        return sidecar("a") if digest_of(path) else None

    assert tidy(area, sidecar_of=sidecar_of).rebuilt == 0
    age(area.pending / name_of("a"), 61)
    assert tidy(area, sidecar_of=sidecar_of).rebuilt == 1
    rebuilt = area.read_sidecar("pending", name_of("a"))
    assert rebuilt is not None
    assert (rebuilt.sha256, rebuilt.size) == (true.sha256, true.size)
    assert rebuilt.provenance == true.provenance
    assert meta_of("junk") not in names(area.pending)


def test_p8_tidy_makes_no_sidecar_for_terabytes_of_nothing(area: StagingArea) -> None:
    stage(area, "a")
    (area.pending / meta_of("a")).rename(area.synced / meta_of("a"))
    (area.pending / name_of("a")).unlink()
    for name in (name_of("a"), name_of("b")):
        age(put_vast(area.pending, name), 100)
    assert tidy(area, sidecar_of=lambda _: sidecar("b")) == (0, 0, 0, 0)
    assert names(area.pending) == [name_of("a"), name_of("b")]
    assert names(area.synced) == [meta_of("a")]


def test_tidy_leaves_a_sidecar_of_other_bytes_where_it_is(area: StagingArea) -> None:
    stage(area, "a")
    (area.synced / name_of("a")).write_bytes(b"other")
    (area.pending / name_of("a")).unlink()
    assert tidy(area, sidecar_of=lambda _: None).joined == 0
    assert names(area.pending) == [meta_of("a")]


def test_tidy_drops_our_lone_sidecars_after_a_day_and_nobody_elses(area: StagingArea) -> None:
    for one in ("a", "b"):
        stage(area, one)
        (area.pending / name_of(one)).unlink()
    (area.pending / meta_of("peer")).write_text('{"path_in_repo": "x"}')
    for one in ("a", "peer"):
        age(area.pending / meta_of(one), 86_500)
    assert tidy(area, sidecar_of=lambda _: None).debris == 1
    assert names(area.pending) == [meta_of("b"), meta_of("peer")]


def test_p11_tidy_stops_when_the_lease_is_lost(area: StagingArea) -> None:
    stage(area, "a")
    (area.pending / meta_of("a")).rename(area.synced / meta_of("a"))

    def check() -> None:
        raise LeaseLost("another")

    before = files_in(area.root)
    with pytest.raises(LeaseLost):
        tidy(area, sidecar_of=lambda _: None, check=check)
    assert files_in(area.root) == before


HOSTILE: dict[str, Callable[[Path, Path], object]] = {
    "symlink to a secret": lambda place, secret: place.symlink_to(secret),
    "dangling symlink": lambda place, _: place.symlink_to("/nowhere/at/all"),
    "hard link to a secret": lambda place, secret: os.link(secret, place),
    "fifo": lambda place, _: os.mkfifo(place),
    "folder": lambda place, _: (place / "inner").mkdir(parents=True),
    "mode 000": lambda place, _: os.close(os.open(place, os.O_CREAT, 0)),
    "empty": lambda place, _: place.write_text(""),
}

NAMES = {
    "plain": name_of("evil"),
    "newline and escapes": "a\n\x1b[31mb\r.parquet",
    "not UTF-8": os.fsdecode(b"\xff\xfe.parquet"),
    "255 bytes": "x" * 247 + ".parquet",
    "lone sidecar": meta_of("evil"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("called", NAMES)
def test_p8_any_entry_can_be_set_aside_unopened(
    area: StagingArea, tmp_path: Path, kind: str, called: str
) -> None:
    stage(area, "good")
    good = files_in(area.pending)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    place = area.pending / NAMES[called]
    HOSTILE[kind](place, secret)
    was = place.lstat()
    aside = set_aside(area, NAMES[called], into="rejected", why="no shard", clock=lambda: 5.0)
    assert Identity.of(aside.path.lstat()) == Identity.of(was)
    assert aside.path.lstat().st_mode == was.st_mode
    assert files_in(area.pending) == good
    assert secret.read_text() == "secret"
    (found,) = entries_aside(area, "rejected")
    assert found == aside
    assert (found.name, found.why, found.state, found.time) == (
        *(NAMES[called], "no shard", "pending"),
        5.0,
    )
    assert path_of_file_name(found.id) is None


@pytest.mark.parametrize(("call", "when"), [("renameat", 1), ("renameat2", 1), ("renameat2", 2)])
def test_p7_killed_while_setting_aside_it_is_here_or_there(
    area: StagingArea, call: str, when: int
) -> None:
    stage(area, "a", salt="a")
    code, _ = run("aside", area.root, "a", under=inject(call, "signal=KILL", when))
    assert code == -9
    expected = "_vulcan/rejected" if (call, when) == ("renameat2", 2) else "pending"
    assert homes(area) == [expected]
    if expected == "pending":
        set_aside(area, name_of("a"), into="rejected", why="bad")
    assert [one.name for one in entries_aside(area, "rejected")] == [name_of("a")]


def unwanted(*run_ids: str) -> list[Unwanted]:
    return [Unwanted(name_of(run_id), f"{run_id} is bad") for run_id in run_ids]


@pytest.mark.parametrize("call", ["fsync", "renameat", "renameat2"])
@pytest.mark.parametrize("when", range(1, 8))
def test_p5_p7_killed_while_setting_many_aside_none_is_lost(
    area: StagingArea, call: str, when: int
) -> None:
    runs = ["a", "b", "c"]
    for run_id in runs:
        stage(area, run_id, salt=run_id)
    all_of_them = {name_of(run_id) for run_id in runs}
    run("aside", area.root, *runs, under=inject(call, "signal=KILL", when))
    there = {one.name: one for one in entries_aside(area, "rejected")}
    left = [run_id for run_id in runs if name_of(run_id) not in there]
    assert {name_of(run_id) for run_id in left} == set(names(area.pending)) & all_of_them
    assert all(one.why == "bad" for one in there.values())
    set_all_aside(area, unwanted(*left), into="rejected")
    found = [one.id for one in entries_aside(area, "rejected")]
    reasons = {f"{id_}.why.json" for id_ in found}
    visible = {name for name in names(area.private / "rejected") if not name.startswith(".v")}
    assert {name for name in visible if not name.endswith(".meta.json")} == reasons.union(found)
    assert len(found) == 3


def test_p8_of_many_that_are_set_aside_one_that_is_gone_stops_no_other(area: StagingArea) -> None:
    stage(area, "a")
    stage(area, "c")
    first, gone, last = set_all_aside(area, unwanted("a", "b", "c"), into="rejected")
    assert isinstance(gone, DiskTrouble)
    assert isinstance(first, Aside)
    assert isinstance(last, Aside)
    assert sorted(entries_aside(area, "rejected"), key=lambda one: one.name) == [first, last]
    assert (first.why, last.why, names(area.pending)) == ("a is bad", "c is bad", [])


def test_more_than_are_taken_together_are_set_aside_in_their_order(area: StagingArea) -> None:
    runs = [f"r{number:03d}" for number in range(205)]
    for run_id in runs:
        (area.pending / name_of(run_id)).write_bytes(run_id.encode())
    made = set_all_aside(area, unwanted(*runs), into="rejected")
    read = [one.path.read_text() for one in made if isinstance(one, Aside)]
    assert (read, names(area.pending)) == (runs, [])


def test_p11_a_sync_that_lost_its_lease_sets_nothing_more_aside(area: StagingArea) -> None:
    for run_id in ("a", "b", "c"):
        stage(area, run_id, salt=run_id)
    calls = iter([None, LeaseLost("lost")])

    def check() -> None:
        error = next(calls)
        if error is not None:
            raise error

    with pytest.raises(LeaseLost):
        set_all_aside(area, unwanted("a", "b", "c"), into="rejected", check=check)
    assert [one.name for one in entries_aside(area, "rejected")] == [name_of("a")]
    left = [name for run_id in ("b", "c") for name in (name_of(run_id), meta_of(run_id))]
    assert names(area.pending) == sorted(left)


def test_p3_an_entry_of_the_same_id_is_not_replaced(area: StagingArea) -> None:
    stage(area, "a")
    first = set_aside(area, name_of("a"), into="rejected", why="first")
    os.link(first.path, area.pending / name_of("a"))
    second = set_aside(area, name_of("a"), into="rejected", why="second")
    found = {one.id: one.why for one in entries_aside(area, "rejected")}
    assert found == {first.id: "first", second.id: "second"}


def test_p17_nothing_is_set_aside_through_a_link(area: StagingArea, tmp_path: Path) -> None:
    stage(area, "a")
    (tmp_path / "elsewhere").mkdir()
    area.private.symlink_to(tmp_path / "elsewhere")
    before = files_in(area.root)
    with pytest.raises(NotSetUp):
        set_aside(area, name_of("a"), into="rejected", why="bad")
    assert files_in(area.root) == before
    assert names(tmp_path / "elsewhere") == []
