"""Rows that come while a solver works: cut into batches by their number or by their age.

Held is never more than one batch and what was read last. What cuts bytes into rows stands in
`splitters.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import polars as pl

from vulcan_cli.errors import InputRefused

Read = Callable[[float | None], bytes | None]
"""Waits so many seconds for bytes, for ever where None: `b""` at the end, None where none came."""


class Rows(Protocol):
    """Some rows of a stream, as they came."""

    @property
    def first(self) -> int:
        """The number of the first one in the stream, counted from 1."""
        ...

    @property
    def ending(self) -> str:
        """What the name of a file of such rows ends in."""
        ...

    def __len__(self) -> int: ...

    def frame(self, places: Sequence[int]) -> pl.DataFrame:
        """The rows at these places, counted from 0.

        Raises:
            InputRefused: They are not what their format says.
        """
        ...

    def file(self, places: Sequence[int]) -> bytes:
        """A file of the rows at these places, as they came."""
        ...


class Splitter(Protocol):
    """Takes bytes as they come, and gives rows."""

    def __len__(self) -> int:
        """How many whole rows are held."""
        ...

    @property
    def torn(self) -> int:
        """Bytes of a row that is not whole yet."""
        ...

    def feed(self, data: bytes) -> None:
        """Take what came.

        Raises:
            InputRefused: It cannot be cut into rows.
        """
        ...

    def end(self) -> None:
        """The stream has ended by itself: what is left is a row too.

        Raises:
            InputRefused: It ends where no row can.
        """
        ...

    def take(self, most: int | None) -> Rows:
        """Hand over the rows that came first."""
        ...


def batches(
    read: Read,
    rows: Splitter,
    *,
    max_rows: int | None,
    max_age_s: float | None,
    clock: Callable[[], float],
    cut_short: Callable[[], bool] = lambda: False,
) -> Iterator[Rows]:
    """Cut a stream: when so many rows are there, when the oldest is so old, and at the end.

    Args:
        read: Gives what came.
        rows: Cuts it into rows.
        max_rows: The most rows of a batch.
        max_age_s: The longest that a row waits, in seconds.
        clock: Seconds of a steady clock.
        cut_short: Whether the end is not the solver's doing; a torn row is then none.

    Raises:
        InputRefused: The rest cannot be cut into rows. All whole rows before were given.
    """
    waiting = _Waiting(max_age_s, clock)
    going, broken = True, None
    while going:
        data = read(waiting.left())
        try:
            going = _fed(rows, data, cut_short)
        except InputRefused as refusal:
            going, broken = False, refusal
        while max_rows is not None and len(rows) >= max_rows:
            yield rows.take(max_rows)
            waiting.end()
        if len(rows) and (waiting.is_over() or not going):
            yield rows.take(None)
            waiting.end()
    if broken is not None:
        raise broken


def _fed(rows: Splitter, data: bytes | None, cut_short: Callable[[], bool]) -> bool:
    """Give a splitter what was read; whether the stream goes on."""
    if data:
        rows.feed(data)
    elif data is not None and not cut_short():
        rows.end()
    return data != b""


class _Waiting:
    """How long the oldest row that is held has been waiting."""

    def __init__(self, longest_s: float | None, clock: Callable[[], float]) -> None:
        self._longest_s = longest_s
        self._clock = clock
        self._since: float | None = None

    def left(self) -> float | None:
        """Seconds until it has waited long enough; None where no row waits, or any time will do."""
        if self._longest_s is None or self._since is None:
            return None
        return max(0.0, self._since + self._longest_s - self._clock())

    def is_over(self) -> bool:
        """Whether a row that is there has waited long enough; from now on, one is there."""
        if self._since is None:
            self._since = self._clock()
        return self.left() == 0

    def end(self) -> None:
        """No row waits any more."""
        self._since = None
