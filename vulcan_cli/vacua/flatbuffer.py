"""FlatBuffers, as far as Arrow's schema messages need them.

Google's package imports NumPy wherever that is installed, which takes a worker longer than all
the rest of `stage`. Layout: https://flatbuffers.dev/internals. A table is a tuple of slots, a
vector a list of tables, a string a str; offsets always point forward, to a child after its parent.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias, Union


class Scalar(NamedTuple):
    """A number in a table.

    Attributes:
        code: Its width, as `struct` says it: `?`, `B`, `h` or `i`.
        value: The number.
    """

    code: str
    value: int


Node: TypeAlias = Union[  # noqa: UP007
    str, bytes, list["Node"], tuple[Union["Node", Scalar, None], ...]
]
"""What an offset points to. Bytes are what `written` made of another node, to be used again."""


def written(root: Node) -> bytes:
    """A buffer with this root table, a multiple of eight bytes long."""
    writer = _Writer()
    writer.refer(0, root)
    writer.finish()
    return bytes(writer.out) + bytes(-len(writer.out) % 8)


class _Writer:
    """Appends nodes to a buffer that begins with the offset of its root."""

    def __init__(self) -> None:
        self.out = bytearray(4)
        self._vtables: defaultdict[bytes, list[int]] = defaultdict(list)

    def refer(self, place: int, node: Node) -> None:
        """Append a node and point to it from a place left free for that."""
        if isinstance(node, bytes):
            # All offsets are relative, so that it means the same anywhere.
            position = self._append(node)
            position += struct.unpack_from("<I", node)[0]
        elif isinstance(node, str):
            position = self._string(node.encode())
        elif isinstance(node, list):
            position = self._vector(node)
        else:
            position = self._table(node)
        struct.pack_into("<I", self.out, place, position - place)

    def finish(self) -> None:
        """Append the vtables, each once; Polars takes none that stands before its table."""
        for vtable, tables in self._vtables.items():
            position = self._append(vtable)
            for table in tables:
                struct.pack_into("<i", self.out, table, table - position)

    def _string(self, text: bytes) -> int:
        return self._append(struct.pack("<I", len(text)) + text + b"\0")

    def _vector(self, nodes: list[Node]) -> int:
        position = self._append(struct.pack("<I", len(nodes)) + bytes(4 * len(nodes)))
        for number, node in enumerate(nodes, start=1):
            self.refer(position + 4 * number, node)
        return position

    def _table(self, slots: tuple[Node | Scalar | None, ...]) -> int:
        # Each slot takes four bytes, wide enough for all that we write.
        there = [slot for slot in slots if slot is not None]
        places = iter(range(4, 4 + 4 * len(there), 4))
        offsets = [0 if slot is None else next(places) for slot in slots]
        sizes = (4 + 2 * len(slots), 4 + 4 * len(there))
        position = self._append(bytes(sizes[1]))
        self._vtables[struct.pack(f"<{2 + len(slots)}H", *sizes, *offsets)].append(position)
        for number, slot in enumerate(there, start=1):
            place = position + 4 * number
            if isinstance(slot, Scalar):
                struct.pack_into(f"<{slot.code}", self.out, place, slot.value)
            else:
                self.refer(place, slot)
        return position

    def _append(self, data: bytes) -> int:
        self.out += bytes(-len(self.out) % 4)
        self.out += data
        return len(self.out) - len(data)


class Table:
    """A table in a buffer that may be hostile.

    All methods raise ValueError or struct.error where the buffer points outside of itself.
    """

    __slots__ = ("_buffer", "_position")

    def __init__(self, buffer: bytes, position: int) -> None:
        self._buffer = buffer
        self._position = position

    @classmethod
    def root(cls, buffer: bytes) -> Table:
        """The table that a buffer begins with."""
        return cls(buffer, _target(buffer, 0))

    def number(self, slot: int, code: str) -> int:
        """The number in a slot, as `struct` unpacks that code; 0 where it is absent."""
        place = self._place(slot)
        return 0 if place is None else int(_unpacked(code, self._buffer, place))

    def string(self, slot: int) -> str:
        """The text in a slot; empty where it is absent."""
        start = self.place_of(slot)
        if start is None:
            return ""
        end = start + 4 + _unpacked("I", self._buffer, start)
        if end > len(self._buffer):
            raise ValueError("text that ends outside")
        return self._buffer[start + 4 : end].decode()

    def table(self, slot: int) -> Table | None:
        """The table in a slot, or in a slot of a union."""
        start = self.place_of(slot)
        return None if start is None else Table(self._buffer, start)

    def tables(self, slot: int) -> Iterator[Table]:
        """The tables in a slot that holds a vector of them."""
        start = self.place_of(slot)
        if start is not None:
            yield from tables_at(self._buffer, start)

    def place_of(self, slot: int) -> int | None:
        """Where in the buffer that begins which a slot refers to; None where it is absent."""
        place = self._place(slot)
        return None if place is None else _target(self._buffer, place)

    def _place(self, slot: int) -> int | None:
        vtable = self._position - _unpacked("i", self._buffer, self._position)
        entry = 4 + 2 * slot
        if entry >= _unpacked("H", self._buffer, vtable):
            return None
        offset = _unpacked("H", self._buffer, vtable + entry)
        return self._position + offset if offset else None


def tables_at(buffer: bytes, start: int) -> Iterator[Table]:
    """The tables of a vector that begins at a place.

    Raises:
        ValueError, struct.error: The buffer points outside of itself.
    """
    end = start + 4 + 4 * _unpacked("I", buffer, start)
    if end > len(buffer):
        raise ValueError("vector that ends outside")
    for entry in range(start + 4, end, 4):
        yield Table(buffer, _target(buffer, entry))


def _target(buffer: bytes, place: int) -> int:
    return place + _unpacked("I", buffer, place)


_UNPACK = {code: struct.Struct(f"<{code}").unpack_from for code in "BHIhiq"}


def _unpacked(code: str, buffer: bytes, place: int) -> int:
    # struct counts a negative place from the end.
    if place < 0:
        raise ValueError("offset before the beginning")
    number: int
    (number,) = _UNPACK[code](buffer, place)
    return number
