from pathlib import Path

import pytest

from tests.cli_in_process import run
from tests.cli_support import CHECKOUT, Ran
from vulcan_cli.cli.installing import SHELLS, is_installed
from vulcan_cli.cli.suggest import CATALOG
from vulcan_cli.dataset.inventory import AVAILABLE
from vulcan_cli.environment import read_shell

FILES = {"bash": "vulcan.bash", "zsh": "_vulcan", "fish": "vulcan.fish"}
PLACES = {
    "bash": [".local/share/bash-completion/completions/vulcan", ".bashrc"],
    "zsh": [".local/share/zsh/site-functions/_vulcan", ".zshrc"],
    "fish": [".config/fish/completions/vulcan.fish"],
}


def script(shell: str) -> str:
    return (CHECKOUT / "completions" / FILES[shell]).read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_shown_is_what_packages_install(tmp_path: Path, shell: str) -> None:
    words = ("--show-completion", "--shell", shell)
    assert run(*words, cwd=tmp_path) == Ran(0, script(shell), "")
    env = {"SHELL": f"/usr/bin/{shell}"}
    assert run("--show-completion", cwd=tmp_path, env=env) == Ran(0, script(shell), "")


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_installed_once_however_often_it_is_asked_for(tmp_path: Path, shell: str) -> None:
    here = read_shell({"HOME": str(tmp_path), "SHELL": shell})
    target, *start = [tmp_path / name for name in PLACES[shell]]
    for file in start:
        # As people do who keep such files in a repo of their own.
        (tmp_path / "dotfiles").write_text("alias v=vulcan")
        file.symlink_to("dotfiles")
    told = f"{shell} completes vulcan from its next start on\n"
    first = run("--install-completion", "--shell", shell, cwd=tmp_path)
    assert first == Ran(0, "".join(f"{path}\n" for path in (target, *start)), told)
    before = [file.read_text() for file in start]
    again = run("--install-completion", "--shell", shell, cwd=tmp_path)
    assert again == Ran(0, f"{target}\n", told)
    assert target.read_text() == script(shell)
    assert [file.read_text() for file in start] == before
    assert [file.is_symlink() for file in start] == [True] * len(start)
    assert [text.splitlines()[0] for text in before] == ["alias v=vulcan"] * len(start)
    assert is_installed(here)


def test_for_a_script(tmp_path: Path) -> None:
    ran = run("--install-completion", "--shell", "fish", "--json", cwd=tmp_path)
    assert ran.document() == {"shell": "fish", "files": [str(tmp_path / PLACES["fish"][0])]}
    assert ran.err == ""


@pytest.mark.parametrize(
    ("words", "env", "shell"),
    [
        (("--shell", "ksh"), {}, "'ksh'"),
        ((), {"SHELL": "/bin/tcsh"}, "'tcsh'"),
        ((), {}, "'no shell'"),
    ],
)
def test_a_shell_we_do_not_know(
    tmp_path: Path, words: tuple[str, ...], env: dict[str, str], shell: str
) -> None:
    assert run("--install-completion", *words, cwd=tmp_path, env=env) == Ran(
        2,
        "",
        f"vulcan: completion is for bash, zsh, fish, not for {shell}: use --shell\n"
        "  safe: nothing was changed\n"
        "  next: vulcan --help\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["status"], ["--version"]])
def test_a_shell_is_named_for_its_completion_alone(tmp_path: Path, words: list[str]) -> None:
    assert run("--shell", "fish", *words, cwd=tmp_path) == Ran(
        2,
        "",
        "vulcan: --shell goes with --install-completion or --show-completion\n"
        "  safe: nothing was changed\n"
        "  next: vulcan --help\n",
    )


def test_a_script_is_shown_or_installed(tmp_path: Path) -> None:
    words = ("--show-completion", "--install-completion", "--shell", "fish")
    assert run(*words, cwd=tmp_path) == Ran(
        2,
        "",
        "vulcan: --show-completion and --install-completion go one at a time\n"
        "  safe: nothing was changed\n"
        "  next: vulcan --help\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_to_complete_is_all_that_is_done(tmp_path: Path) -> None:
    ran = run("--show-completion", "--shell", "fish", "status", cwd=tmp_path)
    assert ran == Ran(0, script("fish"), "")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("")
    ran = run("--install-completion", "--shell", "fish", cwd=tmp_path)
    assert (ran.code, ran.err.splitlines()[0]) == (
        6,
        f"vulcan: {tmp_path}/.config/fish/completions: Not a directory",
    )


def test_columns_of_the_catalog_are_all_known_to_completion() -> None:
    assert set(CATALOG) == set(AVAILABLE)
