"""From bytes to rows: NDJSON, CSV with a header and Arrow's IPC stream, cut as they come."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import polars as pl

from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.vacua.csv_text import ends_in_quotes, is_before_header, is_one_row
from vulcan_cli.vacua.flatbuffer import Table
from vulcan_cli.vacua.inputs import frame_of
from vulcan_cli.vacua.stream import Splitter

STREAMS = ("ndjson", "csv", "arrow")
"""The formats that can be cut while they come."""

LONGEST_ROW = 2**26
"""Bytes of the longest line, and of the longest message of Arrow's, times sixteen."""

_BOM = b"\xef\xbb\xbf"
_CONTINUATION = b"\xff\xff\xff\xff"
_DICTIONARY, _BATCH = 2, 3


def splitter(kind: str) -> Splitter:
    """What cuts a format of `STREAMS` into rows."""
    return ArrowSplitter() if kind == "arrow" else LineSplitter(kind)


@dataclass(frozen=True, slots=True)
class TextRows:
    """Lines of NDJSON or records of CSV; see `Rows`."""

    first: int
    ending: str
    head: bytes
    lines: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.lines)

    def frame(self, places: Sequence[int]) -> pl.DataFrame:
        """See `Rows`."""
        try:
            return frame_of(self.file(places), self.ending, name="the stream")
        except InputRefused:
            self._refuse_torn(places)
            raise

    def _refuse_torn(self, places: Sequence[int]) -> None:
        """Refuse what a quote without an end made one row of: it shifts others' numbers."""
        if self.ending != "csv":
            return
        lines = enumerate((self.lines[place] for place in places), start=1)
        torn = [number for number, line in lines if not is_one_row(line, self.head)]
        if torn:
            message = "is no CSV: a quote opens here, and the row does not end"
            raise InputRefused(*(Problem(message, row=number) for number in torn))

    def file(self, places: Sequence[int]) -> bytes:
        """See `Rows`."""
        return self.head + b"".join(self.lines[place] for place in places)


class LineSplitter:
    """Cuts text: at ends of lines, but not inside quotes of CSV; empty lines are no rows."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._head = b""
        self._wants_head = kind == "csv"
        self._lines: list[bytes] = []
        self._torn: list[bytes] = []
        self._size = 0
        self._seen = 0
        self._in_quotes = False
        self._given = 0
        self._begun = False

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def torn(self) -> int:
        """See `Splitter`."""
        return self._size

    def feed(self, data: bytes) -> None:
        """See `Splitter`."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._piece(line + b"\n")
            if not self._goes_on():
                self._row()
        if rest:
            self._piece(rest)
        if self._size > LONGEST_ROW:
            message = f"is longer than {LONGEST_ROW} bytes without an end"
            raise InputRefused(Problem(message, row=self._next()))

    def end(self) -> None:
        """See `Splitter`."""
        if self._size:
            self._torn.append(b"\n")
            self._row()

    def take(self, most: int | None) -> TextRows:
        """See `Splitter`."""
        lines, self._lines = self._lines[:most], [] if most is None else self._lines[most:]
        first = self._given + 1
        self._given += len(lines)
        return TextRows(first, self._kind, self._head, lines)

    def _next(self) -> int:
        return self._given + len(self._lines) + 1

    def _piece(self, text: bytes) -> None:
        self._torn.append(text)
        self._size += len(text)

    def _goes_on(self) -> bool:
        """Whether the row goes on behind the line that is whole now."""
        if self._kind == "csv":
            line = b"".join(self._torn[self._seen :])
            self._seen = len(self._torn)
            self._in_quotes = ends_in_quotes(line, inside=self._in_quotes)
        return self._in_quotes

    def _row(self) -> None:
        row = b"".join(self._torn)
        self._torn, self._size, self._seen, self._in_quotes = [], 0, 0, False
        if not self._begun:
            row = row.removeprefix(_BOM)
            self._begun = True
        if not row.strip() or (self._wants_head and is_before_header(row)):
            return
        if self._wants_head:
            self._head, self._wants_head = row, False
        else:
            self._lines.append(row)


@dataclass(frozen=True, slots=True)
class ArrowRows:
    """Rows of an IPC stream; see `Rows`."""

    first: int
    ending: str
    rows: pl.DataFrame

    def __len__(self) -> int:
        return self.rows.height

    def frame(self, places: Sequence[int]) -> pl.DataFrame:
        """See `Rows`."""
        return self.rows if len(places) == len(self) else self.rows[list(places)]

    def file(self, places: Sequence[int]) -> bytes:
        """See `Rows`."""
        out = BytesIO()
        self.frame(places).write_ipc_stream(out)
        return out.getvalue()


class ArrowSplitter:
    """Cuts an IPC stream between its messages: a schema, dictionaries, and batches of rows.

    A message is four bytes FF, the length of its metadata (int32), the metadata, and a body
    (https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format).
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._head: list[bytes] = []
        self._frames: list[pl.DataFrame] = []
        self._n_rows = 0
        self._given = 0
        self._ended = False

    def __len__(self) -> int:
        return self._n_rows

    @property
    def torn(self) -> int:
        """See `Splitter`."""
        return len(self._held)

    def feed(self, data: bytes) -> None:
        """See `Splitter`."""
        self._held += data
        while not self._ended and (size := self._whole_message()):
            message = bytes(self._held[:size])
            del self._held[:size]
            self._message(message)
        if self._ended and self._held:
            raise self._broken("goes on behind its end")

    def end(self) -> None:
        """See `Splitter`."""
        if self._held:
            raise self._broken("ends within a message")

    def take(self, most: int | None) -> ArrowRows:
        """See `Splitter`."""
        together = pl.concat(self._frames) if self._frames else pl.DataFrame()
        taken = together if most is None else together.head(most)
        rest = together.slice(taken.height)
        self._frames, self._n_rows = [rest] if rest.height else [], rest.height
        first = self._given + 1
        self._given += taken.height
        return ArrowRows(first, "arrow", taken)

    def _whole_message(self) -> int:
        """The size of the message at the front; 0 where more of it must come."""
        if len(self._held) < 8:
            return 0
        if self._held[:4] != _CONTINUATION:
            raise self._broken("has no message where one should begin")
        (length,) = struct.unpack_from("<i", self._held, 4)
        if not 0 <= length <= LONGEST_ROW:
            raise self._broken(f"has a message of {length} bytes")
        if len(self._held) < 8 + length:
            return 0
        body = self._root(bytes(self._held[8 : 8 + length])).number(3, "q") if length else 0
        if not 0 <= body <= 16 * LONGEST_ROW:
            raise self._broken(f"has a batch of {body} bytes")
        size = 8 + length + body
        return size if len(self._held) >= size else 0

    def _message(self, message: bytes) -> None:
        if len(message) == 8:
            self._ended = True
            return
        (length,) = struct.unpack_from("<i", message, 4)
        kind = self._root(message[8 : 8 + length]).number(1, "B")
        if kind != _BATCH:
            # A delta adds to its dictionary and any other replaces it: all of them are needed.
            self._head.append(message)
            if sum(map(len, self._head)) > 16 * LONGEST_ROW:
                raise self._broken("has dictionaries without an end")
            return
        end = _CONTINUATION + bytes(4)
        frame = frame_of(b"".join((*self._head, message, end)), "arrow", name="the stream")
        self._frames.append(frame)
        self._n_rows += frame.height

    def _root(self, metadata: bytes) -> Table:
        try:
            root = Table.root(metadata)
            root.number(1, "B")
            root.number(3, "q")
        except (ValueError, struct.error) as error:
            raise self._broken("has a message that cannot be read") from error
        return root

    def _broken(self, how: str) -> InputRefused:
        row = self._given + self._n_rows + 1
        return InputRefused(Problem(f"the Arrow stream {how}, before row {row}"))
