"""Why shards are in `failed/`: one record each in `_vulcan/reasons/`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.records import (
    RECORD_LIMIT,
    RecordError,
    key_of_name,
    parse_record,
    render_record,
    text_of,
)


def write_reason(
    area: StagingArea, name: str, why: str, *, clock: Callable[[], float] = time.time
) -> None:
    """Say, durably, why the shard of this file name is in `failed/`.

    Raises:
        DiskTrouble: It cannot be written.
    """
    with area.folder(PRIVATE, "reasons", create=True) as folder, disk_trouble(folder.path):
        folder.replace(_file(name), render_record({"name": name, "why": why, "time": clock()}))


def read_reason(area: StagingArea, name: str) -> str | None:
    """Why the shard of this file name is in `failed/`; None where nobody said or may read it."""
    with contextlib.suppress(OSError, NotSetUp, DiskTrouble, BadShard, RecordError):
        with area.folder(PRIVATE, "reasons") as folder:
            record = parse_record(folder.read(_file(name), RECORD_LIMIT))
        if text_of(record, "name") == name:
            return text_of(record, "why")
    return None


def forget_reason(area: StagingArea, name: str) -> None:
    """Drop the reason of a shard that is no longer in `failed/`; never an error."""
    with contextlib.suppress(NotSetUp, DiskTrouble), area.folder(PRIVATE, "reasons") as folder:
        folder.discard(_file(name))


def _file(name: str) -> str:
    return f"{key_of_name(name)}.json"
