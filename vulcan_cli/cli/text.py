"""Text that may be shown: it steers no terminal, holds no secret, and stands in columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from vulcan_cli.vacua.secrets import scrub

_GAP = "  "


def printable(text: str) -> str:
    """The text with control characters, and all else that does not print, as escapes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def json_printable(text: str) -> str:
    """JSON of the same value, with all that does not print as JSON's escapes."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _json_escape(letter) for letter in text)


def json_text(document: object) -> str:
    """A document as JSON on one line, in letters and signs of ASCII that print.

    Secrets are hidden; NaN and infinities become null.
    """
    return json_printable(json.dumps(clean(document), allow_nan=False))


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def fields(line: str) -> str:
    """A line as `printable` makes it, but for the tabs between its fields."""
    return "\t".join(map(printable, line.split("\t")))


def clean(value: object) -> object:
    """A JSON value without secrets, and without numbers that JSON has not."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {scrub(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def aligned(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    """The cells of a row as one line, those of the columns `right` aligned to the right."""
    cells = (
        cell.rjust(width) if number in right else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return _GAP.join(cells).rstrip()


def cut(text: str, width: int, ellipsis: str) -> str:
    """The text, no longer than the width, and a sign where some of it is missing."""
    return text if len(text) <= width else text[: width - len(ellipsis)] + ellipsis
