"""Names in one option: `--columns a,b`; one in double quotes, as in CSV, may hold any text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from vulcan_cli.errors import UsageError

_NAME = re.compile(r'\s*(?P<sign>-?)"(?P<quoted>(?:[^"]|"")*)"\s*,|(?P<plain>[^,]*),')
"""A name and the comma behind it; a quote that does not end where a name ends is a letter."""

_LIKE_QUOTED = re.compile('-?"')


def split_names(texts: Sequence[str] | None) -> tuple[str, ...] | None:
    """Read `a,b` of each time that an option was given; None where it was not.

    `"a, ""b"` is the one name `a, "b`; `-"a,b"` is `-a,b`.

    Raises:
        UsageError: There is nothing where a name should be.
    """
    if texts is None:
        return None
    return tuple(sign + name for sign, name, _ in _parts(texts))


def split_order(texts: Sequence[str] | None) -> tuple[tuple[str, bool], ...]:
    """Read `a,-b` likewise: names, each with whether it descends; none where nothing was given.

    `-"a,b"` is the one name `a,b`, and `"-a"` the name `-a`.

    Raises:
        UsageError: There is nothing where a name should be.
    """
    if texts is None:
        return ()
    return tuple(
        (name, bool(sign)) if is_quoted else (name.removeprefix("-"), name.startswith("-"))
        for sign, name, is_quoted in _parts(texts)
    )


def _parts(texts: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """The sign before a quoted name, the name, and whether it is quoted."""
    for text in texts:
        for found in _NAME.finditer(f"{text},"):
            sign, quoted = found["sign"] or "", found["quoted"]
            name = found["plain"].strip() if quoted is None else quoted.replace('""', '"')
            if not sign + name:
                raise UsageError(f"names are written a,b, not {text!r}")
            yield sign, name, quoted is not None


def join_names(names: Iterable[str]) -> str:
    """The text that `split_names` reads as these names, without an empty one: it reads none."""
    return ",".join(_written(name) for name in names if name)


def _written(name: str) -> str:
    if "," in name or name != name.strip() or _LIKE_QUOTED.match(name):
        return '"{}"'.format(name.replace('"', '""'))
    return name
