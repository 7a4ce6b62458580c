"""The last bytes of a parquet file: where its footer begins, before anything believes it."""

from __future__ import annotations

import os
from typing import IO

LARGEST_FOOTER = 64 << 20
"""A shard of 1,000 columns and 100 row groups stays below it."""

_MAGIC = b"PAR1"


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
        ValueError: None ends there, or one that is too large to be a shard's.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    length = footer_length(file.read(8), size)
    file.seek(size - length)
    return file.read(length)
