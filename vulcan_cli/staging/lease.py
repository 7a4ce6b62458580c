"""The lease of the one sync that works: who holds it, and how to take it away from the dead.

A lease is a file of a few lines that its holder changes every so often; see `lock.py`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp
from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.records import RecordError, parse_record, seconds_of, text_of, whole_of

LEASE_NAME = "sync.lease"

RESERVE_NAME = "sync.reserve"
"""The file of the last lease that was given back: room for the next one where the disk is full."""

_LIMIT = 4096


class Owner(NamedTuple):
    """Who holds the lock, as its lease says; the texts are as hostile as any file's.

    Attributes:
        token: A random word for this one holding.
        host: Host name, for people only.
        boot_id: The kernel's id of this boot, empty where there is none.
        pid_namespace: In which `pid` counts, empty where there is none.
        pid: Process id.
        started: The process's start time in clock ticks since boot, 0 where unknown.
        since: When it took the lock, unix seconds, for people only.
    """

    token: str
    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: int
    since: float

    def __str__(self) -> str:
        # Anyone may have written the lease, and this goes to terminals.
        host = "".join(letter if letter.isprintable() else "?" for letter in self.host)
        return f"process {self.pid} on {host}"

    @classmethod
    def myself(cls, since: float) -> Self:
        """This process, with a new token."""
        return cls(
            token=secrets.token_hex(16),
            host=socket.gethostname()[:255],
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
            pid=os.getpid(),
            started=_process(os.getpid())[0],
            since=since,
        )

    def is_gone(self) -> bool:
        """Whether this process certainly runs no more: only ever true on its own boot."""
        if not self.is_here():
            return False
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass
        started, state = _process(self.pid)
        return state in {"Z", "X"} or (0 < started != self.started > 0)

    def is_running(self) -> bool:
        """Whether this process certainly runs, neither ended nor stopped."""
        if not self.is_here() or self.is_gone():
            return False
        started, state = _process(self.pid)
        return started == self.started > 0 and state not in {"", "T", "t"}

    def is_here(self) -> bool:
        """Whether it is a process of this boot and PID namespace, running or not."""
        return (
            self.boot_id == _boot_id() != ""
            and self.pid_namespace == _pid_namespace() != ""
            and self.pid > 0
        )


class Lease(NamedTuple):
    """A lease as it was read.

    Attributes:
        data: Its bytes; they change with every beat.
        owner: Who holds it; None where the bytes are garbage.
    """

    data: bytes
    owner: Owner | None

    def __str__(self) -> str:
        return "an unreadable lease" if self.owner is None else str(self.owner)

    def is_still(self, other: Lease) -> bool:
        """Whether the other is this same holding, beats apart."""
        if self.owner is None or other.owner is None:
            return self.data == other.data
        return other.is_of(self.owner)

    def is_of(self, owner: Owner) -> bool:
        """Whether it is this very holding."""
        return self.owner is not None and self.owner.token == owner.token


def read_owner(area: StagingArea) -> Owner | None:
    """Who holds the sync lock, by its lease; None where there is none or it cannot be read.

    A holder that died without giving it back is named too: ask `Owner.is_gone`.
    """
    with contextlib.suppress(NotSetUp, DiskTrouble, OSError), area.folder(PRIVATE) as folder:
        lease = read_in(folder)
        return None if lease is None else lease.owner
    return None


def has_lease(area: StagingArea) -> bool:
    """Whether there is a lease, readable or not."""
    with contextlib.suppress(NotSetUp, DiskTrouble, OSError), area.folder(PRIVATE) as folder:
        return folder.status(LEASE_NAME) is not None
    return False


def read_lease(area: StagingArea) -> Lease | None:
    """The lease, readable or not; None where there is none.

    Raises:
        NotSetUp: There is no such staging directory.
        DiskTrouble: This account may not look.
    """
    area.folder().close()
    try:
        folder = area.folder(PRIVATE)
    except NotSetUp:
        return None
    with folder, disk_trouble(folder.path / LEASE_NAME):
        return read_in(folder)


def break_lease(area: StagingArea, seen: Lease | None = None) -> Owner | None:
    """Take the lease away from whoever holds it, for a person who knows that it is dead.

    A holder that is alive notices before its next commit or move, and stops.

    Args:
        area: The staging directory.
        seen: What the person decided about; another holding that took its place stays.

    Returns:
        Whose it was; None where there was none or it could not be read.

    Raises:
        DiskTrouble: It cannot be removed.
    """
    try:
        folder = area.folder(PRIVATE)
    except NotSetUp:
        return None
    with folder, disk_trouble(folder.path):
        lease = read_in(folder)
        take_away(folder, lambda lease: seen is None or seen.is_still(lease))
        folder.sync()
    return None if lease is None else lease.owner


def take_away(folder: Folder, wanted: Callable[[Lease], bool], *, as_reserve: bool = False) -> None:
    """Remove the lease where it is the one wanted, and no other that took its place meanwhile.

    Args:
        folder: Where it is.
        wanted: Whether it is the one.
        as_reserve: Leave its file as the reserve; only for its holder, as any other may write to
            it yet.
    """
    lease = read_in(folder)
    if lease is None or not wanted(lease):
        return
    with folder.temporary() as (_, taken):
        # Free again, because a folder in the lease's place cannot be renamed over a file.
        folder.remove(taken)
        try:
            folder.rename_over(LEASE_NAME, folder, taken)
        except FileNotFoundError:
            return
        lease = read_in(folder, taken)
        if lease is not None and not wanted(lease):
            folder.link_exclusive(taken, folder, LEASE_NAME)
        elif as_reserve:
            folder.rename_over(taken, folder, RESERVE_NAME)


def take_reserve(folder: Folder) -> tuple[int, str] | None:
    """The reserve as a temporary to write over: (descriptor, name); None where there is none."""
    try:
        return folder.take_as_temporary(RESERVE_NAME)
    except (OSError, BadShard):
        return None


def read_in(folder: Folder, name: str = LEASE_NAME) -> Lease | None:
    """The lease; None where there is none. What is no lease reads as one without an owner."""
    try:
        data = _read_fresh(folder, name)
    except FileNotFoundError:
        return None
    except BadShard as error:
        return Lease(error.reason.encode(), None)
    try:
        record = parse_record(data)
        owner = Owner(
            token=text_of(record, "token"),
            host=text_of(record, "host"),
            boot_id=text_of(record, "boot_id"),
            pid_namespace=text_of(record, "pid_namespace"),
            pid=whole_of(record, "pid"),
            started=whole_of(record, "started"),
            since=seconds_of(record, "since"),
        )
    except RecordError:
        return Lease(data, None)
    return Lease(data, owner)


def _read_fresh(folder: Folder, name: str) -> bytes:
    """The bytes of a lease; once more where an NFS client knew only the one that was before."""
    try:
        return folder.read(name, _LIMIT)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return folder.read(name, _LIMIT)


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


def _pid_namespace() -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _process(pid: int) -> tuple[int, str]:
    """Start time (clock ticks since boot) and state letter of a process; (0, "") where unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The second field is the command in parentheses, and may hold both.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19]), fields[0].decode("ascii")
    return 0, ""
