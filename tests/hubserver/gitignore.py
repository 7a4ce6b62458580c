"""Which paths a root `.gitignore` hides."""

from __future__ import annotations

import re
from collections.abc import Callable


def ignore_rules(text: str) -> Callable[[str], bool]:
    """Compile the text of a `.gitignore`; the result tells whether a file path is hidden."""
    rules = [rule for line in text.splitlines() if (rule := _rule(line)) is not None]

    def ignored(path: str) -> bool:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            if _last_word(rules, "/".join(parts[:depth]), is_folder=depth < len(parts)):
                return True
        return False

    return ignored


_Rule = tuple[re.Pattern[str], bool, bool]


def _last_word(rules: list[_Rule], path: str, *, is_folder: bool) -> bool:
    """The last rule that matches decides."""
    verdict = False
    for pattern, folders_only, hides in rules:
        if (is_folder or not folders_only) and pattern.fullmatch(path):
            verdict = hides
    return verdict


def _rule(line: str) -> _Rule | None:
    """One line as (pattern, only for folders, hides rather than shows), if it is a rule."""
    line = re.sub(r"(?<!\\) +$", "", line)
    if not line or line.startswith("#"):
        return None
    hides = not line.startswith("!")
    line = line if hides else line[1:]
    folders_only = line.endswith("/")
    body = line.rstrip("/")
    anchored = "/" in body
    return (
        re.compile(("" if anchored else "(?:.*/)?") + _translate(body.lstrip("/"))),
        folders_only,
        hides,
    )


_GLOB = re.compile(r"(\*\*/)|(/\*\*$)|(\*+)|(\?)|(\[!?[^\]]+\])|\\(.)|(.)", re.DOTALL)


def _translate(glob: str) -> str:
    """A gitignore glob as a regular expression."""
    return "".join(_piece(match) for match in _GLOB.finditer(glob))


def _piece(match: re.Match[str]) -> str:
    deep, below, star, one, group, escaped, plain = match.groups()
    if deep:
        return "(?:.*/)?"
    if below:
        return "/.+"
    if star:
        return "[^/]*"
    if one:
        return "[^/]"
    if group:
        return "[^" + group[2:] if group.startswith("[!") else str(group)
    return re.escape(escaped or plain)
