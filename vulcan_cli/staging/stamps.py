"""Files of stamps: when requests for a commit were made, as the peer and we write them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import NamedTuple

from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.heard import Heard, parse_heard
from vulcan_cli.staging.records import RecordError, parse_record, render_record, seconds_of

MOST_STAMPS = 200_000
"""No repo takes more in any window, and the stamps of a full one fit the limit of a file."""

_LIMIT = 1 << 23


class History(NamedTuple):
    """What a file of stamps holds.

    Attributes:
        stamps: When requests were answered or sent, unix seconds, none later than now.
        budget: The budget of who wrote it; None where it says none that can be.
        window_s: That one's window, seconds; likewise.
        damaged: Whether something in it was no stamp, or could not be read.
        heard: What the repo said of its own limit, if it did.
        gone: Stamps that others here took the place of, and that the peer's file may still hold.
    """

    stamps: tuple[float, ...]
    budget: int | None
    window_s: float | None
    damaged: bool
    heard: Heard | None = None
    gone: tuple[float, ...] = ()


def read_history(folder: Folder, name: str, now: float) -> History:
    """The history in a file.

    Raises:
        OSError: It is not there or cannot be read.
        BadShard: It is no regular file, or a larger one than any history.
        RecordError: It holds none.
    """
    return parse_history(_read_twice(folder, name), now)


def parse_history(data: bytes, now: float) -> History:
    """The history in these bytes, repaired where a clock was wrong.

    Raises:
        RecordError: They are none.
    """
    record = parse_record(data)
    stamps, budget, gone = record.get("timestamps"), record.get("budget"), record.get("gone", [])
    if not isinstance(stamps, list) or not isinstance(gone, list):
        raise RecordError("timestamps is no list")
    repaired = tuple(_stamp(stamp, now) for stamp in stamps)
    try:
        window_s = seconds_of(record, "window_s")
    except RecordError:
        window_s = 0.0
    heard = parse_heard(record, now)
    told = None if heard is None else heard.as_record()
    return History(
        stamps=repaired,
        budget=budget if isinstance(budget, int) and budget > 0 else None,
        window_s=window_s if window_s > 0 else None,
        damaged=repaired != tuple(stamps) or told != record.get("heard"),
        heard=heard,
        gone=tuple(_stamp(stamp, now) for stamp in gone),
    )


def render_history(
    stamps: list[float], budget: int, window_s: float, more: Mapping[str, object] | None = None
) -> bytes:
    """The bytes of a file of stamps; `more` are keys of ours beside the peer's three."""
    return render_record(
        {"budget": budget, "window_s": window_s, "timestamps": stamps, **(more or {})}
    )


def _read_twice(folder: Folder, name: str) -> bytes:
    """The bytes of a history: an error that passes, as NFS has them, must not close a window."""
    try:
        return folder.read(name, _LIMIT)
    except FileNotFoundError:
        raise
    except OSError:
        return folder.read(name, _LIMIT)


def _stamp(value: object, now: float) -> float:
    """A stamp as a number that can be one: what is NaN, infinite or in the future is now."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError("a stamp is no number")
    with contextlib.suppress(OverflowError):
        stamp = float(value)
        if math.isfinite(stamp) and stamp <= now:
            return stamp
    return now
