"""A state folder as the catalog sees it: a stamp that any change breaks, and what stands there."""

from __future__ import annotations

import os
import secrets

import polars as pl

from vulcan_cli.dataset.catalog_store import IDENTITY, ROWS
from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.listing import SHARD_SUFFIX

_SECOND_NS = 10**9

_LISTED = {name: ROWS[name] for name in IDENTITY}


def stamp_of(folder: Folder) -> tuple[int, int]:
    """Inode and modification time of a folder."""
    status = os.fstat(folder.fd)
    return status.st_ino, status.st_mtime_ns


def set_stamp(folder: Folder) -> tuple[int, int] | None:
    """Give the folder a time of our own; None where it does not take it to the nanosecond."""
    status = os.fstat(folder.fd)
    own = status.st_mtime_ns // _SECOND_NS * _SECOND_NS + secrets.randbelow(_SECOND_NS)
    try:
        os.utime(folder.fd, ns=(status.st_atime_ns, own))
    except OSError:
        return None
    stamp = (status.st_ino, own)
    return stamp if stamp_of(folder) == stamp else None


def listing_of(folder: Folder) -> pl.DataFrame:
    """Names that could be shards', with what makes each file this one; columns `IDENTITY`."""
    found = []
    for entry in folder.scan():
        name = entry.name
        # Names of shards are ASCII; others cannot even be text.
        if name.endswith(SHARD_SUFFIX) and name.isascii():
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                found.append(_identity(name, None))
            else:
                found.append(_identity(name, status))
    columns = zip(*found, strict=True) if found else ([] for _ in _LISTED)
    return pl.DataFrame(
        [
            pl.Series(name, values, dtype=dtype)
            for (name, dtype), values in zip(_LISTED.items(), columns, strict=True)
        ]
    )


def are_as_listed(folder: Folder, listed: pl.DataFrame) -> bool:
    """Whether files are still what they were; columns `IDENTITY`."""
    try:
        return all(
            _identity(row[0], folder.status(row[0])) == row
            for row in listed.select(IDENTITY).iter_rows()
        )
    except OSError:
        return False


def _identity(name: str, status: os.stat_result | None) -> tuple[str, int, int, int]:
    if status is None:
        return name, -1, -1, 0
    return name, status.st_size, status.st_mtime_ns, status.st_ino
