"""Smallest and largest values of some columns, from the statistics in a footer.

The two writers we know, Polars and pyarrow, lay a column chunk out in a few ways, so a pattern
finds what a walk through all of a footer's fields would. Where it finds anything else than one
chunk for each row group, nothing is known of that column.

Numbers of types and fields follow the Parquet format (`parquet.thrift`, compact protocol).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Mapping

from vulcan_cli.vacua.arrow_ipc import KEY

# Bytes of a number; 7 bits in each, the highest says that more follow.
_N = rb"[\x80-\xff]*[\x00-\x7f]"
# Codec, values, bytes and bytes packed; then offsets: of data, of an index, of a dictionary.
_SIZES = rb"\x15N\x16N\x16N\x16N"
_OFFSETS = rb"\x26N(?:\x26N\x1c|\x3c|\x16N(?:\x16N\x1c|\x2c))"
# The old maximum and minimum, which nobody reads, the number of nulls, that of distinct values.
_COUNTS = rb"(?:\x18W.{W}\x18W.{W}\x16N|\x36N)(?:\x16N\x18|\x28)"

_SIZE_OF = {"d": 8, "i": 4, "?": 1}

_KEY_VALUES = KEY.encode()


class BoundsReader:
    """Reads the bounds of some columns from footers."""

    def __init__(self, types: Iterable[tuple[str, str]]) -> None:
        """Bind a reader.

        Args:
            types: Columns, each with its type as `struct` calls it: `d`, `i` or `?`.
        """
        columns = tuple(types)
        self._places = {_spelled(name): place for place, (name, _) in enumerate(columns)}
        self._width = 2 * len(columns)
        self._unpack = {size: struct.Struct(f"<2{code}").unpack for code, size in _SIZE_OF.items()}
        self._pattern = _pattern(
            {
                size: [name for name, kind in columns if kind == code]
                for code, size in _SIZE_OF.items()
            }
        )

    def read(
        self, footer: bytes, start: int, n_groups: int, trusted: Collection[int]
    ) -> list[float | None]:
        """The smallest and the largest value of each column, in their order; None where unknown.

        Args:
            footer: The metadata of a parquet file.
            start: Where its row groups begin.
            n_groups: How many row groups it has.
            trusted: Places of the columns that have the type they were given with.
        """
        found: dict[int, tuple[float, float, int]] = {}
        # Behind the row groups stands text of the writer's own.
        end = footer.find(_KEY_VALUES, start)
        for groups in self._pattern.findall(footer, start, end):
            name, largest, smallest = filter(None, groups)
            low, high = self._unpack[len(largest)](smallest + largest)
            place = self._places[name]
            if place in found:
                below, above, count = found[place]
                found[place] = min(low, below), max(high, above), count + (low <= high)
            else:
                # NaN is neither below nor above anything.
                found[place] = low, high, int(low <= high)
        bounds: list[float | None] = [None] * self._width
        for place, (low, high, count) in found.items():
            if count == n_groups and place in trusted:
                bounds[2 * place : 2 * place + 2] = float(low), float(high)
        return bounds


def _spelled(name: str) -> bytes:
    return bytes([len(name)]) + name.encode()


def _pattern(names: Mapping[int, Iterable[str]]) -> re.Pattern[bytes]:
    """Finds chunks of columns whose values take so many bytes: name, maximum, minimum."""
    chunks = [_chunk(columns, size) for size, columns in names.items() if columns]
    return re.compile(rb"\x19\x18(?:" + b"|".join(chunks) + b")", re.DOTALL)


def _chunk(names: Iterable[str], size: int) -> bytes:
    spelled = b"|".join(re.escape(_spelled(name)) for name in names)
    value = rb"\x%02x(.{%d})" % (size, size)
    chunk = _SIZES + _OFFSETS + _COUNTS + value + rb"\x18" + value
    chunk = chunk.replace(b"N", _N).replace(b"W.{W}", rb"\x%02x.{%d}" % (size, size))
    return b"(" + spelled + b")" + chunk
