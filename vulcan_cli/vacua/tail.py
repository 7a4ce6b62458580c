"""The last bytes of a parquet file: where its footer begins, before anything believes it."""

from __future__ import annotations

import os
from typing import IO

from vulcan_cli.vacua.thrift import LIST, SET, fields, length_of_list

LARGEST_FOOTER = 32 << 20
"""A shard of 1,000 columns and 100 row groups stays below it."""

MOST_ENTRIES = 100_000
"""Columns and groups of columns, row groups, key-value pairs: a footer may have so many of each.

Readers make room for all of them at once; real shards have fifty.
"""

_MAGIC = b"PAR1"
_LISTS = {2: "columns", 4: "row groups", 5: "key-value pairs"}


def footer_length(end: bytes, size: int) -> int:
    """The bytes of a footer with its length and magic number.

    Args:
        end: At least the last 8 bytes of the file, where it has so many.
        size: How many bytes may be the footer's.

    Raises:
        ValueError: No footer ends there, or one that is too large to be a shard's.
    """
    length = int.from_bytes(end[-8:-4], "little") + 8
    if end[-4:] != _MAGIC or length > size:
        raise ValueError("no footer at its end")
    if length > LARGEST_FOOTER:
        raise ValueError(f"a footer of {length} bytes")
    return length


def tail_of(file: IO[bytes]) -> bytes:
    """The footer of a file, with its length and magic number.

    Raises:
        ValueError: None ends there, or one that is too large to be a shard's, or holds too much.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    length = footer_length(file.read(8), size)
    file.seek(size - length)
    tail = file.read(length)
    check_entries(tail)
    return tail


def check_entries(tail: bytes) -> None:
    """Make sure that no list of a footer is longer than `MOST_ENTRIES`.

    Args:
        tail: The footer, from its first byte.

    Raises:
        ValueError: One is, or this is no footer.
    """
    # An entry takes a byte at least.
    if len(tail) <= MOST_ENTRIES:
        return
    try:
        for field, kind, place in fields(tail, 0):
            count = length_of_list(tail, place)[0] if kind in (LIST, SET) else 0
            if count > MOST_ENTRIES:
                what = _LISTS.get(field, "entries of one kind")
                raise ValueError(f"its footer has {count} {what}, {MOST_ENTRIES} are read")
    except (IndexError, RecursionError) as error:
        raise ValueError("its footer cannot be followed") from error
