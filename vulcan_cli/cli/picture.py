"""Small pictures of letters."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = ".:-=+*#@"
_BARS = 30


def bars(moments: Sequence[float], now: float, window_s: float, *, draws: bool) -> str:
    """How many moments of a window fall into each of its thirty parts, oldest first.

    Args:
        moments: Unix seconds.
        now: The end of the window.
        window_s: Its length, seconds.
        draws: Whether blocks may be used; else ASCII.
    """
    counts = [0] * _BARS
    for moment in moments:
        part = int((moment - now + window_s) / window_s * _BARS)
        if 0 <= part <= _BARS:
            counts[min(part, _BARS - 1)] += 1
    signs = _BLOCKS if draws else _ASCII
    most = max(*counts, 1)
    heights = (0 if count == 0 else -(-count * len(signs) // most) for count in counts)
    empty = "·" if draws else " "
    return f"|{''.join(signs[height - 1] if height else empty for height in heights)}|"
