"""A folder held open, and what is done to the names in it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from vulcan_cli.errors import BadShard
from vulcan_cli.files.open_files import (
    Identity,
    must_be_regular,
    open_regular,
    read_at_most,
    write_all,
)
from vulcan_cli.files.renaming import rename_noreplace

TEMPORARY_PREFIX = ".v"
TEMPORARY_SUFFIX = ".tmp"

DAY = 86_400.0
"""Seconds after which a temporary or a reservation belongs to nobody."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_REWRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# What file systems say that have no hard links, or not between these two folders.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
# What old kernels and file systems such as NFS say to RENAME_NOREPLACE.
_NO_NOREPLACE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}

# To list a folder and to pass through it, for those who do not own it.
_LOOK = 0o055

_INTERRUPTIONS = 20


def is_temporary(name: str) -> bool:
    """Whether a file name is one of our hidden temporaries."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


class Folder:
    """A folder held open; use it in a `with` block.

    Names are single, and looked up in this folder, never through a symbolic link.

    Attributes:
        fd: The descriptor of the folder.
        path: The path it was opened by, for messages.
    """

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: Path) -> None:
        self.fd = fd
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a folder by its path; links on the way are followed."""
        return cls(os.open(path, _DIRECTORY), path)

    def child(self, name: str) -> Folder:
        """Open a folder in this one; a symbolic link there is refused (ENOTDIR or ELOOP)."""
        fd = os.open(_plain(name), _DIRECTORY | os.O_NOFOLLOW, dir_fd=self.fd)
        return Folder(fd, self.path / name)

    def make_child(self, name: str) -> Folder:
        """As `child`, made durably first where it is missing.

        Its mode is what the umask leaves; but who may look into this folder may look into that one.
        """
        # Opened first: where we may not write, NFS refuses to make even what is there.
        with contextlib.suppress(FileNotFoundError):
            return self.child(name)
        with contextlib.suppress(FileExistsError):
            os.mkdir(_plain(name), dir_fd=self.fd)
            self._let_look(name)
        self.sync()
        return self.child(name)

    def _let_look(self, name: str) -> None:
        # Not every file system has modes to change.
        with contextlib.suppress(OSError), self.child(name) as made:
            os.fchmod(made.fd, _mode(made.fd) | _mode(self.fd) & _LOOK)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sync(self) -> None:
        """Make the names in this folder survive a power cut."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            # Some FUSE and SMB mounts have no fsync for folders at all.
            if error.errno != errno.EINVAL:
                raise

    def status(self, name: str) -> os.stat_result | None:
        """What stands under a name, itself and not what it points to; None for nothing."""
        try:
            return os.stat(_plain(name), dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def identity(self, name: str) -> Identity | None:
        """Device and inode of what stands under a name; None for nothing."""
        status = self.status(name)
        return None if status is None else Identity.of(status)

    def scan(self) -> Iterator[os.DirEntry[str]]:
        """Every entry but `.` and `..`, in no order; `stat` of an entry must not follow links."""
        with os.scandir(self.fd) as entries:
            yield from entries

    def new_temporary(self) -> tuple[int, str]:
        """Make an empty file under a hidden name that nobody had: (descriptor, name), mode 0600."""
        name = _hidden()
        return os.open(name, _NEW, 0o600, dir_fd=self.fd), name

    def take_as_temporary(self, name: str) -> tuple[int, str]:
        """Give a file a hidden name that nobody had, to be written over: (descriptor, that name).

        It keeps its bytes, and with them its room on the disk.

        Raises:
            BadShard: It is no regular file, or has a second name; then it is dropped.
            OSError: It is not there or cannot be opened.
        """
        hidden = _hidden()
        self.rename_over(name, self, hidden)
        fd = os.open(hidden, _REWRITE, dir_fd=self.fd)
        try:
            _must_be_alone(os.fstat(fd), self.path / name)
        except BaseException:
            os.close(fd)
            self.discard(hidden)
            raise
        return fd, hidden

    @contextmanager
    def temporary(self) -> Iterator[tuple[int, str]]:
        """A `new_temporary` for the length of a block, closed and dropped at its end.

        A name that was renamed away in the block stays; that a name is gone is no error.
        """
        fd, name = self.new_temporary()
        try:
            yield fd, name
        finally:
            try:
                os.close(fd)
            finally:
                self.discard(name)

    def takes_links(self) -> bool:
        """Whether a file here takes a second name; tried with a temporary."""
        with self.temporary() as (_, name):
            second = f"{name.removesuffix(TEMPORARY_SUFFIX)}-{TEMPORARY_SUFFIX}"
            made = self._link(name, self, second)
            self.discard(second)
        return bool(made)

    def server_time(self) -> float:
        """Now by the clock that stamps files in this folder, in unix seconds."""
        with self.temporary() as (fd, _):
            return os.fstat(fd).st_mtime

    def open_regular(self, name: str) -> int:
        """Open a regular file for reading, without following or waiting.

        Raises:
            BadShard: It is a link, a folder, a FIFO, a socket or a device.
            OSError: It is not there or cannot be read.
        """
        return open_regular(self.path / _plain(name), self.fd)

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a regular file of at most `limit` bytes.

        Raises:
            BadShard: No regular file, or a larger one.
            OSError: It is not there or cannot be read.
        """
        fd = self.open_regular(name)
        try:
            data = read_at_most(fd, limit)
        finally:
            os.close(fd)
        if data is None:
            raise BadShard(self.path / name, f"larger than {limit} bytes")
        return data

    def link_exclusive(self, name: str, into: Folder, new_name: str) -> bool:
        """Give a file of this folder another name, where that name is free.

        Where hard links are refused the file is renamed instead, so afterwards the old name may or
        may not be there.

        Returns:
            True: the new name is this file's, also where the server's reply was lost.
            False: the name belongs to something else, and nothing changed.

        Raises:
            BlockingIOError: Without hard links, another process is at this name just now.
        """
        linked = self._link(name, into, new_name)
        return self.rename_exclusive(name, into, new_name) if linked is None else linked

    def _link(self, name: str, into: Folder, new_name: str) -> bool | None:
        """As `link_exclusive`, but None where hard links are refused."""
        source = self._must_be(name)
        try:
            _again(
                lambda: os.link(
                    name,
                    _plain(new_name),
                    src_dir_fd=self.fd,
                    dst_dir_fd=into.fd,
                    follow_symlinks=False,
                )
            )
        except OSError as error:
            if into.identity(new_name) == source:
                return True
            if error.errno == errno.EEXIST:
                return False
            if error.errno in _NO_LINKS:
                return None
            raise
        return True

    def rename_exclusive(
        self, name: str, into: Folder, new_name: str, *, by_link: bool = False
    ) -> bool:
        """Rename an entry of any kind, where the new name is free.

        Uses `RENAME_NOREPLACE` where the file system has it; elsewhere processes of ours keep
        apart by a reservation, a hidden file that counts for a day.

        Args:
            name: The entry.
            into: The folder it goes to.
            new_name: Its name there.
            by_link: Elsewhere, make a link and remove the old name. That keeps apart from
                everybody, but only where nobody else can put another file under the old name.

        Returns:
            True: it has the new name, also where the server's reply was lost.
            False: the name belongs to something else, and nothing changed.

        Raises:
            BlockingIOError: Another process of ours holds the reservation of this name.
        """
        source = self._must_be(name)
        try:
            _again(lambda: rename_noreplace(self.fd, name, into.fd, _plain(new_name)))
        except OSError as error:
            if self.identity(name) is None and into.identity(new_name) == source:
                return True
            if error.errno == errno.EEXIST:
                return False
            if error.errno not in _NO_NOREPLACE:
                raise
            return self._rename_elsewhere(name, into, new_name, by_link=by_link)
        return True

    def _rename_elsewhere(self, name: str, into: Folder, new_name: str, *, by_link: bool) -> bool:
        linked = self._link(name, into, new_name) if by_link else None
        if linked is None:
            return self._rename_reserved(name, into, new_name)
        if linked:
            into.sync()
            self.remove(name)
        return linked

    def _rename_reserved(self, name: str, into: Folder, new_name: str) -> bool:
        """Rename under a reservation, for file systems without links and `RENAME_NOREPLACE`."""
        if into.identity(new_name) is not None:
            return False
        # Not the file's own name: killed here, only a hidden temporary is left.
        word = hashlib.sha256(os.fsencode(new_name)).hexdigest()[:24]
        reservation = f"{TEMPORARY_PREFIX}{word}{TEMPORARY_SUFFIX}"
        into._reserve(reservation)
        try:
            if into.identity(new_name) is not None:
                return False
            self.rename_over(name, into, new_name)
        finally:
            into.discard(reservation)
        return True

    def _reserve(self, reservation: str) -> None:
        """Hold a reservation, taking over one that is older than a day."""
        status = self.status(reservation)
        if status is not None and self.server_time() - status.st_mtime > DAY:
            # Only one of several can rename it, the others find it gone.
            with self.temporary() as (_, taken), contextlib.suppress(FileNotFoundError):
                self.rename_over(reservation, self, taken)
        try:
            os.close(os.open(reservation, _NEW, 0o600, dir_fd=self.fd))
        except FileExistsError:
            raise BlockingIOError(
                errno.EAGAIN, "another process is at work on this name", str(self.path)
            ) from None

    def rename_over(self, name: str, into: Folder, new_name: str) -> None:
        """Rename, replacing what stands under the new name: for names that are ours alone."""
        source = self._must_be(name)
        try:
            _again(
                lambda: os.rename(name, _plain(new_name), src_dir_fd=self.fd, dst_dir_fd=into.fd)
            )
        except OSError:
            if self.identity(name) is not None or into.identity(new_name) != source:
                raise

    def replace(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Make a file hold these bytes: whole and durable, or as it was before."""
        self.replace_unsynced(name, data, mode)
        self.sync()

    def replace_unsynced(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """As `replace`, for several in a row: durable once the folder is synced, whole before."""
        with self.temporary() as (fd, temporary):
            write_all(fd, data)
            os.fchmod(fd, mode)
            os.fsync(fd)
            self.rename_over(temporary, self, name)

    def replace_by_link(self, name: str, target: str) -> None:
        """Make a name a symbolic link; it is never absent, and others may make the same."""
        hidden = _hidden()
        os.symlink(target, hidden, dir_fd=self.fd)
        try:
            self.rename_over(hidden, self, name)
        except BaseException:
            self.discard(hidden)
            raise

    def create(self, name: str, data: bytes, mode: int = 0o644) -> bool:
        """Make a file of these bytes, whole and durable; False where the name is taken."""
        with self.temporary() as (fd, temporary):
            write_all(fd, data)
            os.fchmod(fd, mode)
            os.fsync(fd)
            if not self.link_exclusive(temporary, self, name):
                return False
            self.sync()
        return True

    def append(self, name: str, lines: bytes, mode: int = 0o644) -> None:
        """Add whole lines to a file, durably. A line torn by an earlier crash is ended first.

        Only one process may append at a time.
        """
        try:
            fd, new = os.open(_plain(name), _APPEND, dir_fd=self.fd), False
        except FileNotFoundError:
            fd, new = os.open(name, _APPEND | os.O_CREAT | os.O_EXCL, mode, dir_fd=self.fd), True
        try:
            status = os.fstat(fd)
            must_be_regular(status, self.path / name)
            if new:
                os.fchmod(fd, mode)
            torn = status.st_size > 0 and os.pread(fd, 1, status.st_size - 1) != b"\n"
            write_all(fd, b"\n" + lines if torn else lines)
            os.fsync(fd)
        finally:
            os.close(fd)
        if new:
            self.sync()

    def remove(self, name: str) -> bool:
        """Remove a name (not a folder); False where it was gone already."""
        try:
            _again(lambda: os.unlink(_plain(name), dir_fd=self.fd))
        except FileNotFoundError:
            return False
        return True

    def discard(self, name: str) -> None:
        """Remove a name that nobody needs; what goes wrong leaves debris and nothing worse."""
        with contextlib.suppress(OSError):
            self.remove(name)

    def _must_be(self, name: str) -> Identity:
        status = os.stat(_plain(name), dir_fd=self.fd, follow_symlinks=False)
        return Identity.of(status)


def _hidden() -> str:
    """A name for a temporary that nobody had."""
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(12)}{TEMPORARY_SUFFIX}"


def _must_be_alone(status: os.stat_result, path: Path) -> None:
    """Raise BadShard where bytes that are written may be seen under another name too."""
    must_be_regular(status, path)
    if status.st_nlink > 1:
        raise BadShard(path, "it has a second name")


def _mode(fd: int) -> int:
    return stat.S_IMODE(os.fstat(fd).st_mode)


def _plain(name: str) -> str:
    """The name, where it is one step down and no more."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise OSError(errno.EINVAL, "not a plain file name", name)
    return name


def _again(call: Callable[[], None]) -> None:
    """Call again where a signal interrupted; Python does this by itself only for some calls."""
    for _ in range(_INTERRUPTIONS):
        with contextlib.suppress(InterruptedError):
            return call()
    return call()
