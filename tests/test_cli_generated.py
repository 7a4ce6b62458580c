"""Man pages, completion scripts and the reference are what the tree of commands says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_support import CHECKOUT, clean
from vulcan_cli.cli.app import COMMANDS, Command, program
from vulcan_cli.cli.topics import TOPICS, load
from vulcan_cli.cli.tree import Page
from vulcan_cli.settings_fields import ENVIRONMENT, FILES

MAN = CHECKOUT / "man"
NAMES = ("vulcan", *(f"vulcan-{name}" for name in COMMANDS))
PAGES = {
    **{name: MAN / "man1" / f"{name}.1" for name in NAMES},
    **{
        topic.page: MAN / f"man{topic.section}" / f"{topic.page}.{topic.section}"
        for topic in map(load, TOPICS)
    },
}


def generate(checkout: Path, home: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, checkout / "tools" / "generate.py", *words],
        capture_output=True,
        text=True,
        env=clean(home),
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("tools", "man", "completions", "docs"):
        shutil.copytree(CHECKOUT / folder, tmp_path / "copy" / folder)
    return tmp_path / "copy"


def test_nothing_is_stale(tmp_path: Path) -> None:
    assert generate(CHECKOUT, tmp_path, "--check") == (0, "", "")


def test_what_is_stale_is_named_and_made_anew(copy: Path, tmp_path: Path) -> None:
    page, script, extra = (
        copy / "man" / "man1" / "vulcan-status.1",
        copy / "completions" / "_vulcan",
        copy / "man" / "man1" / "vulcan-gone.1",
    )
    before = page.read_text()
    page.write_text(before.replace("status", "state"))
    script.unlink()
    extra.write_text("")
    run = "is stale: run python tools/generate.py"
    assert generate(copy, tmp_path, "--check") == (
        1,
        "",
        "".join(
            f"{name} {run}\n"
            for name in (
                "completions/_vulcan",
                "man/man1/vulcan-gone.1",
                "man/man1/vulcan-status.1",
            )
        ),
    )
    assert generate(copy, tmp_path) == (0, "", "")
    assert generate(copy, tmp_path, "--check") == (0, "", "")
    assert page.read_text() == before
    assert script.read_text() == (CHECKOUT / "completions" / "_vulcan").read_text()
    assert not extra.exists()


def test_one_page_a_command_and_a_topic() -> None:
    assert {path for path in MAN.rglob("*") if path.is_file()} == set(PAGES.values())


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("name", PAGES)
def test_pages_render_without_a_warning(name: str, columns: int) -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", f"-rLL={columns}n", PAGES[name]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def shown_by_man(name: str, home: Path) -> str:
    """What man prints, without bold and underline; it must not complain."""
    done = subprocess.run(
        ["man", "--warnings", "-l", PAGES[name]],
        capture_output=True,
        text=True,
        env={**clean(home), "MANWIDTH": "400", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""},
        check=True,
    )
    assert done.stderr == ""
    return re.sub(r".\x08", "", done.stdout)


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("name", TOPICS)
def test_man_shows_all_of_a_topic(name: str, tmp_path: Path) -> None:
    topic = load(name)
    shown = shown_by_man(topic.page, tmp_path)
    words = " ".join(shown.split())
    wanted = [topic.summary.rstrip(".")]
    for part in topic.parts:
        wanted += [part.heading.upper(), *part.paragraphs, *part.lines]
        wanted += [text for row in part.rows for text in row]
    wanted += [text for example in topic.examples for text in (example.does, example.command)]
    words = words.replace("`", "")
    assert [text for text in wanted if " ".join(text.replace("`", "").split()) not in words] == []


def page_of(name: str) -> Page:
    """What the tree says of a command, by the name of its manual page."""
    tree = program()
    context = tree.make_context("vulcan", [], resilient_parsing=True)
    if name == "vulcan":
        return tree.page(context)
    command = tree.get_command(context, name.removeprefix("vulcan-"))
    assert isinstance(command, Command)
    below = command.make_context(command.name, [], parent=context, resilient_parsing=True)
    return command.page(below)


def test_the_reference_shows_every_option_of_vulcan_and_of_each_command() -> None:
    _, *sections = (CHECKOUT / "docs" / "reference.md").read_text().split("\n## ")
    shown = {
        section.partition("\n")[0]: re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
        for section in sections
        if section.startswith("vulcan")
    }
    assert shown == {
        page.path: [option.names for group in page.groups.values() for option in group]
        for page in map(page_of, NAMES)
    }


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_man_shows_every_option_variable_file_status_and_example(name: str, tmp_path: Path) -> None:
    shown = shown_by_man(name, tmp_path)
    words = " ".join(shown.split())
    page = page_of(name)
    wanted = [parameter.names for group in page.groups.values() for parameter in group]
    wanted += [parameter.help for group in page.groups.values() for parameter in group]
    wanted += [name for name, _ in (*ENVIRONMENT, *FILES, *page.commands)]
    wanted += [f"{code} {text}" for code, text in page.exit_statuses]
    wanted += [example.command for example in page.examples]
    assert [text for text in wanted if " ".join(text.replace("`", "").split()) not in words] == []
    headings = re.findall(r"^([A-Z][A-Z ]+)$", shown, re.MULTILINE)
    order = ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "ENVIRONMENT", "FILES"]
    order += ["EXIT STATUS", "EXAMPLES", "SEE ALSO"]
    assert headings == [heading for heading in order if heading in headings]
    assert {"NAME", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS"} <= set(headings)
