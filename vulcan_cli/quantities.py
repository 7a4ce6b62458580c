"""Durations and sizes as people write them: `30d`, `15m`, `10GB`."""

from __future__ import annotations

import datetime
import re

from vulcan_cli.errors import UsageError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_BYTES = {
    "": 1,
    "b": 1,
    **{unit + end: 1000**n for n, unit in enumerate("kmgtp", 1) for end in ("", "b")},
    **{unit + "ib": 1024**n for n, unit in enumerate("kmgtp", 1)},
}

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}([smhdw]))+|{_NUMBER}", re.ASCII | re.IGNORECASE)
_PART = re.compile(rf"{_NUMBER}([smhdw]?)", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(rf"{_NUMBER}\s?([a-z]*)", re.ASCII | re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Seconds in `30d`, `15m`, `1h30m`, `90` (seconds); units are s, m, h, d and w.

    Raises:
        UsageError: It is no duration.
    """
    if len(text) > 40 or not _DURATION.fullmatch(text.strip()):
        raise UsageError(f"{text[:40]!r} is no duration: write 90s, 15m, 2h, 30d or 1h30m")
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in _PART.findall(text))


def parse_age(text: str) -> float:
    """Seconds in an age such as `30d`, which must name its unit: a bare `30` may mean days.

    Raises:
        UsageError: It is no duration, or a number alone.
    """
    seconds = parse_duration(text)
    if not text.strip()[-1].isalpha():
        raise UsageError(f"{text.strip()!r} has no unit: write {text.strip()}d for days")
    return seconds


def parse_size(text: str) -> int:
    """Bytes in `10GB` (10^10), `512MiB` (2^29), `4096` (bytes).

    Raises:
        UsageError: It is no size.
    """
    match = _SIZE.fullmatch(text.strip()) if len(text) <= 40 else None
    if match is None or match[2].lower() not in _BYTES:
        raise UsageError(f"{text[:40]!r} is no size: write 4096, 500MB, 10GB or 512MiB")
    return int(float(match[1]) * _BYTES[match[2].lower()])


def format_duration(seconds: float) -> str:
    """A duration in at most two units: `45s`, `12m`, `1h`, `3h05m`, `2d04h`."""
    whole = max(0, round(seconds))
    for length, unit, part, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m")):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length}{unit}" + (f"{rest:02}{small}" if rest else "")
    return f"{whole // 60}m" if whole >= 60 else f"{whole}s"


def format_size(size: int) -> str:
    """A size in decimal units with at most three digits: `17 B`, `1.2 MB`, `340 GB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        # 999.5 would round to 1000 and belongs to the next unit.
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 9.95 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.0f} PB"


def format_moment(seconds: float) -> str:
    """A moment for people: unix seconds as `2026-06-01 12:34:56 UTC`."""
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


_PLURALS = {"geometry": "geometries", "vacuum": "vacua", "flux vacuum": "flux vacua"}


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where that is right: `1 shard`, `1,200 shards`."""
    plural = _PLURALS.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural}"
