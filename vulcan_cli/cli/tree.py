"""The commands as a tree of words: what the help, the man pages and the reference are made from."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from vulcan_cli.cli.explain import EXIT_STATUSES

if TYPE_CHECKING:
    from typer._click import Context

GENERAL = "Options"
"""The group of options that belong to no other."""

_ALWAYS = (0, 1, 2, 130)


class Example(NamedTuple):
    """A command line to learn from, and what it does.

    Attributes:
        does: A few words.
        command: The line, as typed.
    """

    does: str
    command: str


class Parameter(NamedTuple):
    """An argument or option.

    Attributes:
        names: As typed, such as `-g, --geometry H11=N`.
        help: What it does.
    """

    names: str
    help: str


class Page(NamedTuple):
    """All that is to say of a command.

    Attributes:
        path: Its words, such as `vulcan stage`.
        usage: What follows them.
        summary: One sentence.
        paragraphs: What else is to know, lines unbroken.
        groups: Arguments and options by the heading they stand under.
        commands: Names and summaries of the commands below it.
        examples: In the order to learn them.
        exit_statuses: Those it can end with, and what they mean.
    """

    path: str
    usage: str
    summary: str
    paragraphs: tuple[str, ...]
    groups: Mapping[str, tuple[Parameter, ...]]
    commands: tuple[tuple[str, str], ...]
    examples: tuple[Example, ...]
    exit_statuses: tuple[tuple[int, str], ...]


class Part(NamedTuple):
    """A part of a topic; what is between backticks is code.

    Attributes:
        heading: Empty for the first.
        paragraphs: What is to say, lines unbroken.
        rows: Terms and what they mean.
        lines: What to copy, as it stands.
    """

    heading: str = ""
    paragraphs: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()


class Topic(NamedTuple):
    """What is to know of a subject that is no command.

    Attributes:
        name: As typed behind `vulcan help`.
        page: Its man page.
        section: The section of the manual.
        summary: One sentence.
        parts: In the order to read them.
        examples: In the order to learn them.
    """

    name: str
    page: str
    section: int
    summary: str
    parts: tuple[Part, ...]
    examples: tuple[Example, ...] = ()


def page_of(
    command: TyperCommand | TyperGroup,
    context: Context,
    *,
    examples: Sequence[Example] = (),
    exit_codes: Iterable[int] = (),
    commands: Iterable[tuple[str, str]] = (),
) -> Page:
    """Describe a command.

    Args:
        command: The command.
        context: Its context.
        examples: Its examples.
        exit_codes: What it ends with, beside 0, 1, 2 and 130.
        commands: Names and summaries of the commands below it.
    """
    first, *rest = inspect.cleandoc(command.help or "").split("\n\n")
    codes = sorted({*_ALWAYS, *exit_codes}, key=list(EXIT_STATUSES).index)
    return Page(
        path=context.command_path,
        # Braces around what is required are told by no other manual.
        usage=" ".join(piece.strip("{}") for piece in command.collect_usage_pieces(context)),
        summary=_one_line(first),
        paragraphs=tuple(_one_line(text) for text in rest),
        groups=_groups(command, context),
        commands=tuple(commands),
        examples=tuple(examples),
        exit_statuses=tuple((code, EXIT_STATUSES[code]) for code in codes),
    )


def summary_of(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return _one_line(inspect.cleandoc(text or "").split("\n\n")[0])


def _groups(
    command: TyperCommand | TyperGroup, context: Context
) -> dict[str, tuple[Parameter, ...]]:
    """Parameters by heading: arguments first, the general options last."""
    groups: dict[str, list[Parameter]] = {"Arguments": []}
    general: list[Parameter] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        names, meaning = record[0], _one_line(record[1]).replace("x>=", "at least ")
        text = Parameter(names, meaning)
        if isinstance(parameter, TyperArgument):
            more = "..." if parameter.nargs != 1 else ""
            groups["Arguments"].append(Parameter(parameter.display_name_raw + more, meaning))
        elif isinstance(parameter, TyperOption) and parameter.rich_help_panel:
            groups.setdefault(parameter.rich_help_panel, []).append(text)
        else:
            general.append(text)
    groups[GENERAL] = general
    return {heading: tuple(texts) for heading, texts in groups.items() if texts}


def _one_line(text: str) -> str:
    return " ".join(text.split())
