"""Regular files: to open one, which one it is, its bytes and their sum.

Everything here raises `OSError`, and `BadShard` where a name stands for something else than a file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple, Self

from vulcan_cli.errors import BadShard

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK = 1 << 20
_LEAST_READ = 1 << 14
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

GONE = {errno.ENOENT, errno.ESTALE}
"""What the system says of a name that is gone, or on its way over NFS: nobody's fault."""


class Identity(NamedTuple):
    """What makes a file this one and no other, whatever it is called."""

    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The identity in what `stat` returned."""
        return cls(status.st_dev, status.st_ino)


def kind_of(mode: int) -> str:
    """What a directory entry is, in words: `a regular file`, `a FIFO`."""
    return _KINDS.get(stat.S_IFMT(mode), "a regular file")


def open_regular(path: Path, folder_fd: int | None = None) -> int:
    """Open a regular file for reading, without following or waiting.

    Args:
        path: The file.
        folder_fd: Its folder, where that is open: its name is looked up there.

    Raises:
        BadShard: It is a link, a folder, a FIFO, a socket or a device.
        OSError: It is not there or cannot be read.
    """
    found = str(path) if folder_fd is None else path.name
    # Looked at first: to open a device can be an act of its own.
    must_be_regular(os.stat(found, dir_fd=folder_fd, follow_symlinks=False), path)
    try:
        fd = os.open(found, _READ, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise BadShard(path, "not a regular file") from error
        raise
    try:
        must_be_regular(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def must_be_regular(status: os.stat_result, path: Path) -> None:
    """Raise `BadShard` for what is no regular file."""
    if not stat.S_ISREG(status.st_mode):
        raise BadShard(path, f"{kind_of(status.st_mode)}, not a regular file")


def read_at_most(fd: int, limit: int) -> bytes | None:
    """The bytes of an open file from its offset; None where there are more than `limit`."""
    parts, left = [], limit + 1
    room = _room(fd)
    while left and (part := os.read(fd, min(left, room))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts) if left else None


def sha256_of(fd: int, *, limit: int | None = None) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes of an open file, from its start; its offset stays.

    Raises:
        OSError: It cannot be read, or holds more than `limit` bytes (EFBIG); where its size says
            so, none of them is read.
    """
    if limit is not None and os.fstat(fd).st_size > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    digest, size, buffer = hashlib.sha256(), 0, bytearray(min(_CHUNK, _room(fd)))
    view = memoryview(buffer)
    while count := os.preadv(fd, [buffer], size):
        digest.update(view[:count])
        size += count
        if limit is not None and size > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return digest.hexdigest(), size


def sha256_within(fd: int, limit: int) -> str | None:
    """SHA-256 (hex) of an open file; None where it holds more than `limit` bytes.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return sha256_of(fd, limit=limit)[0]
    except OSError as error:
        if error.errno == errno.EFBIG:
            return None
        raise


def write_all(fd: int, data: bytes) -> None:
    """Write all the bytes, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def path_of(fd: int) -> Path:
    """A path that opens what this descriptor holds, whatever happens to its name."""
    return Path(f"/proc/self/fd/{fd}")


def _room(fd: int) -> int:
    """Bytes to make room for before reading: what is there, as most files are small."""
    # A size may be stale on NFS; whoever reads goes on until nothing comes.
    return max(os.fstat(fd).st_size + 1, _LEAST_READ)
