from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.core import TyperCommand
from typer.main import get_command

from tests.cli_support import Ran, vulcan
from vulcan_cli.cli.values import read_plainly

SEEN: list[object] = []


def command(
    *,
    paths: Annotated[list[str] | None, typer.Argument()] = None,
    file: Annotated[Path | None, typer.Option()] = None,
    many: Annotated[list[str] | None, typer.Option()] = None,
    whole: Annotated[int | None, typer.Option(min=1, max=9)] = None,
    number: Annotated[float, typer.Option()] = 0.5,
    flag: Annotated[bool | None, typer.Option("--flag/--no-flag")] = None,
) -> None:
    SEEN[:] = [paths, file, many, whole, number, flag]


def read(words: list[str], *, plainly: bool) -> list[object]:
    app = typer.Typer(add_completion=False)
    app.command()(command)
    made = get_command(app)
    assert isinstance(made, TyperCommand)
    if plainly:
        read_plainly(made.params)
    with made.make_context("test", list(words)) as context:
        made.invoke(context)
    return list(SEEN)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], [None, None, None, None, 0.5, None]),
        (["a", "b"], [["a", "b"], None, None, None, 0.5, None]),
        (["--file", "x/y"], [None, Path("x/y"), None, None, 0.5, None]),
        (["--many", "1", "--many", "2,3"], [None, None, ["1", "2,3"], None, 0.5, None]),
        (["--whole", "9"], [None, None, None, 9, 0.5, None]),
        (["--number", "1e-3"], [None, None, None, None, 0.001, None]),
        (["--number", "-2"], [None, None, None, None, -2.0, None]),
        (["--flag"], [None, None, None, None, 0.5, True]),
        (["--no-flag"], [None, None, None, None, 0.5, False]),
    ],
)
def test_values_are_those_that_typer_reads(words: list[str], values: list[object]) -> None:
    assert read(words, plainly=True) == values
    assert read(words, plainly=False) == values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--whole", "x"], "Invalid value for '--whole': 'x' is no whole number"),
        (["--whole", "1.0"], "Invalid value for '--whole': '1.0' is no whole number"),
        (["--whole", "1_0"], "Invalid value for '--whole': '1_0' is no whole number"),
        (["--whole", "٣"], "Invalid value for '--whole': '٣' is no whole number"),
        (["--whole", "0"], "Invalid value for '--whole': 0 is less than 1"),
        (["--whole", "10"], "Invalid value for '--whole': 10 is more than 9"),
        (["--number", ""], "Invalid value for '--number': '' is no number"),
        (["--number", "1_0"], "Invalid value for '--number': '1_0' is no number"),
    ],
)
def test_values_that_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        read(words, plainly=True)
    assert caught.value.format_message() == message


# A script types these where its variable is not set; Path("") would be the working directory.
NAMELESS = {
    "--staging-dir": ["stage", "in.csv", "-g", "h12=2", "--staging-dir", ""],
    "-o' / '--output": ["query", "--staging-dir", "spool", "--output", ""],
    "--metrics": ["status", "--staging-dir", "spool", "--metrics", ""],
    "--out-dir": ["split", "--staging-dir", "spool", "--out-dir", ""],
    "--keep": ["demo", "--keep", ""],
}


@pytest.mark.parametrize("option", NAMELESS)
def test_files_and_folders_have_names(tmp_path: Path, option: str) -> None:
    words = NAMELESS[option]
    assert vulcan(*words, home=tmp_path) == Ran(
        2,
        "",
        f"vulcan: invalid value for '{option}': the name of a file or folder is empty\n"
        "  safe: nothing was changed\n"
        f"  next: vulcan {words[0]} --help\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_what_a_person_reads(tmp_path: Path) -> None:
    assert vulcan("sync", "--max-batch", "many", home=tmp_path) == Ran(
        2,
        "",
        "vulcan: invalid value for '--max-batch': 'many' is no whole number\n"
        "  safe: nothing was changed\n"
        "  next: vulcan sync --help\n",
    )
