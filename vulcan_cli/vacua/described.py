"""What people say of a run beside its rows: typed, checked, fit for JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import PurePath
from typing import Any, SupportsIndex

from vulcan_cli.vacua import secrets
from vulcan_cli.vacua.findings import Findings

_INT32 = (-(2**31), 2**31 - 1)
_INT64 = (-(2**63), 2**63 - 1)
_LARGEST_FLOAT32 = 3.4028234663852886e38


def typed_provenance(provenance: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """The provenance with `seed` as an integer and `wall_clock_s` as a float; all else stays.

    Values come as text from a command line and as numbers from a program. One that is no such
    number becomes None, and is noted.
    """
    typed = dict(provenance)
    if typed.get("seed") is not None:
        typed["seed"] = checked_integer("provenance seed", typed["seed"], findings, _INT64)
    if typed.get("wall_clock_s") is not None:
        typed["wall_clock_s"] = _seconds(typed["wall_clock_s"], findings)
    return typed


def checked_integer(
    name: str, value: object, findings: Findings, limits: tuple[int, int] = _INT32
) -> int | None:
    """The integer that a value tells, or None where it tells none within limits."""
    number = _integer(value)
    if number is None or not limits[0] <= number <= limits[1]:
        lowest, highest = limits
        shown = secrets.scrub(f"{value!r:.60}")
        findings.add(f"{name} must be an integer from {lowest} to {highest}, not {shown}")
        return None
    return number


def as_json(name: str, values: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """The values as JSON has them: numbers of NumPy as such, paths and dates as text.

    Values that cannot be written as JSON, or hold what looks like a token, are noted.
    """
    try:
        text = json.dumps(dict(values), allow_nan=False, ensure_ascii=False, default=_plain)
        plain: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        findings.add(f"{name} cannot be written as JSON: {error}")
        return dict(values)
    if secrets.looks_secret(text):
        findings.add(f"{name} holds what looks like a token")
    return plain


def check_names(texts: Iterable[object], findings: Findings) -> None:
    """Note a token in what a run id is made of."""
    if any(secrets.looks_secret(str(text)) for text in texts):
        findings.add("the run id, its template or a value for it looks like a token")


def _plain(value: object) -> object:
    """What stands in JSON for a value that programs hold in place of a number or a text."""
    if isinstance(value, PurePath | date):
        return str(value)
    # A scalar or an array of NumPy, which is not loaded for this.
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _integer(value: object) -> int | None:
    if isinstance(value, str):
        digits = re.fullmatch(r"\s*[+-]?[0-9]{1,20}\s*", value, re.ASCII)
        return int(value) if digits else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    # NumPy's booleans are no subclass of bool. Its integers have an index.
    if type(value).__name__ in ("bool", "bool_") or not isinstance(value, SupportsIndex):
        return None
    return value.__index__()


def _seconds(value: Any, findings: Findings) -> float | None:  # noqa: ANN401 (text or any number)
    try:
        number = math.nan if isinstance(value, bool) or "_" in str(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= _LARGEST_FLOAT32:
        shown = secrets.scrub(f"{value!r:.60}")
        findings.add(f"provenance wall_clock_s must be a finite number, not {shown}")
        return None
    return number
