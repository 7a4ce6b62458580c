"""Names in one option: `--columns a,b`; one in double quotes, as in CSV, may hold any text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vulcan_cli.errors import UsageError

_NAME = re.compile(r'\s*(?P<sign>-?)"(?P<quoted>(?:[^"]|"")*)"\s*,|(?P<plain>[^,]*),')
"""A name and the comma behind it; a quote that does not end where a name ends is a letter."""

_LIKE_QUOTED = re.compile('-?"')


def split_names(text: str | None) -> tuple[str, ...] | None:
    """Read `a,b`; None where nothing was given.

    `"a, ""b"` is the one name `a, "b`; `-"a,b"` is `-a,b`, as `--sort` has it.

    Raises:
        UsageError: There is nothing where a name should be.
    """
    if text is None:
        return None
    names = []
    for found in _NAME.finditer(f"{text},"):
        sign, quoted, plain = found["sign"], found["quoted"], found["plain"]
        name = plain.strip() if quoted is None else sign + quoted.replace('""', '"')
        if not name:
            raise UsageError(f"names are written a,b, not {text!r}")
        names.append(name)
    return tuple(names)


def join_names(names: Iterable[str]) -> str:
    """The text that `split_names` reads as these names, without an empty one: it reads none."""
    return ",".join(_written(name) for name in names if name)


def _written(name: str) -> str:
    if "," in name or name != name.strip() or _LIKE_QUOTED.match(name):
        return '"{}"'.format(name.replace('"', '""'))
    return name
