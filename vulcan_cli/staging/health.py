"""Whether a staging directory can do its work where it stands: tried out in `pending/`."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.files.folder import Folder
from vulcan_cli.mounts import Mount, mount_of
from vulcan_cli.staging.area import STATES, StagingArea, disk_trouble

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class Space(NamedTuple):
    """Room on a file system: bytes and inodes, free to this account and in all.

    A file system that counts no inodes has 0 of them in all.
    """

    free: int
    size: int
    free_inodes: int
    inodes: int


class Health(NamedTuple):
    """What a staging directory can do.

    Attributes:
        mount: The file system; None where the kernel does not tell.
        elsewhere: State folders on another file system than the root.
        writable: State folders in which this account may make files.
        has_links: Whether a file takes a second name; None where none could be made.
        has_locks: Whether POSIX locks work; likewise.
        skew_s: How far the clock that stamps files is ahead of ours, seconds; likewise.
        space: Room.
        wide: Folders that more accounts may write to than staging needs.
    """

    mount: Mount | None
    elsewhere: tuple[Path, ...]
    writable: tuple[str, ...]
    has_links: bool | None
    has_locks: bool | None
    skew_s: float | None
    space: Space
    wide: tuple[Path, ...]


def examine(area: StagingArea, clock: Callable[[], float] = time.time) -> Health:
    """Try out a staging directory, with hidden temporaries that are dropped again.

    Raises:
        NotSetUp: It is not there, or a state folder is missing.
        DiskTrouble: It cannot be read.
    """
    with area.folder() as root, disk_trouble(area.root):
        device = os.fstat(root.fd).st_dev
        space = _space(root)
    elsewhere, writable = [], []
    for state in STATES:
        with area.folder(state) as folder:
            if os.fstat(folder.fd).st_dev != device:
                elsewhere.append(folder.path)
            # Asked, not tried: what is kept of a folder is stale once its time has changed.
            if os.access(".", os.W_OK | os.X_OK, dir_fd=folder.fd, effective_ids=True):
                writable.append(state)
    has_links = has_locks = skew_s = None
    if "pending" in writable:
        with area.folder("pending") as folder, disk_trouble(folder.path):
            has_links, has_locks = folder.takes_links(), _takes_locks(folder)
            before = clock()
            skew_s = folder.server_time() - (before + clock()) / 2
    return Health(
        mount=mount_of(area.root),
        elsewhere=tuple(elsewhere),
        writable=tuple(writable),
        has_links=has_links,
        has_locks=has_locks,
        skew_s=skew_s,
        space=space,
        wide=area.wider_than_needed(),
    )


def _space(folder: Folder) -> Space:
    found = os.fstatvfs(folder.fd)
    return Space(
        free=found.f_bavail * found.f_frsize,
        size=found.f_blocks * found.f_frsize,
        free_inodes=found.f_favail,
        inodes=found.f_files,
    )


def _takes_locks(folder: Folder) -> bool:
    with folder.temporary() as (fd, _):
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise
    return True
