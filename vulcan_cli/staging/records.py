"""Small JSON records in the staging directory, read as text that anybody may have written."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import cast

from vulcan_cli.files.json_text import parse_json

RECORD_LIMIT = 1 << 20
"""Bytes that a sidecar, a journal or a budget may have; more is no record of anyone's."""

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class RecordError(ValueError):
    """The text is no record of the kind expected; never leaves the staging room."""


def parse_record(data: bytes) -> dict[str, object]:
    """The JSON object in these bytes.

    Raises:
        RecordError: It is no JSON object, or one too deep or with numbers too long to read.
    """
    try:
        value = parse_json(data)
    except ValueError as error:
        raise RecordError("not JSON") from error
    if not isinstance(value, dict):
        raise RecordError("not a JSON object")
    return cast("dict[str, object]", value)


def render_record(record: Mapping[str, object], *, indent: int | None = None) -> bytes:
    """A record as ASCII JSON, keys sorted; names that are no UTF-8 survive as escapes."""
    return (json.dumps(record, indent=indent, sort_keys=True) + "\n").encode("ascii")


def text_of(record: Mapping[str, object], key: str) -> str:
    """A text in a record, or `RecordError`."""
    value = record.get(key)
    if not isinstance(value, str):
        raise RecordError(f"{key} is no text")
    return value


def optional_text_of(record: Mapping[str, object], key: str) -> str | None:
    """A text in a record, None where it is missing or null, or `RecordError`."""
    return None if record.get(key) is None else text_of(record, key)


def whole_of(record: Mapping[str, object], key: str) -> int:
    """A whole number of at least zero and below 2^63 in a record, or `RecordError`."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise RecordError(f"{key} is no whole number")
    return value


def seconds_of(record: Mapping[str, object], key: str) -> float:
    """A finite number of seconds in a record, or `RecordError`."""
    value = record.get(key)
    # Whole numbers beyond any date would overflow a float, and infinity and NaN compare false.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise RecordError(f"{key} is no time")
    return float(value)


def sha256_in(record: Mapping[str, object], key: str = "sha256") -> str:
    """A SHA-256 in lower-case hex in a record, or `RecordError`."""
    value = text_of(record, key)
    if not _HEX.fullmatch(value):
        raise RecordError(f"{key} is no SHA-256")
    return value


def key_of_name(name: str) -> str:
    """What a record about a file begins its own name with, however long or hostile the file's."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
