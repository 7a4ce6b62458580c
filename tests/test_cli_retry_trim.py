import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_shards import shard, staged
from tests.cli_support import VULCAN, Ran, clean, vulcan
from tests.folders import tree
from tests.hubserver import Fault, LocalHub
from tests.staging_tools import fill
from tests.sync_support import NAME
from tests.vacua_support import GEOMETRY, rows
from vulcan_cli.quantities import format_size
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import set_aside
from vulcan_cli.staging.lease import has_lease
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import Moving, move
from vulcan_cli.staging.reasons import read_reason, write_reason

SPOOL = ("--staging-dir", "spool")
REPO = ("--repo", "./repo")
REASON = "HTTP 400: too\nlarge"
"""What a repo may say: it must not break a line of ours."""


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Two shards that failed, the first for a known reason, and one that waits."""
    for number, run_id in enumerate(("a1", "a2", "b1"), start=1):
        staged(tmp_path, run_id, rows(number))
    area = StagingArea(tmp_path / "spool")
    for run_id in ("a1", "b1"):
        name = shard(Path(), "", run_id).name
        assert [each.outcome for each in move(area, [Moving(name)], "pending", "failed")] == [
            "moved"
        ]
        if run_id == "a1":
            write_reason(area, name, REASON)
    return tmp_path / "spool"


FULL = Ran(
    6,
    "",
    "vulcan: standard output: No space left on device\n"
    "  safe: what was already staged or confirmed stays so; nothing half-written counts\n"
    "  next: df -h . && df -i .\n"
    "  next: vulcan status --staging-dir spool\n",
)
"""What a command says whose stdout takes nothing."""


def to_a_full_disk(*words: str, home: Path) -> Ran:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*VULCAN, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=clean(home),
            cwd=home,
            check=False,
            timeout=120,
        )
    return Ran(done.returncode, "", done.stderr)


def at_sigterm(call: str, *words: str, home: Path) -> Ran:
    """Run vulcan, which gets SIGTERM with its first system call of this name."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    inject = ("-f", "-qq", "-o", os.devnull, "-e", f"inject={call}:signal=SIGTERM:when=1")
    done = subprocess.run(
        [strace, *inject, *VULCAN, *words],
        capture_output=True,
        text=True,
        env=clean(home, PYTHONDONTWRITEBYTECODE="1"),
        cwd=home,
        check=False,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def path(run_id: str) -> str:
    return GEOMETRY.path_in_repo(run_id)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def pair(run_id: str) -> list[str]:
    name = shard(Path(), "", run_id).name
    return [name, f"{name}.meta.json"]


def test_failed_shards_wait_again(tmp_path: Path, spool: Path) -> None:
    held = {**tree(spool / "failed"), **tree(spool / "pending")}
    lines = f"{path('a1')}\tHTTP 400: too\\nlarge\n{path('b1')}\tno reason is known\n"
    before = tree(spool)
    rehearsed = run("retry-failed", *SPOOL, "--dry-run", cwd=tmp_path)
    assert rehearsed == Ran(0, lines, "")
    would = run("retry-failed", *SPOOL, "--dry-run", "--json", cwd=tmp_path)
    assert (would.code, would.err) == (0, "")
    assert [json.loads(line) for line in would.out.splitlines()] == [
        {"path_in_repo": path("a1"), "reason": REASON, "outcome": "would move", "new_path": None},
        {"path_in_repo": path("b1"), "reason": None, "outcome": "would move", "new_path": None},
    ]
    assert tree(spool) == before

    assert vulcan("retry-failed", *SPOOL, home=tmp_path) == Ran(0, lines, "")
    assert tree(spool / "pending") == held
    assert names(spool / "failed") == []
    assert run("retry-failed", *SPOOL, cwd=tmp_path) == Ran(0, "", "nothing to retry\n")
    assert run("retry-failed", *SPOOL, "-q", cwd=tmp_path) == Ran(0, "", "")
    assert run("retry-failed", *SPOOL, "--json", "-q", cwd=tmp_path) == Ran(0, "", "")


def test_sigterm_before_the_first_is_not_said_to_be_nothing_to_retry(
    tmp_path: Path, spool: Path
) -> None:
    held = names(spool / "failed")
    # The lease is the first link: the signal comes as soon as it is held.
    ran = at_sigterm("link,linkat", "retry-failed", *SPOOL, home=tmp_path)
    assert ran == Ran(0, "", "nothing was brought back: SIGTERM came before the first\n")
    assert names(spool / "failed") == held


@pytest.mark.usefixtures("spool")
def test_sigterm_ends_a_rehearsal_of_retry_failed(tmp_path: Path) -> None:
    ran = at_sigterm("write", "retry-failed", *SPOOL, "--dry-run", home=tmp_path)
    assert ran == Ran(0, f"{path('a1')}\tHTTP 400: too\\nlarge\n", "")


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["a1"], ["a1"]),
        (["a*"], ["a1"]),
        (["?1"], ["a1", "b1"]),
        (["b1", "a1"], ["a1", "b1"]),
        (["[b-z]*"], ["b1"]),
        (["a2", "A1"], []),
    ],
)
def test_some_of_them(
    tmp_path: Path, spool: Path, patterns: Sequence[str], chosen: list[str]
) -> None:
    ran = run("retry-failed", *patterns, *SPOOL, "--json", "-q", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [(each["path_in_repo"], each["outcome"]) for each in told] == [
        (path(run_id), "moved") for run_id in chosen
    ]
    waiting = sorted(["a2", *chosen])
    assert names(spool / "pending") == [name for run_id in waiting for name in pair(run_id)]


def test_what_waits_is_never_replaced(tmp_path: Path, spool: Path) -> None:
    # Another worker staged other rows under that name: possible, where it may not read failed/.
    other = tmp_path / "other"
    other.mkdir()
    theirs = staged(other, "a1", rows(7))
    (spool / "pending" / theirs.name).write_bytes(theirs.read_bytes())
    folders = [spool / "pending", spool / "failed"]
    before = [tree(folder) for folder in folders]
    ran = run("retry-failed", "a1", *SPOOL, cwd=tmp_path)
    assert ran == Ran(
        3,
        f"{path('a1')}\tHTTP 400: too\\nlarge\n",
        f"vulcan: {path('a1')} stays in failed/: pending/ holds other content under its name\n",
    )
    assert [tree(folder) for folder in folders] == before


def test_a_reason_is_on_record_until_it_was_told(tmp_path: Path, spool: Path) -> None:
    assert to_a_full_disk("retry-failed", *SPOOL, home=tmp_path) == FULL
    assert read_reason(StagingArea(spool), shard(Path(), "", "a1").name) == REASON


def test_each_rejected_shard_is_told_when_it_is_back(tmp_path: Path, spool: Path) -> None:
    area = StagingArea(spool)
    set_aside(area, pair("a1")[0], into="rejected", why="is bad", state="failed")
    set_aside(area, pair("a2")[0], into="rejected", why="is bad")
    words = ("retry-failed", "--from-rejected", *SPOOL)
    assert to_a_full_disk(*words, home=tmp_path) == FULL
    assert names(spool / "pending") == pair("a1")
    assert run(*words, cwd=tmp_path) == Ran(0, f"{path('a2')}\tis bad\n", "")


def test_what_was_rejected_comes_back_as_it_is(tmp_path: Path, spool: Path) -> None:
    name = shard(Path(), "", "a2").name
    held = (spool / "pending" / name).read_bytes()
    set_aside(StagingArea(spool), name, into="rejected", why="a look of the head node")
    words = ("retry-failed", "--from-rejected", *SPOOL)
    line = f"{path('a2')}\ta look of the head node\n"
    assert run(*words, "--dry-run", cwd=tmp_path) == Ran(0, line, "")
    assert not (spool / "pending" / name).exists()
    assert run(*words, "b*", cwd=tmp_path) == Ran(0, "", "nothing to retry\n")
    assert run(*words, cwd=tmp_path) == Ran(0, line, "")
    assert (spool / "pending" / name).read_bytes() == held
    assert run(*words, cwd=tmp_path) == Ran(0, "", "nothing to retry\n")


def test_rows_in_conflict_come_back_under_a_new_run_id(tmp_path: Path, spool: Path) -> None:
    name = shard(Path(), "", "a2").name
    expected = pl.read_parquet(spool / "pending" / name).drop("run_id")
    set_aside(StagingArea(spool), name, into="conflicts", why="the repo holds other content")
    words = ("retry-failed", "--from-conflicts", *SPOOL)
    ran = run(*words, "--json", cwd=tmp_path)
    assert ran.code == 0
    document = ran.document()
    new_path = str(document["new_path"])
    assert document == {
        "path_in_repo": path("a2"),
        "reason": "the repo holds other content",
        "outcome": "moved",
        "new_path": new_path,
    }
    assert ran.err == f"its rows wait as {new_path}\n"
    assert new_path != path("a2")
    back = pl.read_parquet(spool / "pending" / new_path.replace("/", "__"))
    assert back.drop("run_id").equals(expected)
    assert run(*words, cwd=tmp_path) == Ran(0, "", "nothing to retry\n")
    both = run(*words, "--from-rejected", cwd=tmp_path)
    assert both == Ran(
        2,
        "",
        "vulcan: --from-rejected and --from-conflicts go one at a time\n"
        "  safe: nothing was changed\n  next: vulcan retry-failed --help\n",
    )


def test_a_name_of_several_lines_is_one_line(tmp_path: Path, spool: Path) -> None:
    name = "a\nb\t\x1b[31m.parquet"
    (spool / "pending" / name).write_text("no shard")
    set_aside(StagingArea(spool), name, into="rejected", why="no footer at its end")
    ran = run("retry-failed", "--from-rejected", "--dry-run", *SPOOL, cwd=tmp_path)
    assert ran == Ran(0, "a\\nb\\t\\x1b[31m.parquet\tno footer at its end\n", "")


def test_while_a_sync_is_at_work(tmp_path: Path, spool: Path) -> None:
    before = tree(spool / "failed")
    with SyncLock(StagingArea(spool)):
        for words in (["retry-failed"], ["trim-synced", *REPO, "--older-than", "1d"]):
            ran = vulcan(*words, *SPOOL, home=tmp_path)
            assert ran == Ran(
                7,
                "",
                f"vulcan: another sync is at work: process {os.getpid()} on "
                f"{os.uname().nodename}\n"
                "  safe: that sync goes on, and so do the workers\n"
                "  next: vulcan status --staging-dir spool\n",
            )
    assert tree(spool / "failed") == before


WITHOUT = {
    "retry-failed": [],
    "retry-failed --from-rejected": [],
    "retry-failed --from-rejected --dry-run": [],
    "retry-failed --from-conflicts": [],
    "trim-synced": [*REPO, "--older-than", "1d"],
}


@pytest.mark.parametrize(("command", "more"), WITHOUT.items(), ids=WITHOUT)
def test_without_a_staging_directory(tmp_path: Path, command: str, more: list[str]) -> None:
    words = [*command.split(), *more]
    assert run(*words, cwd=tmp_path).code == 4
    ran = run(*words, "--staging-dir", "nowhere", cwd=tmp_path)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines()[0] == "vulcan: there is no folder nowhere"
    assert tree(tmp_path) == {}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Three published shards; `x` is the oldest by its confirmed commit, `z` the newest."""
    for number, run_id in enumerate(("x", "y", "z"), start=1):
        staged(tmp_path, run_id, rows(number))
        ran = run("sync", *SPOOL, *REPO, "--create-repo", cwd=tmp_path)
        assert ran == Ran(0, "committed=1 failed=0 remaining=0 commits=1\n", "")
    ledger = tmp_path / "spool/_vulcan/ledger.jsonl"
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    now = time.time()
    for days, entry in zip((40, 20, 0), entries, strict=True):
        entry["time"] = now - days * 86_400
    ledger.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return tmp_path / "spool"


def left(spool: Path) -> list[str]:
    found = spool.glob("synced/*.parquet")
    return sorted(each.stem.rpartition("_")[2] for each in found)


def sizes(spool: Path) -> dict[str, int]:
    return {run_id: shard(spool, "synced", run_id).stat().st_size for run_id in left(spool)}


def test_by_age(tmp_path: Path, published: Path) -> None:
    size = sizes(published)
    before = tree(tmp_path)
    month = ("trim-synced", *SPOOL, *REPO, "--older-than", "30d")
    would = run(*month, "--dry-run", cwd=tmp_path)
    assert would == Ran(0, f"{path('x')}\tdue\n", f"would free {format_size(size['x'])}\n")
    assert tree(tmp_path) == before
    done = vulcan(*month, home=tmp_path)
    assert done == Ran(0, f"{path('x')}\tdeleted\n", f"freed {format_size(size['x'])}\n")
    assert left(published) == ["y", "z"]
    assert names(published / "synced") == [*pair("y"), *pair("z")]
    assert run(*month, cwd=tmp_path) == Ran(0, "", "freed 0 B\n")
    # Rows are still to be had.
    count = run("query", *SPOOL, *REPO, "--count", "-q", cwd=tmp_path)
    assert count == Ran(0, "6\n", "")


def test_by_bytes_the_oldest_go_first(tmp_path: Path, published: Path) -> None:
    size = sizes(published)
    words = ("trim-synced", *SPOOL, *REPO, "--keep-bytes", str(size["z"]), "--json")
    ran = run(*words, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, f"freed {format_size(size['x'] + size['y'])}\n")
    assert [json.loads(line) for line in ran.out.splitlines()] == [
        {"path_in_repo": path(run_id), "bytes": size[run_id], "outcome": "deleted"}
        for run_id in ("x", "y")
    ]
    assert left(published) == ["z"]
    assert run(*words, "-q", cwd=tmp_path) == Ran(0, "", "")
    both = ("trim-synced", *SPOOL, *REPO, "--keep-bytes", "0", "--older-than", "900d", "-q")
    assert run(*both, cwd=tmp_path) == Ran(0, f"{path('z')}\tdeleted\n", "")
    assert left(published) == []


def test_each_shard_is_told_when_it_is_deleted(tmp_path: Path, published: Path) -> None:
    words = ("trim-synced", *SPOOL, *REPO, "--keep-bytes", "0")
    assert to_a_full_disk(*words, home=tmp_path) == FULL
    # What could not be told of any more is still there.
    assert left(published) == ["y", "z"]


def test_sigterm_lets_it_finish_the_shard_at_hand(tmp_path: Path, published: Path) -> None:
    # Who tells of a shard waits here for room in the pipe: the signal comes between two shards.
    reader, writer = os.pipe()
    full = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"-" * full)
    words = ("trim-synced", "--staging-dir", str(published), *REPO, "--keep-bytes", "0", "-q")
    process = subprocess.Popen(
        [*VULCAN, *words], stdout=writer, stderr=subprocess.PIPE, env=clean(tmp_path), cwd=tmp_path
    )
    os.close(writer)
    while len(left(published)) == 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    with os.fdopen(reader, "rb") as stdout:
        out = stdout.read()[full:]
    _, err = process.communicate()
    assert (process.returncode, err, out) == (0, b"", f"{path('x')}\tdeleted\n".encode())
    assert left(published) == ["y", "z"]


def test_sigterm_ends_it_while_the_hub_is_silent(tmp_path: Path, hub: LocalHub) -> None:
    staged(tmp_path, "x", rows(1))
    env = hub.client_env(home=tmp_path)
    there = (*SPOOL, "--repo", NAME)
    assert vulcan("sync", *there, "-q", home=tmp_path, env=env) == Ran(0, "", "")
    hub.add_faults(Fault("hang", "/paths-info/"))
    process = subprocess.Popen(
        [*VULCAN, "trim-synced", *there, "--keep-bytes", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean(tmp_path) | env,
        cwd=tmp_path,
    )
    assert hub.await_held() == 1
    process.send_signal(signal.SIGTERM)
    assert (*process.communicate(), process.returncode) == ("", "freed 0 B\n", 0)
    assert hub.release() == 1
    assert (left(tmp_path / "spool"), has_lease(StagingArea(tmp_path / "spool"))) == (["x"], False)


@pytest.mark.usefixtures("published")
def test_sigterm_ends_a_rehearsal_of_trim_synced(tmp_path: Path) -> None:
    words = ("trim-synced", *SPOOL, *REPO, "--keep-bytes", "0", "--dry-run", "-q")
    assert at_sigterm("write", *words, home=tmp_path) == Ran(0, f"{path('x')}\tdue\n", "")


def test_what_the_repo_does_not_confirm_stays(tmp_path: Path, published: Path) -> None:
    size = sizes(published)
    there = tmp_path / "repo" / path("x")
    there.chmod(0o600)
    there.write_bytes(b"other content")
    ran = run("trim-synced", *SPOOL, *REPO, "--keep-bytes", "0", cwd=tmp_path)
    assert ran.code == 0
    assert left(published) == ["x"]
    assert ran.out == (f"{path('x')}\tunconfirmed\n{path('y')}\tdeleted\n{path('z')}\tdeleted\n")
    assert ran.err == (
        "vulcan: not confirmed, so not deleted: 1 shard\n"
        f"freed {format_size(size['y'] + size['z'])}\n"
    )


def test_a_shard_of_unknown_age_is_kept(tmp_path: Path, published: Path) -> None:
    (published / "_vulcan/ledger.jsonl").unlink()
    before = sizes(published)
    for words in (["--older-than", "0s"], ["--keep-bytes", "0"]):
        assert run("trim-synced", *SPOOL, *REPO, *words, "-q", cwd=tmp_path) == Ran(0, "", "")
    assert sizes(published) == before


WRONG = {
    "nothing": ([], "say what to delete: --older-than AGE, --keep-bytes SIZE, or both"),
    "age": (
        ["--older-than", "x"],
        "'x' is no duration: write 90s, 15m, 2h, 30d or 1h30m",
    ),
    "age without a unit": (["--older-than", "30"], "'30' has no unit: write 30d for days"),
    "size": (["--keep-bytes", "-1"], "'-1' is no size: write 4096, 500MB, 10GB or 512MiB"),
}


@pytest.mark.parametrize(("words", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_usage(tmp_path: Path, spool: Path, words: list[str], sentence: str) -> None:
    before = tree(spool)
    assert run("trim-synced", *SPOOL, *REPO, *words, cwd=tmp_path) == Ran(
        2,
        "",
        f"vulcan: {sentence}\n  safe: nothing was changed\n  next: vulcan trim-synced --help\n",
    )
    assert tree(spool) == before


def test_a_repo_that_is_gone_confirms_nothing(tmp_path: Path, published: Path) -> None:
    before = tree(published / "synced")
    (tmp_path / "repo").rename(tmp_path / "elsewhere")
    ran = run("trim-synced", *SPOOL, *REPO, "--keep-bytes", "0", cwd=tmp_path)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines()[0] == f"vulcan: there is no repo file://{tmp_path}/repo"
    assert run("trim-synced", *SPOOL, "--keep-bytes", "0", cwd=tmp_path).code == 4
    assert tree(published / "synced") == before


def test_a_rehearsal_of_several_repos_deletes_no_more_than_the_run(
    tmp_path: Path, published: Path
) -> None:
    staged(tmp_path, "w", rows(4))
    other = ("--repo", "./other")
    assert run("sync", *SPOOL, *other, "--create-repo", "-q", cwd=tmp_path).code == 0
    size = sizes(published)
    keep = str(sum(size.values()) - size["x"])
    words = ("trim-synced", *SPOOL, *REPO, *other, "--keep-bytes", keep, "-q")
    assert run(*words, "--dry-run", cwd=tmp_path) == Ran(0, f"{path('x')}\tdue\n", "")
    assert run(*words, cwd=tmp_path) == Ran(0, f"{path('x')}\tdeleted\n", "")


def test_what_other_repos_confirmed_is_told(tmp_path: Path, published: Path) -> None:
    staged(tmp_path, "w", rows(4))
    other = ("--repo", "./other")
    assert run("sync", *SPOOL, *other, "--create-repo", "-q", cwd=tmp_path).code == 0
    size = sizes(published)
    kept = [f"{path(run_id)}\telsewhere\n" for run_id in ("x", "y", "z")]
    words = ("trim-synced", *SPOOL, *other)
    rehearsed = run(*words, "--keep-bytes", "0", "--dry-run", cwd=tmp_path)
    assert rehearsed == Ran(
        0,
        "".join([f"{path('w')}\tdue\n", *kept]),
        f"would free {format_size(size['w'])}; 3 shards of other repos stay\n",
    )
    aged = run(*words, "--older-than", "30d", cwd=tmp_path)
    assert aged == Ran(0, kept[0], "freed 0 B; 1 shard of another repo stays\n")
    # What is due elsewhere too is the oldest, after what is deleted.
    room = size["y"] + size["z"]
    few = run(*words, "--keep-bytes", str(room), "--json", "-q", cwd=tmp_path)
    assert (few.code, few.err) == (0, "")
    assert [json.loads(line) for line in few.out.splitlines()] == [
        {"path_in_repo": path("w"), "bytes": size["w"], "outcome": "deleted"},
        {"path_in_repo": path("x"), "bytes": size["x"], "outcome": "elsewhere"},
    ]
    assert left(published) == ["x", "y", "z"]
    assert run(*words, *REPO, "--keep-bytes", "0", cwd=tmp_path) == Ran(
        0,
        "".join(f"{path(run_id)}\tdeleted\n" for run_id in ("x", "y", "z")),
        f"freed {format_size(size['x'] + size['y'] + size['z'])}\n",
    )


def test_a_repo_that_never_was_is_not_set_up(tmp_path: Path, published: Path) -> None:
    before = tree(published / "synced")
    words = ("trim-synced", *SPOOL, "--repo", "./none", "--keep-bytes", "0")
    for more in ((), ("-q",)):
        ran = run(*words, *more, cwd=tmp_path)
        assert (ran.code, ran.out) == (4, "")
        assert ran.err.splitlines()[0] == f"vulcan: there is no repo file://{tmp_path}/none"
    assert tree(published / "synced") == before
    # What was done with another repo before that is told.
    both = run("trim-synced", *SPOOL, *REPO, *words[3:], "-q", cwd=tmp_path)
    assert (both.code, both.out) == (
        4,
        "".join(f"{path(run_id)}\tdeleted\n" for run_id in ("x", "y", "z")),
    )


def test_a_full_disk_gets_room(tmp_path: Path, small_disk: Path) -> None:
    for number, run_id in enumerate(("x", "y"), start=1):
        staged(tmp_path, run_id, rows(number))
    spool = small_disk / "spool"
    shutil.copytree(tmp_path / "spool", spool)
    there = ("--staging-dir", str(spool), *REPO)
    assert run("sync", *there, "--create-repo", "-q", cwd=tmp_path) == Ran(0, "", "")
    freed = format_size(sum(sizes(spool).values()))
    fill(small_disk)
    trim = ("trim-synced", *there, "--keep-bytes", "0")
    told = f"{path('x')}\tdeleted\n{path('y')}\tdeleted\n"
    assert vulcan(*trim, home=tmp_path) == Ran(0, told, f"freed {freed}\n")
    assert left(spool) == []
    # Nor does the next one need room.
    fill(small_disk)
    assert vulcan(*trim, home=tmp_path) == Ran(0, "", "freed 0 B\n")
    assert run("query", *there, "--count", "-q", cwd=tmp_path) == Ran(0, "3\n", "")
