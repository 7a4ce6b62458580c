"""A block of lines at the foot of a terminal that is redrawn in its place.

What was there is written over line by line, in one write: nothing is ever blank, so nothing
flickers. The cursor is out of the way meanwhile, and back whatever ends it.
"""

from __future__ import annotations

from collections.abc import Sequence

HIDE = "\x1b[?25l"
"""Takes the cursor away."""

SHOW = "\x1b[?25h"
"""Brings it back."""

_REST_OF_LINE = "\x1b[K"
_REST_OF_SCREEN = "\x1b[J"


def over(before: int, lines: Sequence[str]) -> str:
    """What to write so that lines stand where as many as `before` stood."""
    up = f"\x1b[{before}F" if before else ""
    body = "".join(f"{line}{_REST_OF_LINE}\n" for line in lines)
    return up + body + _REST_OF_SCREEN
