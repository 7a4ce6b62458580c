"""What the core notes while it works, told to a person who asked for details.

The core notes it with `logging`, as libraries do: a program that uses the core hears it by its own
handlers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import vulcan_cli


class _Teller(logging.Handler):
    """Hands each note to a function."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


def listen(tell: Callable[[str], None]) -> None:
    """From here on tell what the core notes, and whoever was told before no more."""
    logger = _deaf()
    logger.addHandler(_Teller(tell))
    logger.setLevel(logging.INFO)


def stop_listening() -> None:
    """Tell nobody any more."""
    _deaf().setLevel(logging.NOTSET)


def _deaf() -> logging.Logger:
    logger = logging.getLogger(vulcan_cli.__name__)
    logger.handlers = [each for each in logger.handlers if not isinstance(each, _Teller)]
    return logger
