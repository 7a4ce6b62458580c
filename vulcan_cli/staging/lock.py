"""One sync at a time: a lease that beats, and a POSIX lock beside it.

The lease decides. It is made by link(2), so it has one maker; its holder changes it in place every
30 seconds. Somebody else may take it over at once where it names a process of this boot and PID
namespace that is gone, and otherwise only after watching it for 300 seconds of its own monotonic
clock without a change. Host names and file times prove nothing. A holder that was stopped meanwhile
finds out when it asks `check` before its next step.

Whoever gives a lease back leaves its file beside. On a full disk the next lease is written over it,
so that `trim-synced`, which makes room, needs none.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from typing import Self

from vulcan_cli.errors import LeaseLost, SyncAtWork
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import write_all
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.lease import (
    LEASE_NAME,
    RESERVE_NAME,
    Lease,
    Owner,
    read_in,
    take_away,
    take_reserve,
)
from vulcan_cli.staging.records import render_record

LOCK_NAME = "sync.lock"

BEAT_S = 30.0
"""How often a holder changes its lease."""

PATIENCE_S = 300.0
"""How long a lease must stay unchanged before another may take it."""

_POLL_S = 1.0
_BLINK_S = 0.05
_BEAT_DIGITS = 12
_FULL = {errno.ENOSPC, errno.EDQUOT}


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
        watching: Callable[[str], None] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Describe the lock; nothing is read or written yet.

        Args:
            area: The staging directory.
            beat_s: Seconds between beats.
            patience_s: Seconds without a beat before a lease is taken over; ten beats.
            clock: Gives unix seconds, for people who read the lease.
            monotonic: Gives seconds that only ever grow.
            sleep: Waits between two looks at another's lease.
            watching: Told, once, whose lease has to be watched before it may be taken over.
            stopping: Asked between two looks; True ends the watch, and the lease stays.
        """
        self._area = area
        self._beat_s = beat_s
        self._patience_s = patience_s
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._watching = watching
        self._stopping = stopping
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lease_fd = -1
        self._lock_fd = -1
        self.warning: str | None = None

    def __enter__(self) -> Self:
        """Take the lock, or watch its holder until it beats or its patience is over.

        Raises:
            SyncAtWork: Another sync holds it, or may hold it when the watch is ended.
            DiskTrouble: The file system refuses.
        """
        folder = self._area.folder(PRIVATE, create=True)
        try:
            with disk_trouble(folder.path):
                locked = self._lock(folder)
                self._take(folder)
                if not locked and not self._is_given_back():
                    self.warning = f"{LOCK_NAME} is still held, though its holder's lease ended"
        except BaseException:
            self._give_back(folder)
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
        self._give_back(self._folder)

    @property
    def owner(self) -> Owner:
        """Ourselves, as our lease says."""
        return self._owner

    def check(self) -> None:
        """Make sure that the lease is still ours; call it before each commit, move and deletion.

        Raises:
            LeaseLost: It was taken over, or broken by a person. Touch nothing more.
            DiskTrouble: It cannot be read.
        """
        with disk_trouble(self._folder.path / LEASE_NAME):
            lease = read_in(self._folder)
            if lease is None and self._lease_back():
                return
        if lease is None or not lease.is_of(self._owner):
            raise LeaseLost("nobody" if lease is None else str(lease))

    def _lease_back(self) -> bool:
        """Wait out the instant in which a taker looks at what it took and puts it back."""
        self._sleep(min(self._beat_s, _POLL_S))
        lease = read_in(self._folder)
        return lease is not None and lease.is_of(self._owner)

    def _lock(self, folder: Folder) -> bool:
        """Take the POSIX lock; False where another process has it. No locks here count as taken."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        self._lock_fd = os.open(LOCK_NAME, flags, 0o644, dir_fd=folder.fd)
        return self._try_lock()

    def _is_given_back(self) -> bool:
        """Try the lock again: who ends gives back its lease first, and the lock a moment later."""
        since = self._monotonic()
        while not self._try_lock():
            if self._monotonic() - since >= _POLL_S:
                return False
            self._sleep(_BLINK_S)
        return True

    def _try_lock(self) -> bool:
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
        is_first = False
        since = self._monotonic()
        while not self._make(folder):
            lease = read_in(folder)
            if lease is None:
                # Gone between two looks, or not known yet to this NFS client.
                self._sleep(_BLINK_S)
                continue
            if seen is None or lease.data != seen.data:
                if lease.owner is not None and lease.owner.is_running():
                    raise SyncAtWork(str(lease))
                if seen is not None and not (lease.owner and lease.owner.is_gone()):
                    raise SyncAtWork(str(lease))
                is_first, seen, since = seen is None, lease, self._monotonic()
            gone = lease.owner is not None and lease.owner.is_gone()
            if gone or self._monotonic() - since >= self._patience_s:
                unchanged = lease.data
                take_away(folder, lambda taken: taken.data == unchanged)  # noqa: B023 - called now
                continue
            if is_first:
                self._watching(str(lease))
                is_first = False
            if self._stopping():
                raise SyncAtWork(str(lease))
            self._sleep(min(_POLL_S, self._patience_s / 10))

    def _make(self, folder: Folder) -> bool:
        """Make our lease; False where there is one."""
        self._owner = Owner.myself(self._clock())
        try:
            return self._offer(folder, *folder.new_temporary())
        except OSError as error:
            if error.errno not in _FULL:
                raise
            reserve = take_reserve(folder)
            if reserve is None and read_in(folder) is None:
                raise
        if reserve is None:
            # In use as the lease that is there: one that is dead gives its room when it goes.
            return False
        fd, temporary = reserve
        made = False
        try:
            made = self._offer(folder, fd, temporary, keep=True)
        finally:
            if not made:
                with contextlib.suppress(OSError):
                    folder.rename_over(temporary, folder, RESERVE_NAME)
        return made

    def _offer(self, folder: Folder, fd: int, temporary: str, *, keep: bool = False) -> bool:
        """Make a temporary our lease; False where there is one. Unless kept, it is dropped then."""
        made = False
        try:
            text = self._text(0)
            write_all(fd, text)
            os.ftruncate(fd, len(text))
            os.fchmod(fd, 0o644)
            os.fsync(fd)
            made = folder.link_exclusive(temporary, folder, LEASE_NAME)
        finally:
            if not made:
                os.close(fd)
            if made or not keep:
                folder.discard(temporary)
        if made:
            self._lease_fd = fd
        return made

    def _text(self, beat: int) -> bytes:
        # Of constant length, so that a beat is one write in place and no old tail is left.
        return render_record({"beat": f"{beat:0{_BEAT_DIGITS}}", **self._owner._asdict()}, indent=1)

    def _beat(self) -> None:
        """Change our lease in place. Were it taken, that changes a file nobody reads any more."""
        beat = 0
        while not self._stop.wait(self._beat_s):
            beat += 1
            # What goes wrong here shows in `check`, or as a lease that does not beat.
            with contextlib.suppress(OSError):
                os.pwrite(self._lease_fd, self._text(beat), 0)
                os.fsync(self._lease_fd)

    def _give_back(self, folder: Folder) -> None:
        """Take our lease away, also one made a moment ago: we may run on, and want it again."""
        if self._lease_fd >= 0:
            with contextlib.suppress(OSError):
                take_away(folder, lambda lease: lease.is_of(self._owner), as_reserve=True)
        for fd in (self._lease_fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._lease_fd = self._lock_fd = -1
        folder.close()
