import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_shards import shard, staged
from tests.cli_support import VULCAN, Ran, clean, modules_after, on_full_disk, vulcan
from tests.folders import tree
from tests.hub_support import disk_of, read_only
from tests.vacua_support import GEOMETRY, rows
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.lock import SyncLock

HERE = ("--staging-dir", "spool", "--repo", "./repo")
TOKEN = "hf_" + "abcdefghij" * 3
IDS = ("a", "b", "c", "d", "e")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A staging directory with five shards that wait."""
    for number, run_id in enumerate(IDS, start=1):
        staged(tmp_path, run_id, rows(number))
    return tmp_path / "spool"


def names(folder: Path) -> list[str]:
    """The run ids of the shards in a state folder."""
    found = (re.search(r"__run_(.*)\.parquet$", path.name) for path in folder.iterdir())
    return sorted(match[1] for match in found if match)


def committed(repo: Path) -> dict[str, bytes | None]:
    """The shards that stand in a directory repo."""
    return {path: data for path, data in tree(repo).items() if path.endswith(".parquet")}


def summary(done: int, remaining: int, commits: int, failed: int = 0) -> str:
    return f"committed={done} failed={failed} remaining={remaining} commits={commits}\n"


def whole(**changed: object) -> dict[str, object]:
    return {
        "committed": 0,
        "failed": 0,
        "rejected": 0,
        "conflicts": 0,
        "remaining": 0,
        "in_review": 0,
        "pull_request": None,
        "pull_requests": {},
        "commits": [],
        "errors": [],
        "next_slot_at": None,
        **changed,
    }


def test_from_pending_through_a_repo_that_has_to_be_made(tmp_path: Path, spool: Path) -> None:
    before = tree(spool / "pending")
    missing = (
        f"vulcan: there is no repo file://{tmp_path}/repo\n"
        "  safe: 5 shards that the repo has not confirmed are in pending/\n"
        "  next: vulcan sync --create-repo --staging-dir spool --repo ./repo\n"
    )
    assert run("sync", *HERE, cwd=tmp_path) == Ran(4, summary(0, 5, 0), missing)
    assert run("sync", *HERE, "--quiet", cwd=tmp_path) == Ran(
        4, "", missing.replace("./repo\n", "./repo --quiet\n")
    )
    assert tree(spool / "pending") == before
    assert not (tmp_path / "repo").exists()

    done = vulcan("sync", "--create-repo", *HERE, home=tmp_path)
    assert done == Ran(0, summary(5, 0, 1), "")
    assert committed(tmp_path / "repo") == {
        GEOMETRY.path_in_repo(run_id): before[shard(spool, "pending", run_id).name]
        for run_id in IDS
    }
    assert tree(spool / "synced") == before
    assert tree(spool / "pending") == {}
    assert run("sync", *HERE, cwd=tmp_path) == Ran(0, summary(0, 0, 0), "")
    assert run("sync", *HERE, "-q", cwd=tmp_path) == Ran(0, "", "")
    empty = run("sync", *HERE, "--json", "-q", cwd=tmp_path)
    assert (empty.code, empty.err, empty.document()) == (0, "", whole())


def test_batches_and_what_their_commits_say(tmp_path: Path, spool: Path) -> None:
    words = ("--create-repo", "--max-batch", "2", "--commit-prefix", "axioverse", "--json")
    ran = run("sync", *HERE, *words, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    repo = DirectoryRepo(tmp_path / "repo")
    log = repo.log(10)
    assert ran.document() == whole(committed=5, commits=[each.id for each in reversed(log)])
    assert [each.message for each in log] == [
        "axioverse, 1 shard",
        "axioverse, 2 shards",
        "axioverse, 2 shards",
    ]
    assert names(spool / "synced") == list(IDS)


def test_the_budget_ends_a_run_well_and_says_when_to_come_back(tmp_path: Path, spool: Path) -> None:
    one = ("--create-repo", "--max-batch", "2", "--budget", "1", "--window-s", "1h")
    began = time.time()
    ran = run("sync", *HERE, *one, cwd=tmp_path)
    assert (ran.code, ran.out) == (0, summary(2, 3, 1))
    told = re.fullmatch(r"the next commit may be at (.*) UTC\n", ran.err)
    assert told is not None
    moment = datetime.strptime(told[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    assert began + 3599 <= moment <= time.time() + 3601
    before = tree(spool / "pending")

    assert run("sync", *HERE, *one, "-q", cwd=tmp_path) == Ran(0, "", "")
    late = run("sync", *HERE, *one, "--error-on-remaining", "--json", "-q", cwd=tmp_path)
    assert (late.code, late.err) == (5, "")
    document = late.document()
    slot = document.pop("next_slot_at")
    assert isinstance(slot, float)
    assert int(slot) == int(moment)
    assert document == {key: each for key, each in whole(remaining=3).items() if "slot" not in key}
    assert tree(spool / "pending") == before

    more = ("--budget", "9", "--error-on-remaining")
    assert run("sync", *HERE, *more, cwd=tmp_path) == Ran(0, summary(3, 0, 1), "")


def test_waiting_for_slots(tmp_path: Path, spool: Path) -> None:
    words = ("--create-repo", "--max-batch", "3", "--budget", "1", "--window-s", "0.5", "--wait")
    assert run("sync", *HERE, *words, cwd=tmp_path) == Ran(0, summary(5, 0, 2), "")
    assert names(spool / "synced") == list(IDS)


def test_a_rehearsal(tmp_path: Path, spool: Path) -> None:
    bad = spool / "pending" / "h12_2__h11_3__bucket_0__run_x.parquet"
    bad.write_bytes(b"no shard")
    os.utime(bad, (0, 0))
    before = tree(tmp_path)
    # Nothing is asked of the Hub: there is no such repo, and no token.
    nothing = ("--staging-dir", "spool", "--repo", "no/such", "--dry-run", "--no-reserve")
    ran = run("sync", *nothing, cwd=tmp_path)
    assert (ran.code, ran.out) == (3, summary(5, 0, 1))
    # The rest of it is the parquet reader's own words.
    assert ran.err.startswith(f"vulcan: {bad.name} would be rejected: ")
    would = ran.err.removeprefix("vulcan: ").rstrip("\n")
    few = run("sync", *nothing, "--max-batch", "2", "--budget", "2", "--json", cwd=tmp_path)
    assert (few.code, few.err) == (3, f"vulcan: {would}\n")
    assert few.document() == whole(
        committed=4, rejected=1, remaining=1, commits=[None, None], errors=[would]
    )
    waiting = run("sync", *nothing, "--max-batch", "2", "--budget", "2", "--wait", cwd=tmp_path)
    assert waiting == Ran(
        3,
        summary(4, 1, 2),
        "vulcan: --wait: a rehearsal counts one window of the budget, and does not wait\n"
        f"vulcan: {would}\n",
    )
    assert tree(tmp_path) == before

    reserved = run("sync", *nothing[:-1], cwd=tmp_path)
    assert reserved.out == summary(5, 0, 1)
    assert tree(spool / "pending") == tree_of(before, "spool/pending")
    status = run("status", *nothing[:4], "--json", cwd=tmp_path).document()
    budget = status["budget"]
    assert isinstance(budget, dict)
    assert budget["remaining"] == 89


def tree_of(held: dict[str, bytes | None], folder: str) -> dict[str, bytes | None]:
    start = f"{folder}/"
    return {path.removeprefix(start): data for path, data in held.items() if path.startswith(start)}


def test_a_second_sync_ends_at_once(tmp_path: Path, spool: Path) -> None:
    before = tree(spool / "pending")
    with SyncLock(StagingArea(spool)):
        host = os.uname().nodename
        second = vulcan("sync", *HERE, "--create-repo", home=tmp_path)
        assert second == Ran(
            7,
            "",
            f"vulcan: another sync is at work: process {os.getpid()} on {host}\n"
            "  safe: that sync goes on, and so do the workers\n"
            "  next: vulcan status --staging-dir spool\n",
        )
        # Cron mails what is said, and nothing is wrong.
        assert run("sync", *HERE, "--quiet", cwd=tmp_path) == Ran(7, "", "")
        # A rehearsal asks nobody, and staging goes on.
        rehearsed = run("sync", *HERE, "--dry-run", "--no-reserve", cwd=tmp_path)
        assert rehearsed == Ran(0, summary(5, 0, 1), "")
        staged(tmp_path, "f", rows(9))
    assert {**tree(spool / "pending"), **before} == tree(spool / "pending")
    assert run("sync", *HERE, "--create-repo", cwd=tmp_path) == Ran(0, summary(6, 0, 1), "")


def test_only_commits_to_the_main_repo_are_charged_to_the_peer(tmp_path: Path, spool: Path) -> None:
    peers = spool / "_commit_budget.json"
    env = {"VULCAN_REPO": "./main"}
    words = ("sync", "--create-repo", "--staging-dir", "spool", "--max-batch", "3")
    one = run(*words, "--budget", "1", "--repo", "./other", cwd=tmp_path, env=env)
    assert (one.code, one.out, peers.exists()) == (0, summary(3, 2, 1), False)
    two = run(*words, "--repo", "./other,./main", "--dry-run", cwd=tmp_path, env=env)
    assert (two.code, peers.exists()) == (0, False)
    assert run(*words, cwd=tmp_path, env=env) == Ran(0, summary(2, 0, 1), "")
    assert len(json.loads(peers.read_text())["timestamps"]) == 1


def started(cwd: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*VULCAN, "sync", *HERE, *words],
        env=clean(cwd),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_sigterm_ends_a_run_after_the_batch_at_hand(tmp_path: Path) -> None:
    frame = rows(80).with_columns(pl.Series("ks_id", range(80), pl.Int32), h11=272, h12=2)
    frame.write_parquet(tmp_path / "in")
    words = ("stage", "in", "--staging-dir", "spool", "--set", "date=X")
    assert run(*words, cwd=tmp_path).code == 0
    spool = tmp_path / "spool"
    before = tree(spool / "pending")
    process = started(tmp_path, ("--create-repo", "--max-batch", "1"))
    wait_for(lambda: any((spool / "synced").iterdir()))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    done = len(names(spool / "synced"))
    assert (process.returncode, out, err) == (0, summary(done, 80 - done, done), "")
    assert 0 < done < 80
    # Every shard is in one place, whole, and the repo has those that are in synced/.
    assert {**tree(spool / "pending"), **tree(spool / "synced")} == before
    assert len(committed(tmp_path / "repo")) == done
    assert list((spool / "_vulcan" / "journal").iterdir()) == []
    assert run("sync", *HERE, cwd=tmp_path) == Ran(0, summary(80 - done, 0, 1), "")


def test_it_stays_and_repeats_until_it_is_told_to_end(tmp_path: Path, spool: Path) -> None:
    process = started(tmp_path, ("--create-repo", "--every", "1m"))
    assert process.stdout is not None
    assert process.stdout.readline() == summary(5, 0, 1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
    assert names(spool / "synced") == [*IDS]

    process = started(tmp_path, ("--every", "1h"))
    assert process.stdout is not None
    assert process.stdout.readline() == summary(0, 0, 0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (
        130,
        "",
        "vulcan: interrupted\n"
        "  safe: what was done so far stands; the same command goes on from there\n"
        "  next: vulcan status --staging-dir spool\n",
    )
    for_a_while = run("sync", *HERE, "--every", "1m", "--max-duration", "1s", cwd=tmp_path)
    assert for_a_while == Ran(0, summary(0, 0, 0), "")


def test_bad_entries_do_not_hold_up_good_ones(tmp_path: Path, spool: Path) -> None:
    bad = "h12_2__h11_3__bucket_0__run_x.parquet"
    (spool / "pending" / bad).write_bytes(b"no shard")
    os.utime(spool / "pending" / bad, (0, 0))
    # The repo holds other rows under the name of b.
    (tmp_path / "other").mkdir()
    staged(tmp_path / "other", "b", rows(7))
    other = ("--staging-dir", "spool", "--repo", "../repo", "--create-repo")
    assert run("sync", *other, cwd=tmp_path / "other").out == summary(1, 0, 1)
    theirs = committed(tmp_path / "repo")

    ran = run("sync", *HERE, "--json", cwd=tmp_path)
    assert ran.code == 3
    document = ran.document()
    errors = document.pop("errors")
    assert isinstance(errors, list)
    rejected, conflict = errors
    assert rejected.startswith(f"{bad} is rejected: ")
    assert conflict == (
        f"{shard(spool, 'pending', 'b').name} is in conflict: "
        f"file://{tmp_path}/repo holds other content at this path"
    )
    assert ran.err == "".join(f"vulcan: {error}\n" for error in errors)
    commits = document.pop("commits")
    assert isinstance(commits, list)
    assert len(commits) == 1
    expected = whole(committed=4, rejected=1, conflicts=1)
    assert document == {key: expected[key] for key in document}
    assert names(spool / "synced") == ["a", "c", "d", "e"]
    assert names(spool / "pending") == []
    assert {**committed(tmp_path / "repo"), **theirs} == committed(tmp_path / "repo")
    again = run("sync", *HERE, cwd=tmp_path)
    assert again == Ran(0, summary(0, 0, 0), "")


@pytest.mark.parametrize("repos", [("./repo",), ("./repo", "./more")])
def test_files_that_are_too_young_to_judge_are_told(
    tmp_path: Path, spool: Path, repos: tuple[str, ...]
) -> None:
    named = [word for repo in repos for word in ("--repo", repo)]
    words = ("--staging-dir", "spool", "--create-repo", *named)
    assert run("sync", *words, "-q", cwd=tmp_path) == Ran(0, "", "")
    young = spool / "pending" / "h12_2__h11_3__bucket_0__run_x.parquet"
    young.write_bytes(b"no shard")
    one = "1 file in pending/, not a minute old, is no shard yet; the next sync looks again\n"
    assert run("sync", *words, cwd=tmp_path) == Ran(0, summary(0, 1, 0), one)
    assert run("sync", *words, "-q", cwd=tmp_path) == Ran(0, "", "")
    (spool / "pending" / "copied.parquet").write_bytes(b"no shard either")
    two = "2 files in pending/, not a minute old, are no shards yet; the next sync looks again\n"
    assert run("sync", *words, cwd=tmp_path) == Ran(0, summary(0, 2, 0), two)
    rehearsed = run("sync", *words, "--dry-run", "--no-reserve", cwd=tmp_path)
    assert rehearsed == Ran(0, summary(0, 2, 0), two)
    ran = run("sync", *words, "--json", cwd=tmp_path)
    assert (ran.code, ran.err, ran.document()) == (0, two, whole(remaining=2))

    for path in (spool / "pending").iterdir():
        os.utime(path, (0, 0))
    ran = run("sync", *words, "-q", cwd=tmp_path)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (3, "", 2)
    assert tree(spool / "pending") == {}


def test_settings_come_from_the_environment_and_several_repos_share(
    tmp_path: Path, spool: Path
) -> None:
    # Homes hang on the paths of the repos: two in a million runs leave one of them empty.
    for number, geometry in enumerate(f"h11={h11},h12=2" for h11 in range(3, 23)):
        staged(tmp_path, f"g{number}", rows(2 + number), geometry=geometry)
    env = {"VULCAN_STAGING_DIR": "spool", "VULCAN_REPO": "./one,./two"}
    ran = run("sync", "--create-repo", "--json", cwd=tmp_path, env=env)
    assert (ran.code, ran.err, ran.document()["committed"]) == (0, "", 25)
    one, two = (set(committed(tmp_path / name)) for name in ("one", "two"))
    assert (len(one | two), one & two) == (25, set())
    assert one
    assert two
    assert names(spool / "pending") == []


WRONG = {
    "every": (["--dry-run", "--every", "1h"], "a --dry-run does not stay: leave out --every"),
    "duration": (
        ["--dry-run", "--max-duration", "1h"],
        "a --dry-run does not stay: leave out --max-duration",
    ),
    "reserve": (["--no-reserve"], "--no-reserve goes with --dry-run"),
    "batch": (["--max-batch", "0"], "invalid value for '--max-batch': 0 is less than 1"),
    "no branch": (["--revision", ""], "invalid value for '--revision': it is empty"),
    "no name": (
        ["--revision", ".."],
        "invalid value for '--revision': no branch or commit is called '..'",
    ),
    "window": (
        ["--window-s", "soon"],
        "--window-s: 'soon' is no duration: write 90s, 15m, 2h, 30d or 1h30m",
    ),
    "time": (["--every", "x"], "'x' is no duration: write 90s, 15m, 2h, 30d or 1h30m"),
    "no time": (
        ["--every", "0"],
        "--every is at least 1m: a sync takes a slot of the commit budget",
    ),
    "short time": (
        ["--every", "59s"],
        "--every is at least 1m: a sync takes a slot of the commit budget",
    ),
    "repo": (
        ["--repo", "repo"],
        "a repo is written owner/name, file:///folder or ./folder, not 'repo'",
    ),
    "prefix": (["--commit-prefix", "a\nb"], "--commit-prefix: it must be one line of text"),
}


@pytest.mark.parametrize(("words", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_usage(tmp_path: Path, spool: Path, words: list[str], sentence: str) -> None:
    before = tree(spool)
    base = HERE[:2] if "--repo" in words else HERE
    assert run("sync", *base, *words, cwd=tmp_path) == Ran(
        2,
        "",
        f"vulcan: {sentence}\n  safe: nothing was changed\n  next: vulcan sync --help\n",
    )
    assert tree(spool) == before


NOT_APART = {
    "itself": ("./spool", "spool is the staging directory: a repo is a folder of its own"),
    "link": ("./link", "link is the staging directory: a repo is a folder of its own"),
    "file": (
        "file://{0}/spool",
        "{0}/spool is the staging directory: a repo is a folder of its own",
    ),
    "pending": (
        "./spool/pending",
        "the repo spool/pending is in a folder of vulcan's own in spool",
    ),
    "deeper": ("./link/synced/x", "the repo link/synced/x is in a folder of vulcan's own in spool"),
    "above": ("./spool/..", "the staging directory spool is in the repo spool/.."),
}


@pytest.mark.parametrize(("repo", "sentence"), NOT_APART.values(), ids=NOT_APART)
@pytest.mark.parametrize("words", [["sync"], ["sync", "--dry-run"], ["card", "--push"]])
@pytest.mark.usefixtures("spool")
def test_a_repo_that_is_not_apart_from_the_staging_directory(
    tmp_path: Path, words: list[str], repo: str, sentence: str
) -> None:
    (tmp_path / "link").symlink_to("spool")
    before = tree(tmp_path)
    there = ("--staging-dir", "spool", "--repo", repo.format(tmp_path))
    assert run(*words, *there, cwd=tmp_path) == Ran(
        2,
        "",
        f"vulcan: {sentence.format(tmp_path)}\n"
        f"  safe: nothing was changed\n  next: vulcan {words[0]} --help\n",
    )
    assert tree(tmp_path) == before


def test_a_repo_in_a_folder_of_the_staging_directory_that_is_not_vulcans(
    tmp_path: Path, spool: Path
) -> None:
    there = ("--staging-dir", "spool", "--repo", "./spool/repo", "--create-repo")
    assert run("sync", *there, cwd=tmp_path) == Ran(0, summary(5, 0, 1), "")
    assert len(committed(spool / "repo")) == 5
    assert names(spool / "synced") == list(IDS)


PROPOSALS = {
    "folder": (["--repo", "./repo"], "file://{0}/repo is a folder, which has no pull requests"),
    "branch": (
        ["--repo", "a/b", "--revision", "dev"],
        "a pull request goes to main, not to dev",
    ),
}


@pytest.mark.parametrize(("words", "sentence"), PROPOSALS.values(), ids=PROPOSALS)
def test_a_rehearsal_refuses_the_pull_requests_that_a_sync_refuses(
    tmp_path: Path, spool: Path, words: list[str], sentence: str
) -> None:
    before = tree(spool)
    asked = ("sync", "--staging-dir", "spool", "--create-pr", "--dry-run", *words)
    assert run(*asked, cwd=tmp_path) == Ran(
        2,
        "",
        f"vulcan: {sentence.format(tmp_path)}\n"
        "  safe: nothing was changed\n  next: vulcan sync --help\n",
    )
    assert tree(spool) == before


@pytest.mark.usefixtures("spool")
def test_what_is_not_set_up(tmp_path: Path) -> None:
    where = ("--staging-dir", "spool")
    safe = "  safe: nothing was changed\n"
    assert run("sync", *where, cwd=tmp_path) == Ran(
        4,
        "",
        f"vulcan: no repo is set\n{safe}"
        "  next: export VULCAN_REPO=owner/name\n  next: vulcan sync --staging-dir spool\n",
    )
    assert run("sync", *where, "--repo", "a/b", cwd=tmp_path) == Ran(
        4,
        "",
        "vulcan: there is no token to write to a/b with\n"
        "  safe: 5 shards that the repo has not confirmed are in pending/\n"
        "  next: hf auth login\n  next: vulcan sync --staging-dir spool --repo a/b\n",
    )
    nowhere = run("sync", "--staging-dir", "nowhere", "--repo", "./repo", cwd=tmp_path)
    assert (nowhere.code, nowhere.out) == (4, "")
    assert nowhere.err.splitlines()[0] == "vulcan: there is no folder nowhere"
    assert not (tmp_path / "nowhere").exists()


def test_a_hub_that_does_not_answer(tmp_path: Path, spool: Path) -> None:
    before = tree(spool / "pending")
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": TOKEN}
    words = ("sync", "--staging-dir", "spool", "--repo", "a/b", "--max-retries", "0")
    ran = vulcan(*words, "--json", home=tmp_path, env=env)
    assert (ran.code, ran.document()["remaining"]) == (5, 5)
    error = ran.error()
    assert (error["kind"], error["exit_code"]) == ("Unreachable", 5)
    assert error["next"] == [f"vulcan {' '.join(words)} --json"]
    assert TOKEN not in ran.out + ran.err
    assert tree(spool / "pending") == before


def test_a_repo_on_a_disk_that_is_read_only(tmp_path: Path, spool: Path) -> None:
    before = tree(spool / "pending")
    with disk_of("1m") as top:
        DirectoryRepo(top / "repo").preflight(create=True)
        read_only(top)
        to = ("--staging-dir", "spool", "--repo", top / "repo")
        ran = run("sync", *to, "-q", cwd=tmp_path)
        asked = run("doctor", *to, "-q", cwd=tmp_path)
    where = f"{top}/repo: Read-only file system"
    assert ran == Ran(
        6,
        "",
        f"vulcan: {where}\n"
        "  safe: what was already staged or confirmed stays so; nothing half-written counts\n"
        f"  next: findmnt -T {top}/repo\n"
        f"  next: vulcan sync --staging-dir spool --repo {top}/repo -q\n",
    )
    assert (asked.code, asked.out.splitlines()[-2:], asked.err) == (
        6,
        [
            f"fail  repo {top}/repo: {where}",
            f"      cure: findmnt -T {top}/repo, then vulcan doctor",
        ],
        "",
    )
    assert tree(spool / "pending") == before


def test_a_full_disk(tmp_path: Path, spool: Path) -> None:
    before = tree(spool / "pending")
    assert run("sync", *HERE, "--dry-run", "--no-reserve", cwd=tmp_path).code == 0
    ran = on_full_disk("sync", *HERE, "--create-repo", home=tmp_path, blocks=0)
    assert (ran.code, ran.out) == (6, "")
    sentence, *rest = ran.err.splitlines()
    place, _, reason = sentence.removeprefix("vulcan: ").partition(": ")
    assert reason == "File too large"
    assert rest == [
        "  safe: what was already staged or confirmed stays so; nothing half-written counts",
        f"  next: df -h {place} && df -i {place}",
        "  next: vulcan status --staging-dir spool",
    ]
    assert tree(spool / "pending") == before
    assert run("sync", *HERE, "--create-repo", cwd=tmp_path) == Ran(0, summary(5, 0, 1), "")


def test_what_stands_in_the_place_of_the_lock_is_named(tmp_path: Path, spool: Path) -> None:
    (spool / "_vulcan/sync.lock").mkdir(parents=True)
    ran = run("sync", *HERE, "--create-repo", cwd=tmp_path)
    assert ran == Ran(
        6,
        "",
        "vulcan: spool/_vulcan/sync.lock: Is a directory\n"
        "  safe: what was already staged or confirmed stays so; nothing half-written counts\n"
        "  next: ls -ld spool/_vulcan/sync.lock\n"
        "  next: vulcan doctor --staging-dir spool\n",
    )
    assert names(spool / "pending") == [*IDS]


def test_no_room_for_the_summary(tmp_path: Path, spool: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*VULCAN, "sync", *HERE, "--create-repo"],
            env=clean(tmp_path),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
    assert done.returncode == 6
    assert done.stderr.decode().splitlines()[0] == (
        "vulcan: standard output: No space left on device"
    )
    assert names(spool / "synced") == list(IDS)


@pytest.mark.usefixtures("spool")
def test_a_sync_loads_only_what_it_needs(tmp_path: Path) -> None:
    loaded = modules_after(["sync", *HERE, "--create-repo"], tmp_path)
    assert loaded & {"pandas", "huggingface_hub", "httpx", "rich", "pydantic"} == set()
    assert names(tmp_path / "spool/synced") == list(IDS)
