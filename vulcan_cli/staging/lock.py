"""One sync at a time: a lease that beats, and a POSIX lock beside it.

The lease decides. It is made by link(2), so it has one maker; its holder changes it in place every
30 seconds. Somebody else may take it over at once where it names a process of this boot and PID
namespace that is gone, and otherwise only after watching it for 300 seconds of its own monotonic
clock without a change. Host names and file times prove nothing. A holder that was stopped meanwhile
finds out when it asks `check` before its next step.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from vulcan_cli.errors import BadShard, DiskTrouble, LeaseLost, NotSetUp, SyncAtWork
from vulcan_cli.files import Folder, write_all
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.records import (
    RecordError,
    parse_record,
    render_record,
    seconds_of,
    text_of,
    whole_of,
)

LOCK_NAME = "sync.lock"
LEASE_NAME = "sync.lease"

BEAT_S = 30.0
"""How often a holder changes its lease."""

PATIENCE_S = 300.0
"""How long a lease must stay unchanged before another may take it."""

_POLL_S = 1.0
_BLINK_S = 0.05
_LIMIT = 4096
_BEAT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Owner:
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


@dataclass(frozen=True, slots=True)
class Lease:
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
        return self.owner.token == other.owner.token


class SyncLock:
    """The sync lock of a staging directory; hold it in a `with` block.

    Attributes:
        warning: After entering, what people should know of how it was taken, or None.
    """

    def __init__(
        self,
        area: StagingArea,
        *,
        beat_s: float = BEAT_S,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe the lock; nothing is read or written yet.

        Args:
            area: The staging directory.
            beat_s: Seconds between beats.
            patience_s: Seconds without a beat before a lease is taken over; ten beats.
            clock: Gives unix seconds, for people who read the lease.
            monotonic: Gives seconds that only ever grow.
            sleep: Waits between two looks at another's lease.
        """
        self._area = area
        self._beat_s = beat_s
        self._patience_s = patience_s
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lease_fd = -1
        self._lock_fd = -1
        self.warning: str | None = None

    def __enter__(self) -> Self:
        """Take the lock, or watch its holder until it beats or its patience is over.

        Raises:
            SyncAtWork: Another sync holds it.
            DiskTrouble: The file system refuses.
        """
        folder = self._area.folder(PRIVATE, create=True)
        try:
            with disk_trouble(folder.path):
                locked = self._lock(folder)
                self._take(folder)
                if not locked:
                    self.warning = f"{LOCK_NAME} is still held, though its holder's lease ended"
        except BaseException:
            self._close()
            folder.close()
            raise
        self._folder = folder
        self._stop.clear()
        self._thread = threading.Thread(target=self._beat, name="vulcan-lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            _take_away(self._folder, lambda lease: _holds(lease, self._owner))
        self._close()
        self._folder.close()

    @property
    def owner(self) -> Owner:
        """Ourselves, as our lease says."""
        return self._owner

    def check(self) -> None:
        """Make sure that the lease is still ours; call it before each commit and each move.

        Raises:
            LeaseLost: It was taken over, or broken by a person. Touch nothing more.
            DiskTrouble: It cannot be read.
        """
        with disk_trouble(self._folder.path / LEASE_NAME):
            lease = _read(self._folder)
            if lease is None and self._lease_back():
                return
        if lease is None or not _holds(lease, self._owner):
            raise LeaseLost("nobody" if lease is None else str(lease))

    def _lease_back(self) -> bool:
        """Wait out the instant in which a taker looks at what it took and puts it back."""
        self._sleep(min(self._beat_s, _POLL_S))
        lease = _read(self._folder)
        return lease is not None and _holds(lease, self._owner)

    def _lock(self, folder: Folder) -> bool:
        """Take the POSIX lock; False where another process has it. No locks here count as taken."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        self._lock_fd = os.open(LOCK_NAME, flags, 0o644, dir_fd=folder.fd)
        try:
            fcntl.lockf(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:
            # Mounted without locks: the lease decides anyway.
            return True
        return True

    def _take(self, folder: Folder) -> None:
        """Make our lease, after taking away one whose holder is gone or does not beat."""
        seen: Lease | None = None
        since = self._monotonic()
        while not self._make(folder):
            lease = _read(folder)
            if lease is None:
                # Gone between two looks, or not known yet to this NFS client.
                self._sleep(_BLINK_S)
                continue
            if seen is None or lease.data != seen.data:
                if lease.owner is not None and lease.owner.is_running():
                    raise SyncAtWork(str(lease))
                if seen is not None and not (lease.owner and lease.owner.is_gone()):
                    raise SyncAtWork(str(lease))
                seen, since = lease, self._monotonic()
            gone = lease.owner is not None and lease.owner.is_gone()
            if gone or self._monotonic() - since >= self._patience_s:
                unchanged = lease.data
                _take_away(folder, lambda taken: taken.data == unchanged)  # noqa: B023 - called now
            else:
                self._sleep(min(_POLL_S, self._patience_s / 10))

    def _make(self, folder: Folder) -> bool:
        """Make our lease; False where there is one."""
        self._owner = Owner.myself(self._clock())
        fd, temporary = folder.new_temporary()
        try:
            write_all(fd, self._text(0))
            os.fchmod(fd, 0o644)
            os.fsync(fd)
            if not folder.link_exclusive(temporary, folder, LEASE_NAME):
                os.close(fd)
                return False
        except BaseException:
            os.close(fd)
            raise
        finally:
            folder.discard(temporary)
        self._lease_fd = fd
        return True

    def _text(self, beat: int) -> bytes:
        # Of constant length, so that a beat is one write in place and no old tail is left.
        return render_record({"beat": f"{beat:0{_BEAT_DIGITS}}", **asdict(self._owner)}, indent=1)

    def _beat(self) -> None:
        """Change our lease in place. Were it taken, that changes a file nobody reads any more."""
        beat = 0
        while not self._stop.wait(self._beat_s):
            beat += 1
            # What goes wrong here shows in `check`, or as a lease that does not beat.
            with contextlib.suppress(OSError):
                os.pwrite(self._lease_fd, self._text(beat), 0)
                os.fsync(self._lease_fd)

    def _close(self) -> None:
        for fd in (self._lease_fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._lease_fd = self._lock_fd = -1


def read_owner(area: StagingArea) -> Owner | None:
    """Who holds the sync lock, by its lease; None where there is none or it cannot be read.

    A holder that died without giving it back is named too: ask `Owner.is_gone`.
    """
    with contextlib.suppress(NotSetUp, DiskTrouble, OSError), area.folder(PRIVATE) as folder:
        lease = _read(folder)
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
        return _read(folder)


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
        lease = _read(folder)
        _take_away(folder, lambda lease: seen is None or seen.is_still(lease))
        folder.sync()
    return None if lease is None else lease.owner


def _take_away(folder: Folder, wanted: Callable[[Lease], bool]) -> None:
    """Remove the lease where it is the one wanted, and no other that took its place meanwhile."""
    lease = _read(folder)
    if lease is None or not wanted(lease):
        return
    with folder.temporary() as (_, taken):
        # Free again, because a folder in the lease's place cannot be renamed over a file.
        folder.remove(taken)
        try:
            folder.rename_over(LEASE_NAME, folder, taken)
        except FileNotFoundError:
            return
        lease = _read(folder, taken)
        if lease is not None and not wanted(lease):
            folder.link_exclusive(taken, folder, LEASE_NAME)


def _read(folder: Folder, name: str = LEASE_NAME) -> Lease | None:
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


def _holds(lease: Lease, owner: Owner) -> bool:
    return lease.owner is not None and lease.owner.token == owner.token


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
