"""Which files a reader that trusts their bytes may be given.

Polars ends the process over some pages, and checks no limits. Sync has looked at all that stands in
`synced/`; but who wrote a file there may still change it, since a move leaves it its owner.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vulcan_cli.errors import BadShard
from vulcan_cli.files import open_regular, sha256_of


def readable(file: Path, state: str, sha256: str | None) -> Path | BadShard:
    """The file, where Polars may read it; what is wrong with it otherwise.

    Args:
        file: A shard in a state folder.
        state: Which; in `pending` nobody has looked at anything yet.
        sha256: What it was when it was confirmed by the repo, where that is known.
    """
    try:
        if state == "pending":
            _decode(file)
        elif _others_may_change(file):
            _compare(file, sha256)
    except BadShard as error:
        return error
    except FileNotFoundError:
        # Trimmed a moment ago, say: that is for its reader to find.
        return file
    except OSError as error:
        return BadShard(file, f"unreadable: {error.strerror or error}")
    return file


def check_unless_ours(file: Path) -> None:
    """Make sure that a file of a folder can be decoded, where others may have written it.

    Raises:
        BadShard: It cannot.
        OSError: It cannot be looked at.
    """
    if _others_may_change(file):
        _decode(file)


def _others_may_change(file: Path) -> bool:
    """Whether an account could that is neither ours nor the one that keeps the folder."""
    status = file.lstat()
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    return status.st_uid != os.geteuid() and status.st_uid != file.parent.stat().st_uid


def _compare(file: Path, sha256: str | None) -> None:
    """Make sure that it is what the repo has; where that is not known, that it can be decoded.

    Raises:
        BadShard: It is not.
        OSError: It cannot be read.
    """
    if sha256 is None:
        _decode(file)
        return
    fd = open_regular(file)
    try:
        found, _ = sha256_of(fd)
    finally:
        os.close(fd)
    if found != sha256:
        raise BadShard(file, "it was changed after it was synced")


def _decode(file: Path) -> None:
    from vulcan_cli.vacua.unpacked import check_file  # noqa: PLC0415 - loads pyarrow

    check_file(file)
