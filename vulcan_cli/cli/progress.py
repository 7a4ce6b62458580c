"""How far a long work is: a bar on a terminal, once the work takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from threading import Lock

from vulcan_cli.cli.text import printable
from vulcan_cli.environment import Display

PROGRESS_AFTER_S = 1.0
"""What is done sooner shows no progress bar."""


class Counter:
    """Turns how much is done of how much into steps of a bar; threads may tell it out of order."""

    def __init__(self, begin: Callable[[int], Callable[..., None]]) -> None:
        self._begin = begin
        self._advance: Callable[..., None] | None = None
        self._done = 0
        self._lock = Lock()

    def tell(self, done: int, total: int) -> None:
        """Note that so many of so many things are done."""
        with self._lock:
            if self._advance is None or not done:
                self._advance, self._done = self._begin(total), 0
            if done > self._done:
                self._advance(done - self._done)
                self._done = done


class Bar:
    """A progress bar that appears only when the work takes longer than a moment."""

    def __init__(self, what: str, total: int, display: Display) -> None:
        self._what = what
        self._total = total
        self._display = display
        self._done = 0
        self._since = time.monotonic()
        self._stop: Callable[[], None] | None = None
        self._update: Callable[[int, str], None] | None = None
        self._print: Callable[[str], None] | None = None

    def advance(self, n: int, note: str = "") -> None:
        """Note that so many more things are done, and what else there is to say."""
        self._done += n
        if self._update is None and time.monotonic() - self._since >= PROGRESS_AFTER_S:
            self._start()
        if self._update is not None:
            self._update(self._done, printable(note))

    def print_above(self, line: str) -> bool:
        """Write a line above the bar, as it is; False where no bar is drawn."""
        if self._print is None:
            return False
        self._print(line)
        return True

    def stop(self) -> None:
        """Take the bar away."""
        if self._stop is not None:
            self._stop()
        self._stop, self._update, self._print = None, lambda *_: None, None

    def _start(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - rich is slow to load
        from rich.markup import escape  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True, no_color=not self._display.color)
        bar = Progress(
            TextColumn(escape(self._what)),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        bar.start()
        task = bar.add_task("", total=self._total, note="")
        self._stop = bar.stop
        self._print = partial(
            console.print, markup=False, emoji=False, highlight=False, soft_wrap=True
        )
        self._update = lambda done, note: bar.update(task, completed=done, note=escape(note))
