"""Thrift's compact protocol, as far as parquet's footers and page headers need it.

Numbers of types follow the Thrift specification. Bytes here may be anyone's: what is no Thrift
raises `IndexError`, `ValueError` or `RecursionError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
"""Kinds of values."""

_MOST_BITS = 63
_LONG_LIST = 15
_READ = {I16, I32, I64, BINARY, LIST, STRUCT}


def varint(data: bytes, place: int) -> tuple[int, int]:
    """The number that begins at `place`, and where it has ended."""
    number = shift = 0
    while True:
        byte = data[place]
        number |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return number, place
        shift += 7
        if shift > _MOST_BITS:
            raise ValueError("a number of more than 64 bits")


def zigzag(number: int) -> int:
    """The signed number that a varint stands for."""
    return number >> 1 ^ -(number & 1)


Reader = Callable[[bytes, int], tuple[Any, int]]
"""Reads the value that begins at a place: the value, and where it has ended."""


def number(data: bytes, place: int) -> tuple[int, int]:
    """A `Reader` of whole numbers."""
    raw, end = varint(data, place)
    return zigzag(raw), end


def text(data: bytes, place: int) -> tuple[bytes, int]:
    """A `Reader` of bytes."""
    length, start = varint(data, place)
    return data[start : start + length], start + length


def listed(read: Reader) -> Reader:
    """A `Reader` of lists of what `read` reads."""

    def read_list(data: bytes, place: int) -> tuple[list[Any], int]:
        count, place = length_of_list(data, place)
        values = []
        for _ in range(count):
            value, place = read(data, place)
            values.append(value)
        return values, place

    return read_list


def struct(data: bytes, place: int, readers: Mapping[int, Reader]) -> tuple[dict[int, Any], int]:
    """The fields of a struct that have a reader, by their numbers; and where it has ended."""
    found: dict[int, Any] = {}
    field = 0
    while data[place] != STOP:
        header = data[place]
        place += 1
        field += header >> 4
        if not header >> 4:
            field, place = number(data, place)
        kind = header & 15
        if field in readers and kind in _READ:
            found[field], place = readers[field](data, place)
        elif field in readers:
            raise ValueError(f"field {field} is of kind {kind}")
        elif kind not in (TRUE, FALSE):
            place = skip(data, place, kind)
    return found, place + 1


def fields(data: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a struct: the number of each, its kind, and where its value begins.

    The last is of kind `STOP`, and what begins there is behind the struct.
    """
    field = 0
    while header := data[place]:
        place += 1
        field += header >> 4
        if not header >> 4:
            field, place = number(data, place)
        kind = header & 15
        yield field, kind, place
        # These two stand in the header.
        place = place if kind in (TRUE, FALSE) else skip(data, place, kind)
    yield field, STOP, place + 1


def length_of_list(data: bytes, place: int) -> tuple[int, int]:
    """How many values the list has that begins at `place`, and where the first of them begins."""
    count, place = data[place] >> 4, place + 1
    return varint(data, place) if count == _LONG_LIST else (count, place)


def skip(data: bytes, place: int, kind: int) -> int:
    """Where the value of this kind, which begins at `place`, has ended."""
    # Most values are numbers and texts of one byte's length, and a footer has hundreds.
    if I16 <= kind <= I64:
        return place + 1 if data[place] < 128 else varint(data, place)[1]
    if kind == BINARY:
        length, start = varint(data, place)
        return start + length
    if kind == STRUCT:
        return _skip_struct(data, place)
    if kind in (LIST, SET):
        return _skip_list(data, place)
    if kind in (BYTE, DOUBLE):
        return place + (1 if kind == BYTE else 8)
    raise ValueError(f"parquet holds no values of kind {kind} here")


def _skip_list(data: bytes, place: int) -> int:
    kind = data[place] & 15
    count, place = length_of_list(data, place)
    # Each takes a byte at least, and a count alone must not keep anybody busy.
    if count > len(data) - place:
        raise ValueError("a list that is longer than its bytes")
    for _ in range(count):
        place = place + 1 if kind in (TRUE, FALSE) else skip(data, place, kind)
    return place


def _skip_struct(data: bytes, place: int) -> int:
    while header := data[place]:
        place += 1
        if header < 16:
            place = varint(data, place)[1]
        kind = header & 15
        if not TRUE <= kind <= FALSE:
            place = skip(data, place, kind)
    return place + 1
