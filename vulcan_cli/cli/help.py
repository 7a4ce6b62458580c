"""The help of a command or topic as a person reads it: plain text, so that it is there at once."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator

from vulcan_cli.cli.tree import Example, Page, Part, Topic

WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""

_NARROWEST = 50
_INDENT = "  "
_LEFT = 30

Heading = Callable[[str], str]
"""Puts a heading in bold, or leaves it."""


def render(page: Page, width: int, heading: Heading) -> str:
    """The help, as text that ends in a newline.

    Args:
        page: What is to say.
        width: Columns of the terminal.
        heading: How a heading looks.
    """
    return _text(_lines(page, _width(width), heading))


def render_topic(topic: Topic, width: int, heading: Heading) -> str:
    """A topic, likewise."""
    return _text(_topic_lines(topic, _width(width), heading))


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _width(terminal: int) -> int:
    return max(_NARROWEST, min(terminal, WIDEST))


def _topic_lines(topic: Topic, width: int, heading: Heading) -> Iterator[str]:
    yield from _wrapped(topic.summary, width)
    for part in topic.parts:
        yield from _part_lines(part, width, heading)
    yield from _example_lines(topic.examples, heading)
    yield from ("", f"The same as a manual page: man {topic.section} {topic.page}")


def _part_lines(part: Part, width: int, heading: Heading) -> Iterator[str]:
    if part.heading:
        yield from ("", heading(f"{part.heading}:"))
    if part.rows:
        yield from _definitions(part.rows, width)
    for text in part.paragraphs:
        if part.rows or not part.heading or text != part.paragraphs[0]:
            yield ""
        yield from _wrapped(text, width)
    yield from (f"{_INDENT}{line}".rstrip() for line in part.lines)


def _example_lines(examples: Iterable[Example], heading: Heading) -> Iterator[str]:
    for number, example in enumerate(examples):
        if number == 0:
            yield from ("", heading("Examples:"))
        yield from (f"{_INDENT}# {example.does}", f"{_INDENT}{example.command}")


def _lines(page: Page, width: int, heading: Heading) -> Iterator[str]:
    start = f"Usage: {page.path} "
    yield from _wrapped(start + page.usage, width, " " * len(start))
    for text in (page.summary, *page.paragraphs):
        yield ""
        yield from _wrapped(text, width)
    for name, parameters in page.groups.items():
        yield from ("", heading(f"{name}:"))
        yield from _definitions(((p.names, p.help) for p in parameters), width)
    if page.commands:
        yield from ("", heading("Commands:"))
        yield from _definitions(page.commands, width)
    yield from _example_lines(page.examples, heading)
    yield from ("", heading("Exit status:"))
    statuses = ((f"{code:>3}", meaning) for code, meaning in page.exit_statuses)
    yield from _definitions(statuses, width)


def _definitions(pairs: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Terms at the left, what they mean at the right; long terms on a line of their own."""
    rows = list(pairs)
    column = min(_LEFT, max(len(term) for term, _ in rows)) + 2
    for term, meaning in rows:
        lines = textwrap.wrap(meaning, width - column - len(_INDENT), break_on_hyphens=False)
        if len(term) > column - 2:
            yield _INDENT + term
        else:
            yield _INDENT + (term.ljust(column) + (lines.pop(0) if lines else "")).rstrip()
        for line in lines:
            yield _INDENT + " " * column + line


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
