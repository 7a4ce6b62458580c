"""Processes that are forked while Polars has threads, for which it would wait there for ever."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from vulcan_cli.errors import UsageError

# Those that compute, and those that read files.
_THREAD = re.compile(r"polars-[0-9]+\n|tokio-rt-worker\n")


class _Threads:
    """Whether Polars had threads at the last fork, and whether it lost them by one."""

    had = False
    lost = False

    def look(self) -> None:
        self.had = any(_THREAD.fullmatch(name) for name in _thread_names())

    def lose(self) -> None:
        self.lost = self.lost or self.had


def check_threads() -> None:
    """Make sure that Polars has the threads that it takes itself to have.

    Raises:
        UsageError: This process was forked after they had begun (a ValueError).
    """
    if _threads.lost:
        raise UsageError(
            "this process was forked after Polars had begun threads, for which it would wait for "
            "ever: start workers by spawn or forkserver of multiprocessing"
        )


def _thread_names() -> list[str]:
    """What the threads of this process are called; none where the system does not tell."""
    names = []
    with suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):
                names.append((thread / "comm").read_text(errors="replace"))
    return names


_threads = _Threads()
os.register_at_fork(before=_threads.look, after_in_child=_threads.lose)
