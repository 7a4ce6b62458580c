"""The parts of a `README.md` that we keep true, and nothing else of it.

Two blocks between marks are ours: lines of the YAML at the top, and a part of the text. What people
wrote before, between and after them stays as it is, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

_YAML_BEGIN = "# vulcan: begin; these lines are kept by vulcan, write above or below them"
_YAML_END = "# vulcan: end"
_TEXT_BEGIN = "<!-- vulcan: begin; this part is kept by vulcan, write above or below it -->"
_TEXT_END = "<!-- vulcan: end -->"

_FRONT = re.compile(r"\A(?:\ufeff)?---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_TOP_KEY = re.compile(r"^([A-Za-z_][\w-]*)[ \t]*:", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# Plain words that YAML reads as something else.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})


class Card(NamedTuple):
    """A card to put into a repo.

    Attributes:
        text: The whole `README.md`.
        left_alone: Keys of the YAML that people wrote themselves, so that ours were left out.
    """

    text: str
    left_alone: tuple[str, ...]


def with_blocks(
    before: str | None, keys: Mapping[str, Sequence[str]], text: str, title: str
) -> Card:
    """A card with our blocks where they were; else the YAML first, and the text last.

    Args:
        before: The `README.md` that is there; None where there is none.
        keys: Our keys of the YAML, each with its lines.
        text: Our part of the text, in whole lines.
        title: The heading of a card that holds nothing yet.
    """
    # Text files may end lines either way; ours follow.
    ends = "\r\n" if before is not None and "\r\n" in before else "\n"
    front, rest = _without_front((before or "").replace("\r\n", "\n"))
    front = _without_block(front, _YAML_BEGIN, _YAML_END)
    theirs = frozenset(_TOP_KEY.findall(front))
    lines = [line for key, part in keys.items() if key not in theirs for line in part]
    head = "".join(f"{line}\n" for line in ("---", _YAML_BEGIN, *lines, _YAML_END))
    body = _with_block(rest, text, title)
    left_alone = tuple(key for key in keys if key in theirs)
    return Card(f"{head}{front}---\n{body}".replace("\n", ends), left_alone)


def word(text: str) -> str:
    """A text as YAML; in quotes where it could be read as something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return _printable(json.dumps(text, ensure_ascii=False))


def code(text: str) -> str:
    """A text as code of Markdown: no letter of it ends the code, or means anything in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    # A space at both ends is no part of the code.
    space = " " if longest or text.strip(" ") != text or not text else ""
    return f"{fence}{space}{_printable(text)}{space}{fence}"


def _printable(text: str) -> str:
    """The text with what does not print as escapes that YAML knows."""
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)


def table(head: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    """A table of Markdown."""
    rows = [list(head)]
    rows.append(["---"] * len(rows[0]))
    rows += [[_cell(value) for value in line] for line in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}" if value >= 0 else str(value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def _without_front(text: str) -> tuple[str, str]:
    """The lines of YAML at the top, and what comes after them."""
    found = _FRONT.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def _without_block(text: str, begin: str, end: str) -> str:
    before, found, rest = text.partition(f"{begin}\n")
    if not found or f"{end}\n" not in rest:
        return text
    return before + rest.partition(f"{end}\n")[2]


def _with_block(text: str, block: str, title: str) -> str:
    """The text with our block where it was, else at the end; with a title where there is none."""
    # A citation must not end the block before its time.
    ours = f"{_TEXT_BEGIN}\n{block.replace(_TEXT_END, '')}{_TEXT_END}\n"
    before, found, rest = text.partition(f"{_TEXT_BEGIN}\n")
    if found and f"{_TEXT_END}\n" in rest:
        return before + ours + rest.partition(f"{_TEXT_END}\n")[2]
    if not text.strip():
        return f"\n# {title}\n\n{ours}"
    return text + ("\n" if text.endswith("\n") else "\n\n") + ours
