"""Publishing into pending/: P1 durable, P2 all or nothing, P3 no overwrite, P4 unique, P17."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.folders import files_in
from tests.staging_tools import (
    digest,
    digest_of,
    inject,
    meta_of,
    name_of,
    names,
    path_in_repo,
    run,
    run_all,
    shard_bytes,
    sidecar,
    stage,
    start,
    visible,
    writer,
)
from vulcan_cli.errors import Conflict, DiskTrouble, InputRefused, NotSetUp
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import set_aside
from vulcan_cli.staging.ledger import Ledger, LedgerEntry
from vulcan_cli.staging.moves import Moving, move
from vulcan_cli.staging.publish import Publication
from vulcan_cli.staging.sidecar import Sidecar

PAIR = [name_of("a"), meta_of("a")]


def is_whole(area: StagingArea, name: str = "a") -> bool:
    """A parquet that is there, complete, with a sidecar that is true of it."""
    beside = area.read_sidecar("pending", name_of(name))
    assert beside is not None
    data = (area.pending / name_of(name)).read_bytes()
    assert digest_of(area.pending / name_of(name)) == beside.digest
    return (beside.size, beside.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_p1_a_staged_shard_is_whole_with_a_true_sidecar(area: StagingArea) -> None:
    result = stage(area, "a")
    assert (result.status, result.where, result.path) == (
        "staged",
        "pending",
        area.pending / name_of("a"),
    )
    assert (area.pending / name_of("a")).read_bytes() == shard_bytes("rows")
    assert names(area.pending) == PAIR
    for name in PAIR:
        status = (area.pending / name).stat()
        assert (status.st_mode & 0o777, status.st_nlink) == (0o440, 1)
        assert status.st_gid == area.pending.stat().st_gid
    assert area.read_sidecar("pending", name_of("a")) == Sidecar(
        path_in_repo=path_in_repo("a"),
        run_id="a",
        n_rows=1,
        provenance={"solver": {"name": "newton"}},
        sha256=result.sha256,
        size=result.size,
        digest=digest("rows"),
        staged_by="uid 0 on here",
    )


def test_p1_the_group_of_the_folder_is_taken(area: StagingArea) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a folder to any group")
    os.chown(area.pending, -1, 4711)
    stage(area, "a")
    assert {(area.pending / name).stat().st_gid for name in PAIR} == {4711}


def test_p1_everything_is_on_disk_before_it_is_visible(area: StagingArea, tmp_path: Path) -> None:
    log = tmp_path / "log"
    calls = "trace=fsync,linkat,unlinkat"
    assert run("stage", area.root, "a=rows", under=("-y", "-o", str(log), "-e", calls)) == (
        0,
        "staged",
    )
    kinds = {
        r"fsync\(\d+<[^>]*/\.v\w+\.tmp>\)": "fsync file",
        r"linkat\(.*meta\.json": "link sidecar",
        r"linkat\(.*\.parquet\"": "link parquet",
        r"fsync\(\d+<[^>]*/pending>\)": "fsync folder",
        r"unlinkat\(.*\.v\w+\.tmp": "drop",
    }
    seen = [
        kind
        for line in log.read_text().splitlines()
        for pattern, kind in kinds.items()
        if re.search(pattern, line)
    ]
    assert seen == [
        *("fsync file", "fsync file"),
        *("link sidecar", "link parquet"),
        *("fsync folder", "drop", "drop"),
    ]


KILLS = [
    *(("openat", n) for n in (1, 2)),
    *(("fchmod", n) for n in (1, 2)),
    *(("fsync", n) for n in (1, 2, 3)),
    *(("linkat", n) for n in (1, 2)),
    *(("unlinkat", n) for n in (1, 2)),
]


@pytest.mark.parametrize(("call", "when"), KILLS)
def test_p2_killed_anywhere_it_leaves_nothing_or_a_whole_shard(
    area: StagingArea, call: str, when: int
) -> None:
    where = area.pending if call == "openat" else None
    code, _ = run("stage", area.root, "a=rows", under=inject(call, "signal=KILL", when, where))
    # Strace ends itself by the signal that ended its child.
    assert code == -9
    left = visible(area.pending)
    assert left in ([], [meta_of("a")], PAIR)
    if left == PAIR:
        assert is_whole(area)
    status = stage(area, "a").status
    assert status == ("already-staged" if left == PAIR else "staged")
    assert visible(area.pending) == PAIR
    assert is_whole(area)


@pytest.mark.parametrize(
    ("call", "when", "error"),
    [
        ("write", 1, "ENOSPC"),
        ("fchmod", 2, "EACCES"),
        ("fsync", 1, "EIO"),
        ("fsync", 2, "EDQUOT"),
        ("linkat", 1, "ESTALE"),
        ("linkat", 2, "EDQUOT"),
    ],
)
def test_p2_what_the_disk_refuses_is_said_and_leaves_nothing(
    area: StagingArea, call: str, when: int, error: str
) -> None:
    code, output = run("stage", area.root, "a=rows", under=inject(call, f"error={error}", when))
    assert (code, output) == (6, "DiskTrouble")
    assert [name for name in names(area.pending) if name != meta_of("a")] == []
    assert stage(area, "a").status == "staged"
    assert names(area.pending) == PAIR
    assert is_whole(area)


def test_p2_nothing_is_visible_before_all_shards_are_complete(area: StagingArea) -> None:
    visible_then: list[list[str]] = []

    def look(_: object) -> None:
        visible_then.append(visible(area.pending))
        raise OSError(errno.ENOSPC, "full")

    with Publication(area, digest_of=digest_of, staged_by="") as publication:
        add = partial(publication.add, sidecar=sidecar("a"), digest=digest("rows"))
        add(path_in_repo=path_in_repo("a"), write=writer(shard_bytes("rows")))
        with pytest.raises(DiskTrouble):
            add(path_in_repo=path_in_repo("b"), write=look)
    assert visible_then == [[]]
    assert names(area.pending) == []


def test_p2_a_lone_sidecar_stands_in_nobodys_way(area: StagingArea) -> None:
    (area.pending / meta_of("a")).write_text("debris")
    assert stage(area, "a").status == "staged"
    assert names(area.pending) == PAIR
    assert is_whole(area)


def test_p2_a_folder_in_the_sidecars_place_stands_in_nobodys_way(area: StagingArea) -> None:
    (area.pending / meta_of("a")).mkdir()
    assert stage(area, "a").status == "staged"
    assert (area.pending / name_of("a")).read_bytes() == shard_bytes("rows")
    assert names(area.pending) == PAIR


def test_p2_two_killed_writers_leave_a_shard_that_the_third_makes_whole(area: StagingArea) -> None:
    # The same rows written by three processes are three files: each tells its process.
    assert run("stage", area.root, "a=rows", under=inject("linkat", "signal=KILL", 2))[0] == -9
    assert visible(area.pending) == [meta_of("a")]
    rename = "rename,renameat,renameat2"
    killed = ("-e", f"trace={rename}", "-e", f"inject={rename}:signal=KILL")
    assert run("stage", area.root, "a=rows", under=killed)[0] == -9
    assert visible(area.pending) == PAIR
    shard = (area.pending / name_of("a")).read_bytes()
    assert run("stage", area.root, "a=rows") == (0, "already-staged")
    assert visible(area.pending) == PAIR
    assert (area.pending / name_of("a")).read_bytes() == shard
    assert is_whole(area)


def test_p1_what_is_staged_already_gets_the_sidecar_it_lacks(area: StagingArea) -> None:
    stage(area, "a")
    (area.pending / meta_of("a")).unlink()
    assert stage(area, "a", salt="today").status == "already-staged"
    assert is_whole(area)


@pytest.mark.parametrize("lie", [{"n_rows": 7}, {"run_id": "b"}, {"size": 1}, {"sha256": "0" * 64}])
def test_p1_a_sidecar_that_lies_of_the_same_rows_is_made_true(
    area: StagingArea, lie: dict[str, object]
) -> None:
    stage(area, "a")
    beside = area.pending / meta_of("a")
    said = json.loads(beside.read_bytes())
    beside.unlink()
    beside.write_text(json.dumps(said | lie))
    assert stage(area, "a", salt="today").status == "already-staged"
    assert json.loads(beside.read_bytes()) == said


def test_the_peers_sidecar_beside_the_same_rows_stays(area: StagingArea) -> None:
    stage(area, "a")
    beside = area.pending / meta_of("a")
    beside.unlink()
    beside.write_text(json.dumps(sidecar("a")))
    before = files_in(area.root)
    assert stage(area, "a", salt="today").status == "already-staged"
    assert files_in(area.root) == before


def to_failed(area: StagingArea) -> None:
    move(area, [Moving(name_of("a"))], "pending", "failed")


def to_synced(area: StagingArea) -> None:
    move(area, [Moving(name_of("a"))], "pending", "synced")


def to_repo(area: StagingArea) -> None:
    beside = area.read_sidecar("pending", name_of("a"))
    assert beside is not None
    assert beside.sha256 is not None
    for name in PAIR:
        (area.pending / name).unlink()
    entry = LedgerEntry(
        path=path_in_repo("a"),
        sha256=beside.sha256,
        size=1,
        repo="repo",
        revision="main",
        commit="c" * 40,
        time=1.0,
        digest=beside.digest,
    )
    Ledger(area).append([entry])


def to_rejected(area: StagingArea) -> None:
    set_aside(area, name_of("a"), into="rejected", why="bad")


def to_conflicts(area: StagingArea) -> None:
    set_aside(area, name_of("a"), into="conflicts", why="taken")


WHERE: dict[str, Callable[[StagingArea], None]] = {
    "pending": lambda _: None,
    "failed": to_failed,
    "synced": to_synced,
    "repo": to_repo,
    "rejected": to_rejected,
    "conflicts": to_conflicts,
}


@pytest.mark.parametrize("where", WHERE)
def test_p4_the_same_rows_are_one_shard_in_whatever_state(area: StagingArea, where: str) -> None:
    stage(area, "a", salt="yesterday")
    WHERE[where](area)
    before = files_in(area.root)
    result = stage(area, "a", salt="today")
    assert (result.status, result.where) == ("already-staged", where)
    assert files_in(area.root) == before


@pytest.mark.parametrize("where", ["pending", "failed", "synced", "repo"])
def test_p3_other_rows_under_a_name_are_a_conflict_and_change_nothing(
    area: StagingArea, where: str
) -> None:
    stage(area, "a")
    WHERE[where](area)
    before = files_in(area.root)
    with pytest.raises(Conflict) as caught:
        stage(area, "a", rows="other rows")
    assert caught.value.path_in_repo == path_in_repo("a")
    assert files_in(area.root) == before


def test_p4_a_name_that_was_taken_and_is_free_again_is_taken(area: StagingArea) -> None:
    """Sync took it on, or set it aside, between our link and our look."""
    taken = inject("linkat", "error=EEXIST", 2)
    assert run("stage", area.root, "a=rows", under=taken) == (0, "staged")
    assert visible(area.pending) == [name_of("a"), meta_of("a")]


@pytest.mark.parametrize("where", ["rejected", "conflicts"])
def test_p8_what_was_set_aside_keeps_no_name_from_other_rows(area: StagingArea, where: str) -> None:
    stage(area, "a")
    WHERE[where](area)
    assert stage(area, "a", rows="other rows").status == "staged"
    assert is_whole(area)


def test_p3_a_conflict_known_before_keeps_the_other_shards_back(area: StagingArea) -> None:
    stage(area, "b")
    assert run("stage", area.root, "a=rows", "b=other") == (3, "Conflict")
    assert names(area.pending) == [name_of("b"), meta_of("b")]


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "junk"])
def test_p3_what_is_no_shard_under_our_name_is_a_conflict(area: StagingArea, kind: str) -> None:
    place = area.pending / name_of("a")
    secret = area.root / "secret"
    secret.write_bytes(shard_bytes("rows"))
    make: dict[str, Callable[[], object]] = {
        "folder": place.mkdir,
        "fifo": lambda: os.mkfifo(place),
        "link": lambda: place.symlink_to(secret),
        "junk": lambda: place.write_text("junk"),
    }
    make[kind]()
    with pytest.raises(Conflict):
        stage(area, "a")
    assert names(area.pending) == [name_of("a")]
    assert secret.read_bytes() == shard_bytes("rows")


def test_p4_twenty_workers_with_equal_rows_make_one_shard(area: StagingArea) -> None:
    results = run_all([start("race-stage", area.root, "a", "rows") for _ in range(20)])
    assert sorted(results) == ["already-staged"] * 19 + ["staged"]
    assert names(area.pending) == PAIR
    assert is_whole(area)


def test_p3_twenty_workers_with_other_rows_have_one_winner(area: StagingArea) -> None:
    results = run_all([start("race-stage", area.root, "a", f"rows {n}") for n in range(20)])
    assert sorted({word.lower() for word in results}) == ["conflict", "staged"]
    assert results.count("staged") == 1
    winner = shard_bytes(f"rows {results.index('staged')}").split(b"\n")[0]
    assert (area.pending / name_of("a")).read_bytes().split(b"\n")[0] == winner
    assert names(area.pending) == PAIR
    assert is_whole(area)


def test_p17_a_pending_folder_that_is_a_link_is_refused(area: StagingArea, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    area.pending.rename(elsewhere)
    area.pending.symlink_to(elsewhere)
    with pytest.raises(NotSetUp):
        stage(area, "a")
    assert names(elsewhere) == []


def test_a_path_that_is_no_shards_is_refused(area: StagingArea) -> None:
    with (
        pytest.raises(InputRefused),
        Publication(area, digest_of=digest_of, staged_by="") as publication,
    ):
        publication.add(path_in_repo="README.md", write=writer(b""), sidecar={}, digest="")
    assert names(area.pending) == []


def test_a_name_fits_with_its_sidecars_ending_in_255_bytes(area: StagingArea) -> None:
    spare = 255 - len(meta_of("x")) + 1
    stage(area, "x" * spare)
    with pytest.raises(InputRefused):
        stage(area, "x" * (spare + 1))
    assert names(area.pending) == [name_of("x" * spare), meta_of("x" * spare)]


def test_a_sidecar_that_no_reader_would_take_is_refused(area: StagingArea) -> None:
    with (
        pytest.raises(InputRefused),
        Publication(area, digest_of=digest_of, staged_by="") as publication,
    ):
        publication.add(
            path_in_repo=path_in_repo("a"),
            write=writer(b""),
            sidecar={**sidecar("a"), "provenance": {"note": "x" * (1 << 20)}},
            digest="",
        )
    assert names(area.pending) == []


def test_the_peers_keys_stand_in_the_sidecar(area: StagingArea) -> None:
    stage(area, "a")
    record = json.loads((area.pending / meta_of("a")).read_text())
    assert sorted(record) == [
        *("digest", "n_rows", "path_in_repo", "provenance"),
        *("run_id", "sha256", "size", "staged_by"),
    ]


@pytest.mark.parametrize("closed", ["_vulcan", "synced", "failed"])
def test_a_worker_needs_no_folder_but_pending(area: StagingArea, closed: str) -> None:
    stage(area, "other")
    set_aside(area, name_of("other"), into="rejected", why="bad")
    spoil = ("-e", "trace=openat", "-e", "inject=openat:error=EACCES", "-P", closed)
    assert run("stage", area.root, "a=rows", under=spoil) == (0, "staged")
    assert is_whole(area)
    spoil = ("-e", "trace=openat", "-e", "inject=openat:error=EIO", "-P", closed)
    assert run("stage", area.root, "b=rows", under=spoil) == (6, "DiskTrouble")
