"""A pipe that is read as it fills, while signals are wishes and not the end."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vulcan_cli.interrupts import interrupt

_CHUNK = 2**16
_IN_A_PIPE = 2**20
"""The most that Linux lets anyone have in a pipe."""


class Feed:
    """What comes through a descriptor, until it ends or a signal asks to stop.

    Attributes:
        asked: The signal that asked to stop, or None.
        ended: Whether its writers have ended it, and all is read.
    """

    def __init__(self, fd: int) -> None:
        self.asked: int | None = None
        self.ended = False
        self._waits = True
        self._fd = fd
        self._held = b""
        self._left = _IN_A_PIPE
        self._wake, self._woken = os.pipe()

    def start(self, size: int) -> bytes:
        """The first bytes, which stay to be read; fewer where it ends or a signal asks to stop."""
        while len(self._held) < size:
            data = self._next(None)
            if not data:
                break
            self._held += data
        return self._held[:size]

    def rest(self) -> bytes:
        """All that comes until the end, whatever signals say."""
        chunks = [self._held]
        while data := os.read(self._fd, _CHUNK):
            chunks.append(data)
        return b"".join(chunks)

    def read(self, seconds: float | None) -> bytes | None:
        """What came; `b""` at the end, None where nothing came for so long.

        Once a signal has asked to stop, the end is when what is in the pipe by now has been read:
        a solver may go on writing.
        """
        data, self._held = self._held, b""
        return data or self._next(seconds)

    def wait_no_more(self) -> None:
        """Let the end be when what is in the pipe by now has been read."""
        self._waits = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let SIGTERM and Ctrl-C ask to stop; a second Ctrl-C interrupts as ever."""
        handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
        for each in handlers:
            signal.signal(each, self._ask)
        try:
            yield
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)
            os.close(self._wake)
            os.close(self._woken)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked is None:
            os.write(self._woken, b"!")
        self.asked = number
        signal.signal(signal.SIGINT, interrupt)

    def _next(self, seconds: float | None) -> bytes | None:
        if self.asked is None and self._waits:
            ready, _, _ = select.select([self._fd, self._wake], [], [], seconds)
            if not ready:
                return None
            if self.asked is None:
                return self._read()
        return self._what_is_there()

    def _what_is_there(self) -> bytes:
        ready, _, _ = select.select([self._fd], [], [], 0)
        if not ready or self._left <= 0:
            return b""
        data = self._read()
        self._left -= len(data)
        return data

    def _read(self) -> bytes:
        data = os.read(self._fd, _CHUNK)
        self.ended = not data
        return data
