"""Ctrl-C where Polars is at work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def interrupted_once(call: Callable[[], _Result]) -> _Result:
    """Call what runs Polars, so that Ctrl-C raises KeyboardInterrupt once.

    Polars 2.1 raises one of its own when it is stopped, and Python another for the same signal as
    soon as it runs again: in the midst of whatever cleans up after the first.
    """
    try:
        return call()
    except KeyboardInterrupt:
        try:  # noqa: SIM105 - to make a context manager is a call, too
            _let_signals_come()
        except KeyboardInterrupt:
            pass
        raise


def is_interrupt(error: BaseException) -> bool:
    """Whether this is Ctrl-C, also where Polars called Python just then, which makes it panic."""
    in_panic = type(error).__name__ == "PanicException" and "'KeyboardInterrupt'" in str(error)
    return in_panic or isinstance(error, KeyboardInterrupt)


def _let_signals_come() -> None:
    """Python looks for signals where a function begins."""
