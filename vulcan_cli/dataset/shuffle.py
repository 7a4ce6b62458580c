"""Rows in random order, with no more than a part of them in memory, the same on every machine.

Each row has a key: a hash of the seed and of its place in the input. The result is the rows in the
order of their keys, so it hangs on neither memory nor threads. The first pass deals rows out to
files by the topmost bits of their keys, the second sorts one file after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import polars as pl

_KEY = "\0key"
"""The column of keys; no column of a shard has this name."""

MOST_FILES = 256
"""Files of the first pass at most; a power of two."""

_FILE = "\0file"
"""Likewise, the number of the file that a row goes to."""

_LENGTH = struct.Struct("<Q")
_ALL = 2**64 - 1


def shuffled(
    batches: Iterable[pl.DataFrame], seed: int, folder: Path, *, files: int = 1
) -> Iterator[pl.DataFrame]:
    """The rows of all batches in the order of their keys, one frame for each file.

    Args:
        batches: The rows, in their order; how they are cut does not matter.
        seed: Another seed is another order.
        folder: Where files of the first pass go, if there is more than one; none stays.
        files: How many, a power of two; this many parts of the rows need no more memory than one.

    Raises:
        OSError: A file cannot be written or read.
    """
    keyed = _with_keys(batches, seed)
    if files == 1:
        frames = list(keyed)
        if frames:
            yield _in_order(frames)
        return
    paths = [folder / f".shuffle-{number:03}" for number in range(files)]
    try:
        _deal(keyed, paths)
        for path in paths:
            frames = list(_read(path))
            path.unlink()
            if frames:
                yield _in_order(frames)
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def files_for(n_bytes: int, most_bytes: int) -> int:
    """How many files keep each near `most_bytes`: a power of two, at most `MOST_FILES`."""
    files = 1
    while files < MOST_FILES and n_bytes > files * most_bytes:
        files *= 2
    return files


def key(seed: int, places: pl.Expr) -> pl.Expr:
    """SplitMix64 (Steele, Lea and Flood, 2014) of a place, begun at the hash of the seed."""
    begin = pl.lit(_mixed(seed % 2**64), dtype=pl.UInt64)
    number = (places ^ begin) + _number(0x9E3779B97F4A7C15)
    number = (number ^ (number // _number(2**30))) * _number(0xBF58476D1CE4E5B9)
    number = (number ^ (number // _number(2**27))) * _number(0x94D049BB133111EB)
    return number ^ (number // _number(2**31))


def _mixed(number: int) -> int:
    number = (number + 0x9E3779B97F4A7C15) & _ALL
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _ALL
    return number ^ (number >> 31)


def _number(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.UInt64)


def _with_keys(batches: Iterable[pl.DataFrame], seed: int) -> Iterator[pl.DataFrame]:
    first = 0
    for batch in batches:
        places = pl.int_range(first, first + batch.height, dtype=pl.UInt64)
        yield batch.with_columns(key(seed, places).alias(_KEY))
        first += batch.height


def _in_order(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).sort(_KEY).drop(_KEY)


def _deal(batches: Iterable[pl.DataFrame], paths: list[Path]) -> None:
    width = 2**64 // len(paths)
    number = (pl.col(_KEY) // _number(width)).alias(_FILE)
    with ExitStack() as stack:
        streams = [stack.enter_context(path.open("wb")) for path in paths]
        for batch in batches:
            parts = batch.with_columns(number).partition_by(_FILE, as_dict=True, include_key=False)
            for (place,), part in parts.items():
                data = BytesIO()
                part.write_ipc_stream(data)
                streams[place].write(_LENGTH.pack(data.getbuffer().nbytes) + data.getbuffer())


def _read(path: Path) -> Iterator[pl.DataFrame]:
    with path.open("rb") as stream:
        while head := stream.read(_LENGTH.size):
            yield pl.read_ipc_stream(BytesIO(stream.read(*_LENGTH.unpack(head))))
