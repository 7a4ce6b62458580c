"""What the catalog holds, as sorted lines of text: for completion and status, without Polars.

A cache of a cache: written beside the catalog, and perhaps older than it. The first line tells the
totals; each other line is `key=value`, a tab, and in how many shards.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp
from vulcan_cli.staging.area import PRIVATE, StagingArea, State
from vulcan_cli.staging.records import RecordError, parse_record, whole_of

FOLDER = "catalog"
"""Where in `_vulcan` catalogs stand."""

# 100,000 shards take 10 MB.
_LARGEST = 1 << 28


class Totals(NamedTuple):
    """What a state folder held when its catalog was stored.

    Attributes:
        shards: Good shards.
        rows: Their rows.
        size: Their bytes.
        bad: Files that are no shards.
        is_current: Whether nothing came or went since.
    """

    shards: int
    rows: int
    size: int
    bad: int
    is_current: bool


def text_of(totals: Mapping[str, object], words: Iterable[str]) -> bytes:
    """The file of a state: its totals, and lines that are already sorted."""
    return "\n".join([json.dumps(totals), *words, ""]).encode()


def file_name(state: State) -> str:
    """The name of that file."""
    return f"{state}.words"


def find(area: StagingArea, state: State, key: str, beginning: str, limit: int) -> dict[str, int]:
    """Values of a key that begin with a text, each with its number of shards.

    Nothing where there is no catalog, or none that we may read.

    Args:
        area: The staging directory.
        state: Which shards.
        key: Such as `ks_id`.
        beginning: What has been typed.
        limit: At most so many.
    """
    text = _read(area, state)
    wanted = f"\n{key}={beginning}".encode()
    skipped = len(f"\n{key}=".encode())
    found: dict[str, int] = {}
    at = text.find(wanted)
    while len(found) < limit and text.startswith(wanted, at) and at >= 0:
        end = text.find(b"\n", at + 1)
        value, _, count = text[at + skipped : end].decode(errors="replace").rpartition("\t")
        found[value] = int(count) if count.isdecimal() else 0
        at = end
    return found


def totals(area: StagingArea, state: State) -> Totals | None:
    """What the stored catalog says in sum; None where there is none, or none that we may read."""
    text = _read(area, state)
    try:
        record = parse_record(text[: max(0, text.find(b"\n"))])
        shards, rows, size, bad = (
            whole_of(record, name) for name in ("shards", "rows", "bytes", "bad")
        )
        with area.folder(state) as folder:
            status = os.fstat(folder.fd)
    except (RecordError, NotSetUp, DiskTrouble):
        return None
    current = record.get("stamp") == [status.st_ino, status.st_mtime_ns]
    return Totals(shards, rows, size, bad, is_current=current)


def _read(area: StagingArea, state: State) -> bytes:
    """The file, or nothing."""
    # Not mapped: on NFS a file that another node replaces takes its readers down.
    try:
        with area.folder(PRIVATE, FOLDER) as folder:
            return folder.read(file_name(state), _LARGEST)
    except (NotSetUp, DiskTrouble, BadShard, OSError):
        return b""
