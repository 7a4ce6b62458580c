"""The examples of docs/json.md, run one after the other."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli_in_process import run
from tests.cli_shards import KEYS, PARQUET
from tests.cli_support import CHECKOUT, Ran
from tests.vacua_support import REAL
from vulcan_cli.cli.app import COMMANDS, Command, program
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.moves import Moving, move
from vulcan_cli.staging.reasons import write_reason

PAGE = (CHECKOUT / "docs/json.md").read_text()
ENV = {"VULCAN_STAGING_DIR": "spool", "VULCAN_REPO": "./repo"}

VARYING = {
    *("commits", "oldest", "spent_at", "bytes", "repo", "repos", "text", "made", "group"),
    "staging_dir",
    "VULCAN_STAGING_DIR",
    "stdout",
}
"""Keys whose values differ from run to run, with the account, or with the parquet writer."""

Example = tuple[str, list[str]]


def examples() -> list[Example]:
    """Command lines and the lines they print."""
    found: list[Example] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def steady(value: object, key: str = "") -> object:
    """A document with a word for the type where a value varies."""
    match value:
        case dict():
            return {name: steady(each, name) for name, each in value.items()}
        case list():
            return [steady(each, key) for each in value]
        case None:
            return None
    return type(value).__name__ if key in VARYING else value


def fail_another(cwd: Path) -> None:
    """A shard that a repo refused."""
    words = ("stage", PARQUET, "-g", KEYS)
    assert run(*words, "--run-id", "b", cwd=cwd, env=ENV).code == 0
    (path,) = (cwd / "spool/pending").glob("*.parquet")
    area = StagingArea(cwd / "spool")
    move(area, [Moving(path.name)], "pending", "failed")
    write_reason(area, path.name, "HTTP 400: too large")


def test_every_example_is_what_its_command_prints(tmp_path: Path) -> None:
    shutil.copy(REAL / "model_h12-2_3_batch3.parquet", tmp_path / "results.parquet")
    for command, lines in examples():
        program_name, *words = shlex.split(command)
        assert program_name == "vulcan"
        if words == ["status", "--json"]:
            fail_another(tmp_path)
        quiet = [] if words == ["--json"] else ["-q"]
        ran = run(*words, *quiet, cwd=tmp_path, env=ENV)
        told = _stderr_of_an_error(ran) if ran.code else ran.out
        printed = [steady(json.loads(line)) for line in told.splitlines()]
        assert printed == [steady(json.loads(line)) for line in lines], command


def _stderr_of_an_error(ran: Ran) -> str:
    assert ran.out == ""
    return ran.err


def with_json() -> list[str]:
    """The commands that have the option."""
    tree = program()
    root = tree.make_context("vulcan", [], resilient_parsing=True)
    found = []
    for name in COMMANDS:
        command = tree.get_command(root, name)
        assert isinstance(command, Command)
        context = command.make_context(name, [], parent=root, resilient_parsing=True)
        if any("--json" in option.opts for option in command.get_params(context)):
            found.append(name)
    return found


@pytest.mark.parametrize("command", with_json())
def test_every_command_with_the_option_has_its_heading(command: str) -> None:
    assert f"\n## {command}\n" in PAGE
