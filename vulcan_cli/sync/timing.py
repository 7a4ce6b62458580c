"""The clock and the patience of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

PATIENCE_S = 300.0
"""How long a run waits in all for a server that says later, unless it was told to wait."""


class Clock(NamedTuple):
    """Where time comes from, so that tests can give their own.

    Attributes:
        now: Unix seconds.
        sleep: Waits so many seconds.
        monotonic: Seconds that only ever grow, also where somebody sets the clock.
    """

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Patience:
    """How long a run may still wait.

    Attributes:
        clock: Tells time and sleeps.
        left_s: Seconds that it may still wait; None for as long as it takes.
        longest_s: No single wait is longer than this: the window of the budget.
        stopping: Asked while waiting; True ends the wait at once.
    """

    clock: Clock
    left_s: float | None
    longest_s: float
    stopping: Callable[[], bool] = field(default=lambda: False)

    def wait_until(self, moment: float) -> bool:
        """Wait until then; False at once where patience does not reach that far, or on a stop."""
        seconds = min(max(0.0, moment - self.clock.now()), self.longest_s)
        if self.left_s is not None:
            if seconds > self.left_s:
                return False
            self.left_s -= seconds
        while seconds > 0 and not self.stopping():
            self.clock.sleep(min(seconds, 1.0))
            seconds -= 1.0
        return not self.stopping()
