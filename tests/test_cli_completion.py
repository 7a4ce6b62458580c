"""Completion through the files that are installed, in the shells that are here."""

import contextlib
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_shards import staged
from tests.cli_support import CHECKOUT, clean
from tests.vacua_support import rows
from vulcan_cli.cli.app import COMMANDS

SCRIPTS = CHECKOUT / "completions"
STAGING = ("--staging-dir", "spool")


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


def in_bash(line: str, env: dict[str, str], comp_type: int = 9) -> list[str]:
    words = line.split(" ")
    code = (
        f'source "{SCRIPTS}/vulcan.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        f"COMP_TYPE={comp_type}; "
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
        "--rows",
        "--watch",
        "--metrics",
        "--json",
        "--quiet",
        "--verbose",
        "--version",
        "--help",
    ]


TAB, LISTED, LISTED_AT_ONCE, LISTED_UNCHANGED, CYCLED, ALL_INSERTED = 9, 63, 33, 64, 37, 42
"""What bash does with the words: its COMP_TYPE."""


@pytest.mark.parametrize("words", ["-q", "-qv --json", "--quiet --verbose"])
def test_bash_completes_options_of_a_command_behind_how_to_talk(
    env: dict[str, str], words: str
) -> None:
    assert in_bash(f"vulcan {words} split --fr", env) == in_bash("vulcan split --fr", env)
    assert in_bash("vulcan split --fr", env) == ["--fractions", "--freeze", "--frozen"]


def test_bash_tells_of_values_where_it_lists_several(env: dict[str, str], tmp_path: Path) -> None:
    for number, ks_id in enumerate((384564, 384564, 384570, 7)):
        staged(tmp_path, f"run-{number}", geometry=f"h11=3,h12=2,ks_id={ks_id}")
    assert run("sync", "--repo", "./repo", "--create-repo", *STAGING, cwd=tmp_path).code == 0
    env = {**env, "VULCAN_STAGING_DIR": "spool"}
    for comp_type in (LISTED, LISTED_AT_ONCE, LISTED_UNCHANGED):
        assert in_bash("vulcan query --ks-id 38", env, comp_type) == [
            "384564  (2 shards)",
            "384570  (1 shard)",
        ]
    for comp_type in (TAB, CYCLED, ALL_INSERTED):
        assert in_bash("vulcan query --ks-id 38", env, comp_type) == ["384564", "384570"]
    assert in_bash("vulcan query --ks-id 7", env, LISTED) == ["7"]
    assert in_bash("vulcan query --source s", env, LISTED) == [
        "synced  (what the repo has confirmed, as it stands here)",
        "staged  (pending and synced)",
    ]
    assert in_bash("vulcan query --s", env, LISTED) == [
        *("--solver-name", "--source", "--staging-dir", "--sort", "--sql", "--scheduler"),
    ]
    assert in_bash("vulcan query --sort -tau", env, LISTED) == [
        "-tau_im  (4 shards)",
        "-tau_re  (4 shards)",
    ]
    assert in_bash("vulcan query --sort --l", env) == ["--limit"]


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
    # What is typed is echoed too: the prompt that says it is ready is not spelled as it shows.
    setup = (
        f"fpath=('{SCRIPTS}' $fpath); autoload -Uz compinit; compinit -u; cd {tmp_path}; "
        "PS1=rea''dy "
    )
    code = (
        f"zmodload zsh/zpty; zpty -b z zsh -f; zpty -w z \"{setup}\"; zpty -r z seen '*ready*'; "
        "zpty -n -w z $'vulcan sync --max-ba\\t'; zpty -r z seen '*--max-batch*'; "
        'print -r -- "${seen##*vulcan }"; zpty -d z'
    )
    assert said([zsh, "-f", "-c", code], env).split()[:2] == ["sync", "--max-batch"]


STARTS = {
    "bash": (".bashrc", "PS1='$ '"),
    "zsh": (".zshrc", "PS1='$ '; setopt no_beep"),
    "fish": (".config/fish/config.fish", "function fish_prompt; echo '$ '; end; set fish_greeting"),
}
"""What each shell reads when it starts on a terminal."""

TYPED = {
    "vulcan stat": "status",
    "vulcan query --ks-i": "query --ks-id",
    "vulcan query --ks-id 38": "query --ks-id 384564",
    "vulcan query --run-id nig": "query --run-id night-shift",
    "vulcan query --columns tau_im,flu": "query --columns tau_im,flux",
    "vulcan query --sort -tau_i": "query --sort -tau_im",
    "vulcan query --where moduli_r": "query --where moduli_re",
    "vulcan query --source stag": "query --source staged",
    "vulcan split tra": "split train",
    "vulcan catalog --by n_r": "catalog --by n_rows",
    "vulcan help exit": "help exit-codes",
    "vulcan retry-failed for": "retry-failed forge-7",
}
"""What is typed before a TAB, and what runs then."""


@pytest.fixture
def shards(tmp_path: Path) -> None:
    """One shard that is synced, one that failed."""
    staged(tmp_path, "night-shift", geometry="h11=132,h12=2,ks_id=384564,triang_id=0")
    assert run("sync", "--repo", "./repo", "--create-repo", *STAGING, cwd=tmp_path).code == 0
    failed = staged(tmp_path, "forge-7", geometry="h11=3,h12=2")
    failed.rename(tmp_path / "spool/failed" / failed.name)


@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize("shell", STARTS)
def test_what_install_completion_makes_a_shell_complete(
    env: dict[str, str], tmp_path: Path, shell: str
) -> None:
    need("setsid")
    need(shell)
    start, text = STARTS[shell]
    (tmp_path / start).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / start).write_text(f"{text}\n")
    program = tmp_path / "bin" / "vulcan"
    ran = tmp_path / "ran"
    real = program.read_text().splitlines()[1]
    record = '[ "$1" = --install-completion ] || [ -n "$_VULCAN_COMPLETE" ]'
    program.write_text(f'#!/bin/sh\nif {record}; then {real}; fi\necho "$*" >> "{ran}"\n')
    env = {**env, "SHELL": f"/bin/{shell}", "TERM": "xterm", "VULCAN_STAGING_DIR": "spool"}
    for _ in range(2):
        said(["vulcan", "--install-completion", "--json"], env)
    main, side = pty.openpty()
    # The terminal must be the one that the shell belongs to: fish insists.
    words = ["setsid", "--ctty", shell, "-i"]
    process = subprocess.Popen(words, stdin=side, stdout=side, stderr=side, env=env, cwd=tmp_path)
    os.close(side)
    for number, line in enumerate(TYPED, start=1):
        os.write(main, f"{line}\t\n".encode())
        wait_for_lines(ran, number, main)
    os.write(main, b"exit\n")
    drain(main)
    process.wait(timeout=60)
    assert [line.rstrip() for line in ran.read_text().splitlines()] == list(TYPED.values())


def wait_for_lines(file: Path, number: int, terminal: int) -> None:
    """Read the terminal until a file has so many lines."""
    while not file.exists() or len(file.read_text().splitlines()) < number:
        ready, _, _ = select.select([terminal], [], [], 60.0)
        assert ready, f"nothing came after line {number}"
        os.read(terminal, 65536)


def drain(terminal: int) -> None:
    """Read a terminal to its end."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass
    os.close(terminal)


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


def test_no_shell_is_offered_what_it_would_run(env: dict[str, str], tmp_path: Path) -> None:
    """A worker names its columns as it likes; zsh evaluates what it is told, and so does Enter."""
    run_by_a_shell = ("$(x)", "\\$(x)", "`x`", "\\`x`", ";x", "'$(x)'", '"$(x)"', "|x", "*", " x")
    columns = [pl.lit(1).alias(f"mine{end}") for end in ("", *run_by_a_shell)]
    staged(tmp_path, "night-shift", rows().with_columns(columns))
    assert run("sync", "--repo", "./repo", "--create-repo", *STAGING, cwd=tmp_path).code == 0
    env = {**env, "VULCAN_STAGING_DIR": "spool", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    line = "vulcan query --columns min"
    asked = {"_TYPER_COMPLETE_ARGS": line, "COMP_WORDS": line, "COMP_CWORD": "3"}

    words = {
        shell: said(["vulcan"], {**env, **asked, "_VULCAN_COMPLETE": f"complete_{shell}"})
        for shell in STARTS
    }

    assert words == {
        "bash": "mine\n",
        "zsh": """_arguments '*: :(("mine":"1 shard"))'\n""",
        "fish": "mine\t1 shard\n",
    }


def test_a_shell_we_do_not_know(env: dict[str, str]) -> None:
    done = subprocess.run(
        ["vulcan"],
        capture_output=True,
        text=True,
        env={**env, "_VULCAN_COMPLETE": "complete_ksh"},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Shell ksh not supported.\n")
