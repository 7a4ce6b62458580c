"""Bringing a file to another folder: by its name, or by a copy where that cannot be."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Literal

from vulcan_cli.errors import BadShard
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import Identity, path_of, sha256_of, write_all
from vulcan_cli.staging.area import LARGEST_SHARD, PRIVATE, StagingArea, disk_trouble

Carried = Literal["renamed", "copied", "taken"]
"""What `carry` did: `taken`, the new name is something else's and nothing changed."""

_CHUNK = 1 << 20


def carry(
    here: Folder, name: str, there: Folder, new_name: str, *, by_link: bool = False
) -> Carried:
    """Move an entry without replacing anything, by copy where it is another file system.

    Args:
        here: The folder it is in.
        name: Its name there.
        there: The folder it goes to.
        new_name: Its name there.
        by_link: As for `Folder.rename_exclusive`.

    Raises:
        OSError: It cannot be moved; it is still where it was.
    """
    try:
        renamed = here.rename_exclusive(name, there, new_name, by_link=by_link)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return "renamed" if renamed else "taken"
    try:
        return "copied" if _copy_across(here, name, there, new_name) else "taken"
    except BadShard as error:
        raise OSError(errno.EXDEV, f"{error.reason}, and on another file system") from error


def outgoing_copy(area: StagingArea, fd: int, *, limit: int) -> int:
    """A private copy of an open file, for bytes that another account may still change.

    The copy has no name, so nothing is left of it when its descriptor is closed; send it by
    `files.path_of(descriptor)`.

    Args:
        area: The staging directory.
        fd: What to copy.
        limit: Bytes after which to give up.

    Raises:
        DiskTrouble: No room, or the file is longer than `limit` (EFBIG).
    """
    with (
        area.folder(PRIVATE, "outgoing", create=True) as folder,
        disk_trouble(folder.path),
        folder.temporary() as (copy, _),
    ):
        _copy_bytes(fd, copy, limit=limit)
        return os.open(path_of(copy), os.O_RDONLY | os.O_CLOEXEC)


def _copy_across(here: Folder, name: str, there: Folder, new_name: str) -> bool:
    """Copy aside, fsync, compare, name, fsync, and only then unlink."""
    fd = here.open_regular(name)
    try:
        status = os.fstat(fd)
        with there.temporary() as (copy, temporary):
            _copy_bytes(fd, copy, limit=LARGEST_SHARD)
            with contextlib.suppress(PermissionError):
                os.fchown(copy, -1, status.st_gid)
            os.fchmod(copy, status.st_mode & 0o777)
            os.fsync(copy)
            if sha256_of(copy) != sha256_of(fd):
                raise OSError(errno.EBUSY, "it changed while it was copied")
            if not there.link_exclusive(temporary, there, new_name):
                return False
            there.sync()
        if here.identity(name) == Identity.of(status):
            here.remove(name)
        return True
    finally:
        os.close(fd)


def _copy_bytes(source: int, target: int, *, limit: int) -> None:
    """Copy a file from its start, to where the target's descriptor stands.

    Raises:
        OSError: One of them refuses, or the file holds more than `limit` bytes (EFBIG).
    """
    too_large = OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if os.fstat(source).st_size > limit:
        raise too_large
    offset = 0
    while data := os.pread(source, _CHUNK, offset):
        offset += len(data)
        if offset > limit:
            raise too_large
        write_all(target, data)
