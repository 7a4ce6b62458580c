"""`vulcan unlock`: the dead go at once, the living stay, and of the far ones a person is asked."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_support import VULCAN, clean, vulcan
from tests.staging_tools import run, start
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.quantities import format_moment
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.lease import Owner, has_lease
from vulcan_cli.staging.lock import LOCK_NAME

SINCE = 1_790_000_000.0


@pytest.fixture
def area(tmp_path: Path) -> StagingArea:
    area = StagingArea(tmp_path / "spool")
    area.create(shared=True)
    return area


@pytest.fixture
def far(area: StagingArea) -> Owner:
    """A holder on another node."""
    owner = Owner.myself(SINCE)._replace(boot_id="another", host="node17", pid=4242)
    leave(area, owner)
    return owner


@pytest.fixture
def holder(area: StagingArea) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock, on this node."""
    process = start("hold", area.root, 30, 300)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def leave(area: StagingArea, owner: Owner) -> None:
    (area.private / "sync.lease").write_text(json.dumps({"beat": 0, **owner._asdict()}))


def described(owner: Owner) -> str:
    return f"process {owner.pid} on {owner.host}, since {format_moment(owner.since)}"


def answered(area: StagingArea, answer: bytes, home: Path) -> tuple[int, str]:
    """Unlock on a terminal where a person types an answer."""
    main, side = pty.openpty()
    command = [*VULCAN, "unlock", "--staging-dir", str(area.root)]
    process = subprocess.Popen(
        command, stdin=side, stdout=side, stderr=side, env=clean(home, NO_COLOR="1"), cwd=home
    )
    os.close(side)
    seen = b""
    while b"[y/N]: " not in seen:
        seen += os.read(main, 65536)
    os.write(main, answer)
    while True:
        try:
            seen += os.read(main, 65536)
        except OSError:
            # Linux says EIO when the last process has closed its side.
            break
    os.close(main)
    return process.wait(timeout=120), seen.decode().replace("\r\n", "\n")


def test_there_is_nothing_to_unlock(tmp_path: Path, area: StagingArea) -> None:
    ran = vulcan("unlock", "--staging-dir", area.root, home=tmp_path)
    assert (ran.code, ran.out, ran.err) == (0, "", "nobody holds the sync lock\n")
    ran = vulcan("unlock", "--staging-dir", area.root, "--json", home=tmp_path)
    assert (ran.code, ran.document(), ran.err) == (0, {"unlocked": False, "owner": None}, "")


def test_without_a_staging_directory(tmp_path: Path) -> None:
    ran = vulcan("unlock", "--staging-dir", tmp_path / "none", "--json", home=tmp_path)
    assert (ran.code, ran.error()["message"]) == (4, f"there is no folder {tmp_path / 'none'}")


def test_one_that_is_gone_loses_the_lock_without_a_question(
    tmp_path: Path, area: StagingArea, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    ran = vulcan("unlock", "--staging-dir", area.root, "--json", home=tmp_path)
    document = ran.document()
    owner = document["owner"]
    assert isinstance(owner, dict)
    assert (ran.code, document["unlocked"], owner["pid"]) == (0, True, holder.pid)
    assert (owner["gone"], has_lease(area), ran.err) == (True, False, "")


@pytest.mark.parametrize("stopped", [False, True])
def test_p11_one_that_runs_here_keeps_the_lock(
    tmp_path: Path, area: StagingArea, holder: subprocess.Popen[str], *, stopped: bool
) -> None:
    if stopped:
        holder.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
    ran = vulcan("unlock", "--staging-dir", area.root, "--json", home=tmp_path)
    assert (ran.code, ran.out, ran.error()["kind"]) == (7, "", "SyncAtWork")
    assert has_lease(area)


def test_p11_one_that_runs_here_and_is_forced_stops_before_its_next_step(
    tmp_path: Path, area: StagingArea, holder: subprocess.Popen[str]
) -> None:
    assert vulcan("unlock", "--force", "--staging-dir", area.root, home=tmp_path).code == 0
    output, _ = holder.communicate("\n")
    assert (output, has_lease(area)) == ("lost\nreleased\n", False)


def test_of_one_on_another_node_nobody_can_be_asked(
    tmp_path: Path, area: StagingArea, far: Owner
) -> None:
    where = f"--staging-dir {area.root}"
    sentence = f"another sync is at work: {described(far)}"
    safe = "the lock stays with it, and workers stage all the same"
    for quiet in ("", " -q"):
        words = f"unlock {where}{quiet}".split()
        ran = vulcan(*words, home=tmp_path)
        assert (ran.code, ran.out, ran.err) == (
            7,
            "",
            f"vulcan: {sentence}\n  safe: {safe}\n  next: vulcan status {where}\n"
            f"  next: vulcan unlock --force {where}{quiet}  # where it is known to be dead\n",
        )
    ran = vulcan("unlock", "--staging-dir", area.root, "--json", home=tmp_path)
    assert (ran.code, ran.out) == (7, "")
    assert ran.error() == {
        "kind": "SyncAtWork",
        "exit_code": 7,
        "message": sentence,
        "safe": safe,
        "next": [
            f"vulcan status {where}",
            f"vulcan unlock --force {where} --json  # where it is known to be dead",
        ],
        "owner": described(far),
    }
    assert has_lease(area)
    ran = vulcan("unlock", "--force", "--staging-dir", area.root, home=tmp_path)
    assert (ran.code, ran.out, ran.err) == (0, f"the lock of {described(far)} is gone\n", "")
    assert not has_lease(area)


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 7), (b"\n", 7), (b"\x04", 130)])
def test_a_person_is_asked(
    tmp_path: Path, area: StagingArea, far: Owner, answer: bytes, code: int
) -> None:
    found, seen = answered(area, answer, tmp_path)
    assert found == code
    assert seen.splitlines()[0] == f"vulcan: the sync lock is held by {described(far)}"
    assert has_lease(area) == (code != 0)


@pytest.mark.parametrize("text", ["", "garbage", '{"token": 1}'])
def test_garbage_is_taken_away_only_when_it_is_forced(
    tmp_path: Path, area: StagingArea, text: str
) -> None:
    (area.private / "sync.lease").write_text(text)
    ran = vulcan("unlock", "--staging-dir", area.root, "--json", home=tmp_path)
    assert (ran.code, ran.error()["owner"]) == (7, "an unreadable lease")
    ran = vulcan("unlock", "--force", "--staging-dir", area.root, "--json", home=tmp_path)
    assert (ran.code, ran.document()) == (0, {"unlocked": True, "owner": None})
    assert not has_lease(area)


def test_p16_a_hostile_lease_reaches_no_terminal(tmp_path: Path, area: StagingArea) -> None:
    token = "hf_" + "Q" * 30
    owner = Owner.myself(8e14)._replace(boot_id="another", host=f"\x1b[2J\n{token}")
    leave(area, owner)
    code, seen = answered(area, b"n\n", tmp_path)
    assert (code, token in seen, "\x1b[2J" in seen) == (7, False, False)
    assert seen.splitlines()[0] == (
        f"vulcan: the sync lock is held by process {owner.pid} on ?[2J?[hidden]"
    )


def started(area: StagingArea, home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*VULCAN, *words, "--staging-dir", str(area.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean(home),
        cwd=home,
    )


def watching(area: StagingArea, home: Path, *words: str) -> tuple[subprocess.Popen[str], list[str]]:
    """A command that watches the lock, and what it says of that."""
    process = started(area, home, *words)
    assert process.stderr is not None
    return process, [process.stderr.readline() for _ in range(3)]


def said(area: StagingArea, owner: str) -> list[str]:
    return [
        f"the sync lock is held by {owner}, watched for 5m: it may be dead\n",
        "  safe: nothing was changed, and workers stage all the same\n",
        f"  next: vulcan unlock --staging-dir {area.root}  # where it is known to be dead\n",
    ]


WATCHERS = {
    "sync": (["sync", "--create-repo"], "committed=0 failed=0 remaining=0 commits=0\n", ""),
    "trim-synced": (["trim-synced", "--keep-bytes", "0"], "", "freed 0 B\n"),
}


@pytest.mark.parametrize(("words", "out", "err"), WATCHERS.values(), ids=WATCHERS)
def test_who_waits_for_an_unreadable_lease_says_so_and_goes_on_when_it_is_gone(
    tmp_path: Path, area: StagingArea, words: list[str], out: str, err: str
) -> None:
    DirectoryRepo(tmp_path / "repo").preflight(create=True)
    (area.private / "sync.lease").write_text("garbage")
    process, lines = watching(area, tmp_path, *words, "--repo", "./repo")
    assert lines == said(area, "an unreadable lease")
    ran = vulcan("unlock", "--force", "--staging-dir", area.root, home=tmp_path)
    assert ran.code == 0
    assert (*process.communicate(), process.returncode) == (out, err, 0)


def test_nothing_stands_beside_an_error_in_json_of_who_watches(
    tmp_path: Path, area: StagingArea, far: Owner
) -> None:
    process = started(area, tmp_path, "sync", "--json", "--repo", "./repo")
    while not (area.private / LOCK_NAME).exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, out, json.loads(err)) == (
        7,
        "",
        {
            "error": {
                "kind": "SyncAtWork",
                "exit_code": 7,
                "message": f"another sync is at work: {far}",
                "safe": "that sync goes on, and so do the workers",
                "next": [f"vulcan status --staging-dir {area.root}"],
                "owner": str(far),
            }
        },
    )


@pytest.mark.parametrize("words", [["sync", "--repo", "./repo"], ["verify", "--fix"]])
def test_who_watches_ends_when_it_is_asked_to(
    tmp_path: Path, area: StagingArea, far: Owner, words: list[str]
) -> None:
    (area.pending / "no shard.parquet").write_text("garbage")
    process, lines = watching(area, tmp_path, *words)
    assert lines == said(area, str(far))
    process.send_signal(signal.SIGTERM)
    assert (*process.communicate(), process.returncode) == (
        "",
        f"vulcan: another sync is at work: {far}\n"
        "  safe: that sync goes on, and so do the workers\n"
        f"  next: vulcan status --staging-dir {area.root}\n",
        7,
    )
    assert has_lease(area)


@pytest.mark.parametrize(
    ("call", "when"), [("rename", 1), ("renameat", 1), ("unlinkat", 1), ("unlinkat", 2)]
)
def test_p7_killed_while_unlocking_it_can_be_run_again(
    tmp_path: Path, area: StagingArea, far: Owner, call: str, when: int
) -> None:
    inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}")
    run("break", area.root, under=inject)
    assert vulcan("unlock", "--force", "--staging-dir", area.root, home=tmp_path).code == 0
    assert not has_lease(area)
    code, output = run("hold", area.root, 30, 300)
    assert (code, output) == (0, "held\nreleased"), far
