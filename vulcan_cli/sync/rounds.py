"""A sync that stays and repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.timing import Clock, Patience


def rounds(
    run: Callable[[], SyncReport],
    *,
    every_s: float | None,
    clock: Clock,
    stopping: Callable[[], bool],
) -> Iterator[SyncReport]:
    """Run a sync once, or again and again.

    Args:
        run: One sync.
        every_s: Seconds from the start of one to the start of the next; None for once.
        clock: Time.
        stopping: Asked between rounds and while waiting; True ends it.
    """
    while True:
        began = clock.now()
        yield run()
        if every_s is None or stopping():
            return
        patience = Patience(clock, None, every_s, stopping)
        if not patience.wait_until(began + every_s):
            return


def until(deadline: float | None, clock: Clock, stopping: Callable[[], bool]) -> Callable[[], bool]:
    """`stopping`, and also once the clock has reached the deadline (unix seconds, or None)."""
    return lambda: stopping() or (deadline is not None and clock.now() >= deadline)
