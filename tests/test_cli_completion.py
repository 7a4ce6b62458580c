"""Completion through the files that are installed, in the shells that are here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_support import CHECKOUT, clean
from vulcan_cli.cli.app import COMMANDS

SCRIPTS = CHECKOUT / "completions"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which `vulcan` is this checkout's."""
    program = tmp_path / "bin" / "vulcan"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vulcan_cli "$@"\n')
    program.chmod(0o755)
    environ = clean(tmp_path)
    return {**environ, "PATH": f"{program.parent}{os.pathsep}{environ['PATH']}"}


def need(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    return path


def said(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, check=True, timeout=120, cwd=env["HOME"]
    )
    assert done.stderr == ""
    return done.stdout


def in_bash(line: str, env: dict[str, str]) -> list[str]:
    words = line.split(" ")
    code = (
        f'source "{SCRIPTS}/vulcan.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_vulcan_completion vulcan; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    shell = [need("bash"), "--norc", "-c", code, "bash", *words]
    return said(shell, env).splitlines()


def test_bash_completes_commands(env: dict[str, str]) -> None:
    assert in_bash("vulcan ", env) == list(COMMANDS)
    assert in_bash("vulcan stat", env) == ["status"]


def test_bash_completes_options(env: dict[str, str]) -> None:
    assert in_bash("vulcan status --st", env) == ["--staging-dir"]
    assert in_bash("vulcan status --", env) == [
        "--staging-dir",
        "--repo",
        "--json",
        "--quiet",
        "--verbose",
        "--help",
    ]


def test_fish_completes_commands_and_options(env: dict[str, str]) -> None:
    code = f'source "{SCRIPTS}/vulcan.fish"; complete --do-complete'
    fish = need("fish")
    commands = said([fish, "--no-config", "-c", f'{code} "vulcan stat"'], env)
    assert [line.split("\t")[0] for line in commands.splitlines()] == ["status"]
    options = said([fish, "--no-config", "-c", f'{code} "vulcan status --js"'], env)
    assert options == "--json\tWrite JSON to stdout.\n"


def test_zsh_completes_commands(env: dict[str, str], tmp_path: Path) -> None:
    """zsh completes only on a terminal: one is made for it, and TAB is typed."""
    zsh = need("zsh")
    setup = f"PS1=; fpath=({SCRIPTS} $fpath); autoload -Uz compinit; compinit -u; cd {tmp_path}"
    code = (
        f"zmodload zsh/zpty; zpty -b z zsh -f; zpty -w z '{setup}'; sleep 2; "
        "zpty -n -w z $'vulcan sync --max-ba\\t'; sleep 3; zpty -r z seen '*--max-batch*'; "
        'print -r -- "${seen##*vulcan }"; zpty -d z'
    )
    assert said([zsh, "-f", "-c", code], env).split()[:2] == ["sync", "--max-batch"]


def test_scripts_parse_in_their_shells(tmp_path: Path) -> None:
    checks = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}
    files = {"bash": "vulcan.bash", "zsh": "_vulcan", "fish": "vulcan.fish"}
    here = [shell for shell in checks if shutil.which(shell)]
    assert "bash" in here
    for shell in here:
        subprocess.run([*checks[shell], SCRIPTS / files[shell]], check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("shell", "variables", "words"),
    [
        (
            "zsh",
            {"_TYPER_COMPLETE_ARGS": "vulcan status --js"},
            """_arguments '*: :(("--json":"Write JSON to stdout."))'\n""",
        ),
        (
            "fish",
            {
                "_TYPER_COMPLETE_ARGS": "vulcan status --js",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
            "--json\tWrite JSON to stdout.\n",
        ),
    ],
)
def test_answers_to_a_shell(
    env: dict[str, str], shell: str, variables: dict[str, str], words: str
) -> None:
    asked = {**env, **variables, "_VULCAN_COMPLETE": f"complete_{shell}"}
    assert said(["vulcan"], asked) == words


def test_a_shell_we_do_not_know(env: dict[str, str]) -> None:
    done = subprocess.run(
        ["vulcan"],
        capture_output=True,
        text=True,
        env={**env, "_VULCAN_COMPLETE": "complete_ksh"},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Shell ksh not supported.\n")
