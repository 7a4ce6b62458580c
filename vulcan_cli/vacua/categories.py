"""Categories of a column as Polars notes them beside its field, read before Polars reads them.

It takes each length that stands there for true, and panics where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ENUMS = {"_PL_ENUM_VALUES", "_PL_ENUM_VALUES2"}
_NAMED = "_PL_CATEGORICAL2"
_LENGTH = re.compile(rb"([0-9]{1,18});")
# The name and the namespace come before the type of the numbers that stand for categories.
_PHYSICAL = re.compile(rb"u(?:8|16|32);")


def check_categories(key: str, value: str) -> None:
    """Make sure of a note beside a field; one that is not about categories is left alone.

    Raises:
        ValueError: Polars would panic over it.
    """
    if key in _ENUMS:
        found = [text for text, _ in _texts(value.encode())]
        if len(set(found)) < len(found):
            raise ValueError("a category twice")
    elif key == _NAMED:
        data = value.encode()
        texts = _texts(data)
        next(texts, None)
        _, end = next(texts, (b"", 0))
        if not _PHYSICAL.match(data, end):
            raise ValueError("categories of no type")


def _texts(data: bytes) -> Iterator[tuple[str, int]]:
    """Texts that each stand behind their length in bytes, and where each ends."""
    place = 0
    while place < len(data):
        length = _LENGTH.match(data, place)
        if length is None:
            raise ValueError("a category without its length")
        start, place = length.end(), length.end() + int(length[1])
        if place > len(data):
            raise ValueError("a category longer than all there is")
        yield data[start:place].decode(), place
