from pathlib import Path

import pytest

import vulcan_cli
from tests.cli_in_process import run
from tests.cli_shards import staged
from tests.cli_support import Ran
from vulcan_cli.quantities import format_size

HEAD = f"vulcan {vulcan_cli.__version__}: flux vacua from a cluster to one dataset\n\n"
READING = ("vulcan --help", "all commands"), ("vulcan help", "what else there is to read")


def screen(rows: list[tuple[str, str]], *steps: tuple[str, str]) -> str:
    def table(lines: list[tuple[str, str]]) -> str:
        wide = max(len(term) for term, _ in lines)
        return "".join(f"  {term:{wide}}  {text}\n" for term, text in lines)

    return f"{HEAD}{table(rows)}\nNext:\n{table([*steps, *READING])}"


def test_where_nothing_is_set(tmp_path: Path) -> None:
    assert run(cwd=tmp_path) == Ran(
        0,
        screen(
            [("staging", "not set"), ("repo", "not set")],
            ("vulcan demo", "see all of it at work; no network, no settings"),
            ("vulcan init /shared/vulcan", "make a staging directory"),
        ),
        "",
    )


def test_where_the_staging_directory_is_missing(tmp_path: Path) -> None:
    env = {"VULCAN_STAGING_DIR": "spool"}
    assert run(cwd=tmp_path, env=env) == Ran(
        0,
        screen(
            [
                ("staging", "spool  (VULCAN_STAGING_DIR)"),
                ("repo", "not set"),
                ("trouble", "there is no folder spool"),
            ],
            ("vulcan doctor", "find out what is wrong, and its cure"),
        ),
        "",
    )


@pytest.mark.parametrize("repo", ["", "./repo"])
def test_where_shards_wait(tmp_path: Path, repo: str) -> None:
    path = staged(tmp_path, "a")
    size = format_size(path.stat().st_size)
    ran = run(cwd=tmp_path, env={"STRINGFORGE_VULCAN_STAGING_DIR": "spool", "VULCAN_REPO": repo})
    rows = [
        ("staging", "spool  (STRINGFORGE_VULCAN_STAGING_DIR)"),
        ("repo", "not set"),
        ("pending", f"1 shard, {size}, oldest 0s"),
    ]
    steps = [
        ("vulcan stage results.parquet", "put vacua into pending/"),
        ("export VULCAN_REPO=owner/name", "say where they go"),
    ]
    if repo:
        rows[1] = ("repo", "./repo  (VULCAN_REPO)")
        rows.append(("budget", "90 of 90 commits left in 1h"))
        steps = [
            ("vulcan sync", "commit what waits"),
            ("vulcan query --limit 5", "look at vacua"),
        ]
    # How long the machine took.
    out = ran.out.replace("oldest 1s", "oldest 0s").replace("oldest 2s", "oldest 0s")
    assert (ran.code, out, ran.err) == (0, screen(rows, *steps), "")


def test_for_a_script(tmp_path: Path) -> None:
    assert run("--json", cwd=tmp_path).document() == {
        "version": vulcan_cli.__version__,
        "json_format": 1,
        "staging_dir": None,
        "repo": [],
        "pending": None,
        "failed": None,
        "budget_remaining": None,
        "trouble": None,
        "next": ["vulcan demo", "vulcan init /shared/vulcan", "vulcan --help", "vulcan help"],
    }


def test_a_settings_file_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "vulcan.toml").write_text("budget = 0\n")
    assert run(cwd=tmp_path) == Ran(
        4,
        "",
        f"vulcan: {tmp_path}/vulcan.toml, budget: it must be a whole number of at least 1\n"
        "  safe: nothing was changed\n"
        "  next: vulcan --help\n",
    )
