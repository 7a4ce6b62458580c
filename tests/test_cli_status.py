import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.cli_support import CHECKOUT, Ran, vulcan
from vulcan_cli.hub.open import key_without_client
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import set_aside
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.lock import SyncLock

PEER = CHECKOUT / "tests" / "data" / "interop" / "staging"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A staging directory that the peer wrote."""
    return Path(shutil.copytree(PEER, tmp_path / "spool"))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def of_state(spool: Path, state: str) -> dict[str, object]:
    found = shards(spool / state)
    return {
        "shards": len(found),
        "bytes": sum(path.stat().st_size for path in found),
        "oldest": min((path.stat().st_mtime for path in found), default=None),
    }


def whole(spool: Path, **changed: object) -> dict[str, object]:
    return {
        "staging_dir": str(spool),
        "pending": of_state(spool, "pending"),
        "synced": of_state(spool, "synced"),
        "failed": of_state(spool, "failed"),
        "rejected": 0,
        "conflicts": 0,
        "repo": None,
        "budget": {"budget": 90, "window_s": 3600.0, "remaining": None, "next_slot_at": None},
        "sync": None,
        "wider_than_needed": [],
        **changed,
    }


def status(spool: Path, home: Path, *words: str) -> dict[str, object]:
    ran = vulcan("status", "--staging-dir", spool, "--json", *words, home=home)
    assert (ran.code, ran.err) == (0, "")
    return ran.document()


def test_of_the_peers_staging_directory(tmp_path: Path, spool: Path) -> None:
    assert len(shards(spool / "synced")) > 0
    assert status(spool, tmp_path) == whole(spool)


def test_for_a_person(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    StagingArea(spool).create()
    for name, size in (("a", 1_200_000), ("b", 34)):
        file = spool / "pending" / f"h12_2__h11_3__bucket_5__run_{name}.parquet"
        file.write_bytes(b"x" * size)
    # The middle of an hour: it must not strike while this runs.
    os.utime(file, times=(time.time() - 189_000,) * 2)
    ran = vulcan("status", "--staging-dir", spool, "--repo", "me/vacua", home=tmp_path)
    assert ran == Ran(
        0,
        f"{spool}\n"
        "  pending  2 shards  1.2 MB  oldest 2d04h\n"
        "  synced   0 shards     0 B\n"
        "  failed   0 shards     0 B\n"
        "  90 of 90 commits left in 1h, to me/vacua\n"
        "  sync: none at work\n",
        "",
    )


def test_what_was_set_aside_and_spent(tmp_path: Path, spool: Path) -> None:
    area = StagingArea(spool)
    names = [path.name for path in shards(spool / "synced")[:2]]
    for name, heap in zip(names, ("rejected", "conflicts"), strict=True):
        set_aside(area, name, into=heap, why="a test", state="synced")  # type: ignore[arg-type]
    now = time.time()
    (spool / "_commit_budget.json").write_text(
        json.dumps({"budget": 90, "window_s": 3600.0, "timestamps": [now - 60.0]})
    )
    Budget(area, key_without_client("me/vacua"), 2, 3600.0, lambda: now).spend()
    assert status(spool, tmp_path, "--repo", "me/vacua") == whole(
        spool,
        rejected=1,
        conflicts=1,
        repo="me/vacua",
        budget={"budget": 90, "window_s": 3600.0, "remaining": 88, "next_slot_at": None},
    )


def test_a_budget_used_up_says_when(tmp_path: Path, spool: Path) -> None:
    stamp = time.time() - 100.0
    (spool / "_commit_budget.json").write_text(
        json.dumps({"budget": 1, "window_s": 3600.0, "timestamps": [stamp]})
    )
    ran = vulcan(
        "status",
        "--json",
        home=tmp_path,
        env={
            "STRINGFORGE_VULCAN_STAGING_DIR": str(spool),
            "STRINGFORGE_VULCAN_REPO": "me/vacua",
            "STRINGFORGE_VULCAN_BUDGET": "1",
        },
    )
    assert ran.document()["budget"] == {
        "budget": 1,
        "window_s": 3600.0,
        "remaining": 0,
        "next_slot_at": stamp + 3600.0,
    }


def test_who_is_syncing(tmp_path: Path, spool: Path) -> None:
    with SyncLock(StagingArea(spool)) as lock:
        owner = lock.owner
        assert status(spool, tmp_path)["sync"] == {
            "host": owner.host,
            "pid": owner.pid,
            "since": owner.since,
            "gone": False,
        }
    assert status(spool, tmp_path)["sync"] is None


def test_a_hostile_lease_reaches_no_terminal(tmp_path: Path, spool: Path) -> None:
    (spool / "_vulcan").mkdir()
    (spool / "_vulcan" / "sync.lease").write_text("\x1b]0;owned\x07")
    assert status(spool, tmp_path)["sync"] == {
        "host": None,
        "pid": None,
        "since": None,
        "gone": None,
    }
    ran = vulcan("status", "--staging-dir", spool, home=tmp_path)
    assert ran.out.splitlines()[-1] == "  sync: an unreadable lease"


def test_permissions_wider_than_needed(tmp_path: Path, spool: Path) -> None:
    (spool / "synced").chmod(0o777)
    assert status(spool, tmp_path)["wider_than_needed"] == [str(spool / "synced")]
    ran = vulcan("status", "--staging-dir", spool, home=tmp_path)
    assert ran.err == (f"vulcan: more accounts may write to {spool}/synced than staging needs\n")


def test_nothing_is_changed(tmp_path: Path, spool: Path) -> None:
    def look() -> list[tuple[str, int, int]]:
        found = sorted(spool.rglob("*"))
        return [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in (spool, *found)]

    before = look()
    status(spool, tmp_path, "--repo", "me/vacua")
    assert look() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no staging directory is set"),
        (["--staging-dir", "/nonexistent"], "there is no folder /nonexistent"),
    ],
)
def test_without_a_staging_directory(tmp_path: Path, words: list[str], message: str) -> None:
    ran = vulcan("status", "--json", *words, home=tmp_path)
    assert (ran.code, ran.out) == (4, "")
    assert ran.error() == {
        "kind": "NotSetUp",
        "exit_code": 4,
        "message": message,
        "safe": "nothing was changed",
        "next": [
            "export VULCAN_STAGING_DIR=/shared/folder",
            " ".join(["vulcan status --json", *words]),
        ],
        "setting": "staging_dir",
    }


def test_a_repo_that_is_none(tmp_path: Path, spool: Path) -> None:
    ran = vulcan("status", "--staging-dir", spool, "--repo", "vacua", home=tmp_path)
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        "vulcan: a repo is written owner/name, file:///folder or ./folder, not 'vacua'",
    )
