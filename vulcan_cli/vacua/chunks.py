"""The column chunks of a parquet file, read from the bytes of its footer.

A footer has dozens of chunks, each of a dozen fields. Polars and pyarrow lay them out in a few
ways, so a pattern finds what a walk through all fields would; whatever it does not match is walked
through. Numbers of fields and types follow the Parquet format (`parquet.thrift`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from vulcan_cli.vacua.thrift import Reader, listed, number, struct, text

MOST_CHUNKS = 200_000
"""Columns in a file, counted once for each of its row groups; real shards have fifty."""

# Fields of the footer, of a row group, of a column chunk, and of its metadata.
_GROUPS, _COLUMNS, _FILE, _META, _PATH = 4, 1, 1, 3, 3
# Type, values, bytes in the file, and where the pages begin, those of data and of the dictionary.
_NUMBERS = (1, 5, 7, 9, 11)

_N = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_TEXT = b"(?:" + b"|".join(rb"\x%02x.{%d}" % (length, length) for length in range(128)) + b")"


def _begins(*kinds: int) -> bytes:
    """How a field of one of these kinds begins, whatever its number."""
    return (
        b"[" + b"".join(rb"\x%x%x" % (step, kind) for kind in kinds for step in range(1, 16)) + b"]"
    )


# Where the chunk begins, its type and its encodings; a list of paths follows.
_BEFORE_PATH = re.compile(
    rb"\x26N\x1c\x15(N)\x19(?:\x15N|\x25NN|\x35NNN|\x45NNNN)\x19".replace(b"N", _N), re.DOTALL
)
# Codec, values, bytes, bytes packed, where the pages of data begin, and those of a dictionary.
_NUMBERS_BEHIND = rb"\x15N\x16(N)\x16N\x16(N)\x26(N)(?:\x26(N)\x1c|\x3c)"
# Statistics: texts, numbers and truth values.
_STATISTICS = b"(?:%b%b|%bN|%b)*" % (_begins(8), _TEXT, _begins(5, 6), _begins(1, 2)) + rb"\x00"
# How many pages there are of which kind and encoding; how long text is and levels are.
_OF_PAGES = rb"(?:\x19(?:\x1cE|\x2cEE|\x3cEEE))?".replace(b"E", rb"(?:\x15N){3}\x00")
_OF_SIZES = (
    rb"(?:[\x3c\x4c](?:\x16N)?(?:[\x19\x29\x39](?:\x06|\x16N|\x26NN|\x36NNN|\x46NNNN))*\x00)?"
)
_BEHIND_PATH = re.compile(
    (
        _NUMBERS_BEHIND + _STATISTICS + _OF_PAGES + _OF_SIZES + rb"\x00(?:%bN)*\x00" % _begins(5, 6)
    ).replace(b"N", _N),
    re.DOTALL,
)


class Chunk(NamedTuple):
    """A column in one row group.

    Attributes:
        path: The path of the column, its parts joined by dots.
        kind: The number of its type.
        values: How many it holds, with those that are null.
        packed: Bytes of its pages in the file.
        data: Where its pages of data begin.
        dictionary: Where its dictionary begins, if it has one that is said to.
    """

    path: str
    kind: int
    values: int
    packed: int
    data: int
    dictionary: int | None


def chunks_in(footer: bytes) -> list[Chunk]:
    """All column chunks, row group after row group.

    Raises:
        ValueError: They cannot be read, are too many, or lie in another file.
    """
    try:
        found, _ = struct(footer, 0, {_GROUPS: listed(_group)})
        groups = found.get(_GROUPS, [])
        chunks = [chunk for group in groups for chunk in group.get(_COLUMNS, [])]
    except (IndexError, RecursionError, KeyError) as error:
        raise ValueError("unreadable as parquet: its row groups") from error
    if len(chunks) > MOST_CHUNKS:
        raise ValueError(f"{len(chunks)} columns in {len(groups)} row groups")
    return chunks


def _group(data: bytes, place: int) -> tuple[dict[int, Any], int]:
    return struct(data, place, _OF_GROUP)


def _column(data: bytes, place: int) -> tuple[Chunk, int]:
    return _usual(data, place) or _walked(data, place)


def _usual(data: bytes, place: int) -> tuple[Chunk, int] | None:
    """A chunk that is laid out as most are; None for any other."""
    before = _BEFORE_PATH.match(data, place)
    if before is None:
        return None
    parts, end = _path(data, before.end())
    behind = _BEHIND_PATH.match(data, end)
    if behind is None:
        return None
    values, packed, pages, dictionary = behind.groups()
    chunk = Chunk(
        _joined(parts),
        number(before[1], 0)[0],
        number(values, 0)[0],
        number(packed, 0)[0],
        number(pages, 0)[0],
        None if dictionary is None else number(dictionary, 0)[0],
    )
    return chunk, behind.end()


def _walked(data: bytes, place: int) -> tuple[Chunk, int]:
    found, end = struct(data, place, _OF_COLUMN)
    if _FILE in found:
        raise ValueError("unreadable as parquet: a column in another file")
    meta = found[_META]
    kind, values, packed, pages = (meta[field] for field in _NUMBERS[:4])
    return Chunk(_joined(meta[_PATH]), kind, values, packed, pages, meta.get(_NUMBERS[4])), end


def _meta(data: bytes, place: int) -> tuple[dict[int, Any], int]:
    return struct(data, place, _OF_META)


def _joined(parts: list[bytes]) -> str:
    return b".".join(parts).decode(errors="replace")


# Made once: a file has dozens of columns.
_path = listed(text)
_OF_META: Mapping[int, Reader] = {_PATH: _path, **dict.fromkeys(_NUMBERS, number)}
_OF_COLUMN: Mapping[int, Reader] = {_FILE: text, _META: _meta}
_OF_GROUP: Mapping[int, Reader] = {_COLUMNS: listed(_column)}
