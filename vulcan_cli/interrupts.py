"""Ctrl-C and SIGTERM where Polars is at work."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread, Timer, get_ident
from types import FrameType
from typing import NoReturn, TypeVar

_Result = TypeVar("_Result")

# Seconds. The main thread looks for signals and then calls what waits; one that came in between
# would wake nothing.
_UNTIL_IT_WAITS = 0.01
# Seconds until Ctrl-C that came where it could not be caught comes again.
_UNTIL_IT_IS_OUT = 0.05

_asked_to_end = Event()
# Those that came where they could not be caught, until they come again.
_put_off: list[Timer] = []


def catch_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt only where the caller can catch it, in this process.

    Polars panics where Python that it calls raises, and takes it for another error or drops it;
    who cleans up after one KeyboardInterrupt is not to get another. Polars 2.1 heeds the signal
    itself, as long as Python's handler is set before it is imported. Where Ctrl-C is ignored, or
    somebody else handles it, that stays.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def interrupt(number: int, frame: FrameType | None) -> None:
    """The handler of `catch_interrupts`.

    Raises:
        KeyboardInterrupt: It can be caught.
    """
    if isinstance(sys.exception(), KeyboardInterrupt):
        return
    if _in_polars(frame):
        again = Timer(_UNTIL_IT_IS_OUT, signal.pthread_kill, (get_ident(), number))
        again.daemon = True
        again.start()
        _put_off.append(again)
        return
    _put_off.clear()
    raise KeyboardInterrupt


def asked_by_sigterm() -> Callable[[], bool]:
    """Make SIGTERM a wish, granted after the batch or shard at hand: whether it was uttered."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    return lambda: bool(asked)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM interrupt the block as Ctrl-C does, so that it cleans up.

    Batch systems send it when a job's time is over. Python calls handlers between instructions of
    its own, and Polars may be at work for minutes: so a thread waits, and sends what Polars heeds.
    Where somebody else handles SIGTERM already, or it is ignored, that stays. So it does where
    Ctrl-C is ignored, as in what a script has in its background: it would interrupt nothing.
    """
    ends = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not ends or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    numbers, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGTERM, _left_to_the_thread)
    before = signal.set_wakeup_fd(woken)
    Thread(target=_pass_on, args=(numbers, get_ident()), daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(before)
        os.close(woken)


def end_interrupted(code: int) -> NoReturn:
    """End the process at once: by SIGTERM where that interrupted it, else with a status.

    Threads of Polars may still be at work, and crash a Python that ends as usual; where Ctrl-C came
    in text that ran as code, such as a record's, that would end by the signal.
    """
    if _asked_to_end.is_set():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    os._exit(code)


def interrupted_once(call: Callable[[], _Result]) -> _Result:
    """Call what runs Polars, so that Ctrl-C raises KeyboardInterrupt once.

    Polars 2.1 raises one of its own when it is stopped, and Python another for the same signal as
    soon as it runs again: in the midst of whatever cleans up after the first. One that Polars
    missed is raised as soon as it is done: what follows may end before it would come again.
    """
    try:
        result = call()
        if _put_off:
            raise KeyboardInterrupt  # noqa: TRY301 - to be treated as one that Polars raised
    except KeyboardInterrupt:
        try:  # noqa: SIM105 - to make a context manager is a call, too
            _let_signals_come()
        except KeyboardInterrupt:
            pass
        for again in _put_off:
            again.cancel()
        _put_off.clear()
        raise
    return result


def _in_polars(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "polars":
            return True
        frame = frame.f_back
    return False


def _left_to_the_thread(*_: object) -> None:
    """Keep Python from ending by the signal."""


def _pass_on(numbers: int, interrupted: int) -> None:
    with os.fdopen(numbers, "rb", buffering=0) as stream:
        while number := stream.read(1):
            # Once: a second one would interrupt the cleaning up.
            if number[0] == signal.SIGTERM and not _asked_to_end.is_set():
                _asked_to_end.set()
                time.sleep(_UNTIL_IT_WAITS)
                signal.pthread_kill(interrupted, signal.SIGINT)


def _let_signals_come() -> None:
    """Python looks for signals where a function begins."""
