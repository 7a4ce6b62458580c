"""Where in a text of SQL something stands, in words that end a sentence; and its own texts."""

from __future__ import annotations

import re

# Text, comments, quoted names, words, and each other sign.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|"(?:[^"]|"")*"|`[^`]*`|\w+|\S""", re.DOTALL
)
_QUOTES = '"`'
# What Polars writes into a plan as it is, where it means another thing.
_MISLEADING = re.compile(r'["\\\n]')


def at(text: str, word: str) -> str:
    """`, at character 7`: where a name, function or sign stands; nothing where it does not."""
    names = _names(text)
    for wanted, spelled in ((word, str), (word.lower(), str.lower)):
        for offset, name in names:
            if spelled(name) == wanted:
                before = text[:offset]
                return at_line(text, before.count("\n") + 1, offset - before.rfind("\n"))
    return ""


def at_line(text: str, line: int, column: int) -> str:
    """`, at character 7`, with the line where there are several."""
    return ", at " + (f"line {line}, " if "\n" in text else "") + f"character {column}"


def plain_texts(sql: str) -> str:
    """The same statement with another letter for each in its texts that a plan does not escape."""
    return _TOKEN.sub(
        lambda token: _MISLEADING.sub("x", token[0]) if token[0][0] == "'" else token[0], sql
    )


def _names(text: str) -> list[tuple[int, str]]:
    """Names and signs with their offsets; last those that the text itself gives by AS."""
    asked: list[tuple[int, str]] = []
    given: list[tuple[int, str]] = []
    before = ""
    for token in _TOKEN.finditer(text):
        word = token[0]
        quote = word[0] if word[0] in _QUOTES else ""
        name = word[1:-1].replace(quote * 2, quote) if quote else word
        (given if before.lower() == "as" else asked).append((token.start(), name))
        before = word
    return asked + given
