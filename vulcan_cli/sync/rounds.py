"""A sync that stays and repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vulcan_cli.errors import SyncAtWork
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.timing import Clock, Patience


def rounds(
    run: Callable[[], SyncReport],
    *,
    every_s: float | None,
    clock: Clock,
    stopping: Callable[[], bool],
    passed: Callable[[SyncAtWork], None] = lambda _: None,
) -> Iterator[SyncReport]:
    """Run a sync once, or again and again.

    Args:
        run: One sync.
        every_s: Seconds from the start of one to the start of the next; None for once.
        clock: Time.
        stopping: Asked between rounds and while waiting; True ends it.
        passed: Told why a round was left out.

    Raises:
        SyncAtWork: Another sync is at work when this one begins; later, only a round is left out.
    """
    is_first = True
    while True:
        began = clock.now()
        try:
            report = run()
        except SyncAtWork as busy:
            if is_first:
                raise
            passed(busy)
        else:
            yield report
        is_first = False
        if every_s is None or stopping():
            return
        patience = Patience(clock, None, every_s, stopping)
        if not patience.wait_until(began + every_s):
            return


def for_at_most(
    seconds: float | None, clock: Clock, stopping: Callable[[], bool]
) -> Callable[[], bool]:
    """`stopping`, and also once so many seconds have passed from now on; None for no end."""
    if seconds is None:
        return stopping
    deadline = clock.monotonic() + seconds
    return lambda: stopping() or clock.monotonic() >= deadline
