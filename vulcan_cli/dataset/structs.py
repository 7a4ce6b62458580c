"""Structs of Thrift's compact protocol taken apart and put together again: footers of parquet.

What is read comes from strangers: whatever is wrong with it is a ValueError. A struct is a dict
from the number of a field to its kind and its value; the same struct gives the same bytes again,
where its writer did as the protocol advises.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vulcan_cli.vacua.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    STRUCT,
    TRUE,
    varint,
    zigzag,
)


class Listing(NamedTuple):
    """A list: the kind of its values, and the values."""

    kind: int
    values: list[Any]


Struct = dict[int, tuple[int, Any]]
"""A value is an int, the bytes of a double or of text, a `Listing`, or a `Struct`; a truth is told
by its kind."""

# Parquet nests eight deep.
_DEEPEST = 32
_WHOLE = frozenset({I16, I32, I64})
_LENGTHS = {TRUE: 0, FALSE: 0, DOUBLE: 8}


def read_struct(data: bytes) -> Struct:
    """The struct at the beginning of some bytes.

    Raises:
        ValueError: There is none.
    """
    reader = _Reader(data)
    try:
        return reader.struct(0)
    except (IndexError, KeyError):
        raise ValueError("it ends within a value, or holds none of parquet") from None


def write_struct(struct: Struct) -> bytes:
    """The bytes of a struct."""
    out = bytearray()
    _put_struct(out, struct)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        found: Struct = {}
        number = 0
        while header := self._byte():
            number = number + (header >> 4) if header >> 4 else zigzag(self._varint())
            kind = header & 15
            found[number] = kind, self._value(kind, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:  # noqa: ANN401 - see `Struct`
        if kind == STRUCT:
            return self.struct(depth)
        if kind == LIST:
            return self._list(depth)
        if kind in _WHOLE:
            return zigzag(self._varint())
        if kind == BYTE:
            return self._byte()
        return self._bytes(self._varint() if kind == BINARY else _LENGTHS[kind])

    def _list(self, depth: int) -> Listing:
        header = self._byte()
        kind, count = header & 15, header >> 4
        count = self._varint() if count == 15 else count
        if count > len(self._data):
            raise ValueError("a list is longer than all there is")
        # In a list a truth takes a byte.
        inner = BYTE if kind in (TRUE, FALSE) else kind
        return Listing(kind, [self._value(inner, depth + 1) for _ in range(count)])

    def _byte(self) -> int:
        byte = self._data[self._place]
        self._place += 1
        return byte

    def _bytes(self, length: int) -> bytes:
        end = self._place + length
        if end > len(self._data):
            raise ValueError("it ends within a value")
        found = self._data[self._place : end]
        self._place = end
        return found

    def _varint(self) -> int:
        number, self._place = varint(self._data, self._place)
        return number


def _put_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in struct.items():
        if 0 < number - before < 16:
            out.append(number - before << 4 | kind)
        else:
            out.append(kind)
            _put_varint(out, _unsigned(number))
        before = number
        _put(out, kind, value)
    out.append(0)


def _put(out: bytearray, kind: int, value: Any) -> None:  # noqa: ANN401 - see `Struct`
    if kind in _WHOLE:
        _put_varint(out, _unsigned(value))
    elif kind == BYTE:
        out.append(value)
    elif kind == LIST:
        _put_list(out, value)
    elif kind == STRUCT:
        _put_struct(out, value)
    else:
        if kind == BINARY:
            _put_varint(out, len(value))
        out += value


def _put_list(out: bytearray, listing: Listing) -> None:
    kind, values = listing
    out.append(min(15, len(values)) << 4 | kind)
    if len(values) >= 15:
        _put_varint(out, len(values))
    inner = BYTE if kind in (TRUE, FALSE) else kind
    for value in values:
        _put(out, inner, value)


def _put_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _unsigned(number: int) -> int:
    """What `zigzag` makes the number of."""
    return number << 1 if number >= 0 else (-number << 1) - 1
