"""Rows as text on a terminal: whatever would steer it becomes escapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import RawIOBase
from typing import BinaryIO, NamedTuple

from vulcan_cli.cli.text import json_printable, printable


class _Form(NamedTuple):
    """How a format ends its lines, and how it escapes what stands in them."""

    end: bytes
    escape: Callable[[str], str]


_FORMS: Mapping[str, _Form] = {
    "csv": _Form(b"\r\n", printable),
    "ndjson": _Form(b"\n", json_printable),
    "json": _Form(b"\n", json_printable),
}


class Escaping(RawIOBase):
    """Passes text of one format on to a stream, line by line, with escapes."""

    def __init__(self, stream: BinaryIO, form: _Form) -> None:
        super().__init__()
        self._stream = stream
        self._form = form
        self._begun = b""

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Take bytes; those of a line that has not ended wait for its end."""
        lines, end, self._begun = (self._begun + bytes(data)).rpartition(self._form.end)
        self._stream.write(self._escaped(lines) + end)
        return len(data)

    def flush(self) -> None:
        """Pass on what is left."""
        rest, self._begun = self._begun, b""
        self._stream.write(self._escaped(rest))
        self._stream.flush()

    def _escaped(self, text: bytes) -> bytes:
        end = self._form.end.decode()
        lines = text.decode(errors="surrogateescape").split(end)
        return end.join(map(self._form.escape, lines)).encode()


def escaping(stream: BinaryIO, form: str) -> Escaping | None:
    """A stream that takes rows of a format for a terminal; None where the format is not text."""
    return Escaping(stream, _FORMS[form]) if form in _FORMS else None
