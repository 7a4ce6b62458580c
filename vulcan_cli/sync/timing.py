"""The clock and the patience of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from threading import Thread
from typing import NamedTuple, TypeVar

_Answer = TypeVar("_Answer")

PATIENCE_S = 300.0
"""How long a run waits in all for a server that says later, unless it was told to wait."""

# How often a run that waits for an answer looks whether it is to end, seconds.
_LOOK_S = 0.1


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


def answer_of(ask: Callable[[], _Answer], stopping: Callable[[], bool]) -> _Answer | None:
    """The answer to a question that changes nothing; None as soon as the run is to end.

    Args:
        ask: The question; an error of it is raised here. A Hub may be silent for two minutes, and
            is left to itself then.
        stopping: Asked while there is no answer.
    """
    answer: Future[_Answer] = Future()
    Thread(target=_answer, args=(ask, answer), daemon=True).start()
    while not stopping():
        if wait([answer], _LOOK_S).done:
            return answer.result()
    return None


def _answer(ask: Callable[[], _Answer], answer: Future[_Answer]) -> None:
    try:
        answer.set_result(ask())
    except BaseException as error:
        answer.set_exception(error)
