"""`-v`: which settings count, what is done, and what made an error."""

from __future__ import annotations

import json
import logging
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli_in_process import run
from tests.cli_shards import KEYS, path_in_repo, staged, written
from tests.cli_support import VULCAN, clean
from tests.vacua_support import rows
from vulcan_cli import VulcanReader
from vulcan_cli.quantities import format_size

HERE = ("--staging-dir", "spool")
MINE = "staging_dir is spool, from --staging-dir"
THEIRS = "repo is ./repo, from VULCAN_REPO"
IN_REPO = {"VULCAN_REPO": "./repo"}
LINE = "committed=1 failed=0 remaining=0 commits=1\n"


def published(folder: Path) -> None:
    staged(folder, "a")
    assert run("sync", *HERE, "--create-repo", cwd=folder, env=IN_REPO).out == LINE


def test_stage_says_what_each_shard_holds(tmp_path: Path) -> None:
    file = written(tmp_path, "results.parquet", rows())
    words = ("stage", file, "-g", KEYS, "--run-id", "a", *HERE)

    ran = run(*words, "-v", cwd=tmp_path)

    rehearsed = run(*words, "-v", "--dry-run", cwd=tmp_path)
    assert rehearsed.err == ran.err
    (digest,) = re.findall(r"content digest ([0-9a-f]{32})\n", ran.err)
    assert ran.err.splitlines() == [
        MINE,
        f"{path_in_repo('a')}: {rows().height} rows, content digest {digest}",
    ]
    again = json.loads(run(*words, "--json", cwd=tmp_path).out)
    assert again["digest"] == digest


def test_sync_says_what_it_asks_and_what_was_taken(tmp_path: Path) -> None:
    staged(tmp_path, "a")
    file = next((tmp_path / "spool/pending").glob("*.parquet"))
    size = format_size(file.stat().st_size)

    ran = run("sync", *HERE, "--create-repo", "--verbose", cwd=tmp_path, env=IN_REPO)

    name = f"file://{tmp_path}/repo"
    (commit,) = re.findall(r"commit ([0-9a-f]{40})\n", ran.err)
    assert (ran.code, ran.out) == (0, LINE)
    assert ran.err.splitlines() == [
        MINE,
        THEIRS,
        f"{name} has 0 of 1 shard already",
        f"{name} took 1 shard, {size}: commit {commit}",
        f"{name} confirms 1 of 1 shard",
        "reads the footers of 1 file in synced/",
    ]


def test_query_says_what_it_reads(tmp_path: Path) -> None:
    published(tmp_path)
    words = ("query", *HERE, "-o", "out.csv", "-v")
    read = "read synced of spool"

    ran = run(*words, cwd=tmp_path)
    found = run(*words, "--run-id", "b", cwd=tmp_path)

    n_rows = rows().height
    assert ran.err.splitlines() == [MINE, read, "reads 1 shard", f"{n_rows} rows to out.csv"]
    assert found.err.splitlines() == [MINE, read, "reads 0 shards", "0 rows to out.csv"]


def test_an_error_tells_its_cause(tmp_path: Path) -> None:
    published(tmp_path)
    words = ("query", *HERE, "--where", "tau_im >")

    ran, detailed = (run(*words, *more, cwd=tmp_path) for more in ((), ("-v",)))

    assert detailed.code == ran.code == 2
    assert detailed.err == f"{MINE}\n{ran.err}" + (
        "  because: SQLInterfaceError: unable to parse 'tau_im >' as Expr\n"
    )


def test_an_error_that_stops_a_sync_tells_its_cause(tmp_path: Path) -> None:
    published(tmp_path)
    staged(tmp_path, "b")
    (tmp_path / "repo/.vulcan/commits/00000001.json").write_text("garbage")

    ran, detailed = (run("sync", *HERE, *more, cwd=tmp_path, env=IN_REPO) for more in ((), ("-v",)))

    assert detailed.code == ran.code == 6
    *details, cause = detailed.err.splitlines()
    assert cause == "  because: JSONDecodeError: Expecting value: line 1 column 1 (char 0)"
    assert details[:2] == [MINE, THEIRS]
    assert details[-len(ran.err.splitlines()) :] == ran.err.splitlines()


@pytest.mark.parametrize("quiet", [("-q", "-v"), ("-qv",), ("-vq",)])
def test_quiet_wins(tmp_path: Path, quiet: tuple[str, ...]) -> None:
    published(tmp_path)
    asked = ("query", *HERE, "-o", "out.csv")

    assert run(*asked, *quiet, cwd=tmp_path).err == ""
    failed = run(*asked, *quiet, "--where", "tau_im >", cwd=tmp_path)
    assert failed.err.count("\n") == 3
    assert failed == run(*asked, "--where", "tau_im >", "-q", cwd=tmp_path)


def test_json_stays_on_stdout_and_an_error_in_json_stays_the_last_line(tmp_path: Path) -> None:
    published(tmp_path)
    asked = ("query", *HERE, "--json", "-v")

    ran = run(*asked, cwd=tmp_path)
    failed = run(*asked, "--where", "tau_im >", cwd=tmp_path)

    assert len([json.loads(line) for line in ran.out.splitlines()]) == rows().height
    *details, error = failed.err.splitlines()
    assert details == [MINE, "read synced of spool"]
    assert json.loads(error)["error"]["exit_code"] == 2


def test_causes_are_short_and_tell_no_secret_and_no_query_of_an_address(tmp_path: Path) -> None:
    """An address that was signed lets anyone in until it expires."""
    code = (
        "import sys\n"
        "from vulcan_cli.cli.output import Output\n"
        "error = ValueError('mine')\n"
        "error.__cause__ = OSError('404 for https://s3.eu/a?X-Sign=abc hf_' + 'x' * 34)\n"
        "error.__cause__.__cause__ = ValueError('plan ' * 1000)\n"
        "Output(verbose=True).causes(error)\n"
    )
    ran = subprocess.run(
        [VULCAN[0], "-c", code], env=clean(tmp_path), capture_output=True, text=True, check=True
    )
    assert ran.stderr.splitlines() == [
        "  because: OSError: 404 for https://s3.eu/a?... [hidden]",
        f"  because: ValueError: {('plan ' * 1000)[:297]}...",
    ]


def test_a_command_leaves_no_ear_behind(tmp_path: Path) -> None:
    published(tmp_path)
    before = logging.getLogger("vulcan_cli").handlers[:]

    assert run("query", *HERE, "-o", "out.csv", "-v", cwd=tmp_path).code == 0

    logger = logging.getLogger("vulcan_cli")
    assert (logger.handlers, logger.level) == (before, logging.NOTSET)


def test_a_program_hears_the_same_by_logging(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published(tmp_path)

    with caplog.at_level(logging.INFO, "vulcan_cli"):
        assert VulcanReader.from_local(tmp_path / "spool", cache_size=0).query().height > 0

    assert caplog.record_tuples == [
        ("vulcan_cli.dataset.scan", logging.INFO, "reads 1 shard"),
    ]
