import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from itertools import groupby
from pathlib import Path
from typing import cast

import pytest

import vulcan_cli
from tests.cli_in_process import run
from tests.cli_shards import shard, staged
from tests.cli_support import CHECKOUT, VULCAN, Ran, clean, on_terminal, vulcan
from tests.vacua_support import rows
from vulcan_cli.cli.metrics import METRICS
from vulcan_cli.hub.open import key_without_client
from vulcan_cli.staging.area import STATES, StagingArea
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
        "rows": None,
        "oldest": min((path.stat().st_mtime for path in found), default=None),
    }


def budget(**changed: object) -> dict[str, object]:
    spent: list[float] = []
    known = {"budget": 90, "limit": 90, "window_s": 3600.0, "next_slot_at": None, "spent_at": spent}
    return {**known, **changed}


def whole(spool: Path, **changed: object) -> dict[str, object]:
    return {
        "staging_dir": str(spool),
        "pending": of_state(spool, "pending"),
        "synced": of_state(spool, "synced"),
        "failed": of_state(spool, "failed"),
        "rejected": 0,
        "conflicts": 0,
        "repo": None,
        "budget": budget(remaining=None),
        "sync": None,
        "wider_than_needed": [],
        "crowded": [],
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
        budget=budget(remaining=88, spent_at=[now - 60.0, now]),
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
        "limit": 1,
        "window_s": 3600.0,
        "remaining": 0,
        "next_slot_at": stamp + 3600.0,
        "spent_at": [stamp],
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


def test_when_commits_were_made_and_what_is_crowded(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    StagingArea(spool).create()
    now = time.time()
    stamps = [now - 3540, now - 1742, now - 1741, now - 1740, now - 60]
    (spool / "_commit_budget.json").write_text(
        json.dumps({"budget": 90, "window_s": 3600.0, "timestamps": stamps})
    )
    for number in range(9000):
        (spool / f"pending/h12_2__h11_3__bucket_5__run_{number}.parquet").touch()
    words = ("status", "--staging-dir", spool, "--repo", "me/vacua")
    crowded = (
        "vulcan: folder h12_2/h11_3/bucket_5 of the repo has about 9,000 files, "
        "where the Hub asks for 10,000 at most"
    )
    below = ["  85 of 90 commits left in 1h, to me/vacua", "", "  sync: none at work"]
    below[1] = f"  |{'-':15}@{'-':>14}| 1h ago to now"
    mail = run(*words, cwd=tmp_path)
    assert (mail.out.splitlines()[4:], mail.err) == (below, f"{crowded}\n")
    below[1] = f"  |{'▃':·<15}█{'▃':·>14}| 1h ago to now"
    env = clean(tmp_path, LC_ALL="C.UTF-8", NO_COLOR="1", COLUMNS="120")
    code, seen = on_terminal([*VULCAN, *map(str, words)], env, tmp_path)
    assert (code, seen.splitlines()[4:]) == (0, [*below, crowded])
    assert vulcan(*words, "--json", home=tmp_path).document()["crowded"] == [
        {"folder": "h12_2/h11_3/bucket_5", "files": 9000, "most": 10000}
    ]


def test_rows(tmp_path: Path) -> None:
    staged(tmp_path, "a", rows(3))
    here = ("--staging-dir", "spool", "--repo", "./repo")
    assert run("sync", *here, "--create-repo", cwd=tmp_path).code == 0
    staged(tmp_path, "b", rows(4))

    def told(*words: str) -> list[object]:
        document = run("status", *here, *words, "--json", cwd=tmp_path).document()
        return [cast("dict[str, object]", document[state])["rows"] for state in STATES]

    assert told() == [None, 3, None]
    assert told("--rows") == [4, 3, 0]
    table = run("status", *here, "--rows", cwd=tmp_path).out.splitlines()[1:4]
    assert [re.sub(r"rows .*", "rows", line) for line in table] == [
        "  pending   1 shard  4 rows",
        "  synced    1 shard  3 rows",
        "  failed   0 shards  0 rows",
    ]


def test_a_shard_whose_rows_cannot_be_counted_is_named(tmp_path: Path) -> None:
    staged(tmp_path, "a", rows(3))
    staged(tmp_path, "b", rows(4))
    bad = shard(tmp_path / "spool", "pending", "a")
    bad.chmod(0o640)
    bad.write_bytes(b"PAR1 and then nothing")
    here = ("status", "--staging-dir", "spool")
    assert run(*here, cwd=tmp_path).code == 0
    told = (
        f"vulcan: skipped: {bad.name} is not a shard: unreadable as parquet: no footer at its end\n"
    )
    for words in ([], ["--quiet"], ["--json"], ["--metrics", "vulcan.prom"]):
        ran = run(*here, "--rows", *words, cwd=tmp_path)
        assert (ran.code, ran.err) == (3, told)
    document = run(*here, "--rows", "--json", cwd=tmp_path).document()
    assert [cast("dict[str, object]", document[state])["rows"] for state in STATES] == [4, 0, 0]
    assert (
        'vulcan_rows{staging_dir="spool",state="pending"} 4'
        in (tmp_path / "vulcan.prom").read_text().splitlines()
    )


def test_for_prometheus(tmp_path: Path, spool: Path) -> None:
    file = tmp_path / "vulcan.prom"
    file.write_text("old")
    words = ("status", "--staging-dir", spool, "--repo", "me/vacua")
    assert run(*words, "--metrics", file, cwd=tmp_path) == Ran(0, "", "")
    shown = run(*words, "--metrics", "-", cwd=tmp_path).out
    text = file.read_text()
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    steady = [re.sub(r"^(vulcan_looked_at.*) .*", r"\1 NOW", line) for line in samples]
    where = f'staging_dir="{spool}"'
    repo = f'{where},repo="me/vacua"'
    states = {state: of_state(spool, state) for state in STATES}
    assert steady == [
        f'vulcan_info{{{where},version="{vulcan_cli.__version__}"}} 1',
        f"vulcan_looked_at_timestamp_seconds{{{where}}} NOW",
        *(f'vulcan_shards{{{where},state="{s}"}} {of["shards"]}' for s, of in states.items()),
        *(f'vulcan_shard_bytes{{{where},state="{s}"}} {of["bytes"]}' for s, of in states.items()),
        *(
            f'vulcan_oldest_shard_timestamp_seconds{{{where},state="{s}"}} {of["oldest"]!r}'
            for s, of in states.items()
        ),
        f'vulcan_set_aside{{{where},why="rejected"}} 0',
        f'vulcan_set_aside{{{where},why="conflict"}} 0',
        f"vulcan_commit_budget{{{repo}}} 90",
        f"vulcan_commit_budget_remaining{{{repo}}} 90",
        f"vulcan_commit_window_seconds{{{repo}}} 3600",
        f"vulcan_sync_running{{{where}}} 0",
        f"vulcan_wide_folders{{{where}}} 0",
        f"vulcan_crowded{{{where}}} 0",
    ]
    assert text.endswith("\n")
    assert len(shown.splitlines()) == len(text.splitlines())
    names = list(dict.fromkeys(line.partition("{")[0] for line in samples))
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert comments == [
        line
        for name in names
        for line in (f"# HELP {name} {METRICS[name]}", f"# TYPE {name} gauge")
    ]


@pytest.mark.parametrize("option", ["--json", "--watch"])
def test_metrics_on_stdout_stand_there_alone(tmp_path: Path, spool: Path, option: str) -> None:
    ran = run("status", "--staging-dir", spool, "--metrics", "-", option, cwd=tmp_path)
    sentence = f"--metrics - and {option} both write to stdout: name a file, or leave out one"
    assert (ran.code, ran.out) == (2, "")
    if option == "--json":
        assert ran.error()["message"] == sentence
    else:
        assert ran.err == (
            f"vulcan: {sentence}\n  safe: nothing was changed\n  next: vulcan status --help\n"
        )


def test_a_metrics_file_that_cannot_be_written(tmp_path: Path, spool: Path) -> None:
    file = tmp_path / "no" / "vulcan.prom"
    ran = run("status", "--staging-dir", spool, "--metrics", file, cwd=tmp_path)
    assert (ran.code, ran.err.splitlines()[0]) == (6, f"vulcan: {file}: No such file or directory")


def watched(env: dict[str, str], spool: Path, ending: signal.Signals) -> tuple[int, str]:
    """Watch on a terminal until it was drawn with no shard, and then with one."""
    main, side = pty.openpty()
    words = [*VULCAN, "status", "--watch", "--staging-dir", "spool"]
    process = subprocess.Popen(
        words, stdin=side, stdout=side, stderr=side, env=env, cwd=spool.parent
    )
    os.close(side)
    seen = b""
    while b"sync: none at work" not in seen.partition(b" 1 shard")[2]:
        seen += os.read(main, 65536)
        (spool / "pending" / "h12_2__h11_3__bucket_5__run_a.parquet").touch()
    process.send_signal(ending)
    code = process.wait(timeout=60)
    with contextlib.suppress(OSError):
        while data := os.read(main, 65536):
            seen += data
    os.close(main)
    return code, seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("ending", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_is_redrawn_in_its_place_and_leaves_the_cursor(
    tmp_path: Path, ending: signal.Signals, status: int
) -> None:
    spool = tmp_path / "spool"
    StagingArea(spool).create()
    env = clean(tmp_path, TERM="xterm", COLUMNS="27", LINES="10")
    code, seen = watched(env, spool, ending)
    assert code == status
    blocks = [
        [
            "spool",
            f"  pending  {shards}  0 B" + oldest,
            "  synced   0 shards  0 B",
            "  failed   0 shards  0 B",
            "  no repo is set",
            "  sync: none at work",
        ]
        for shards, oldest in (("0 shards", ""), (" 1 shard", "  …"))
    ]
    drawn = ["".join(f"{line}\x1b[K\n" for line in block) + "\x1b[J" for block in blocks]
    assert seen[:6] + seen[-6:] == "\x1b[?25l\x1b[?25h"
    # A slow machine may see each more than once.
    assert [block for block, _ in groupby(seen[6:-6].split("\x1b[6F"))] == drawn


def test_a_dumb_terminal_gets_one_block_below_the_other(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    StagingArea(spool).create()
    code, seen = watched(clean(tmp_path, TERM="dumb"), spool, signal.SIGINT)
    assert code == 130
    assert "\x1b" not in seen
    *blocks, rest = seen.split("\n\n")
    assert ({block.splitlines()[0] for block in blocks}, rest) == ({"spool"}, "")
    assert len(blocks) >= 2


def test_watching_for_a_script_ends_with_its_reader(tmp_path: Path, spool: Path) -> None:
    command = f"{' '.join(VULCAN)} status --watch --json --staging-dir {spool} | head -n 2"
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env=clean(tmp_path),
        check=True,
    )
    *documents, code = done.stdout.splitlines()
    assert [json.loads(line) for line in documents] == [whole(spool)] * 2
    assert (code, done.stderr) == ("0", "")


def test_nothing_is_changed(tmp_path: Path, spool: Path) -> None:
    def look() -> list[tuple[str, int, int]]:
        found = sorted(spool.rglob("*"))
        return [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in (spool, *found)]

    before = look()
    status(spool, tmp_path, "--repo", "me/vacua")
    assert look() == before


@pytest.mark.parametrize(
    ("words", "kind", "message", "cure"),
    [
        (
            "",
            {"kind": "NotSetUp"},
            "no staging directory is set",
            "export VULCAN_STAGING_DIR=/shared/folder",
        ),
        (
            " --staging-dir /nonexistent",
            {"kind": "StagingMissing", "root": "/nonexistent"},
            "there is no folder /nonexistent",
            "vulcan init /nonexistent",
        ),
    ],
)
def test_without_a_staging_directory(
    tmp_path: Path, words: str, kind: dict[str, str], message: str, cure: str
) -> None:
    ran = vulcan("status", "--json", *words.split(), home=tmp_path)
    assert (ran.code, ran.out) == (4, "")
    assert ran.error() == {
        "exit_code": 4,
        "message": message,
        "safe": "nothing was changed",
        "next": [cure, f"vulcan status --json{words}"],
        "setting": "staging_dir",
        **kind,
    }


def test_a_repo_that_is_none(tmp_path: Path, spool: Path) -> None:
    ran = vulcan("status", "--staging-dir", spool, "--repo", "vacua", home=tmp_path)
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        "vulcan: a repo is written owner/name, file:///folder or ./folder, not 'vacua'",
    )


def test_a_repo_that_takes_less_than_the_budget(tmp_path: Path, spool: Path) -> None:
    now = time.time()
    spent = Budget(StagingArea(spool), key_without_client("me/vacua"), 90, 3600.0, lambda: now)
    spent.spend()
    spent.hear(commits_per_hour=3, closed_until=now + 1830)
    assert status(spool, tmp_path, "--repo", "me/vacua")["budget"] == budget(
        limit=3, remaining=0, next_slot_at=now + 1830, spent_at=[now]
    )
    told = run("status", "--staging-dir", spool, "--repo", "me/vacua", cwd=tmp_path).out
    assert told.splitlines()[-4:-2] == [
        "  0 of 3 commits left in 1h, next in 30m, to me/vacua",
        "  me/vacua said that it takes no more; the budget is 90",
    ]


def test_the_peers_stamps_are_those_of_the_main_repo(tmp_path: Path, spool: Path) -> None:
    stamps = [time.time() - 60.0]
    (spool / "_commit_budget.json").write_text(
        json.dumps({"budget": 90, "window_s": 3600.0, "timestamps": stamps})
    )
    env = {"VULCAN_REPO": "me/vacua"}
    words = ("status", "--staging-dir", spool, "--json")
    for more, left in ((), 89), (("--repo", "me/other"), 90), (("--repo", "ME/vacua"), 89):
        found = run(*words, *more, cwd=tmp_path, env=env).document()["budget"]
        assert found == budget(remaining=left, spent_at=stamps if left < 90 else [])
    # Where nothing else is set, the one that is named is the main one.
    alone = run(*words, "--repo", "me/other", cwd=tmp_path).document()["budget"]
    assert alone == budget(remaining=89, spent_at=stamps)
