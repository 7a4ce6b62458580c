"""The commit budget: at most so many commit requests in a rolling window, over all processes.

Each request is stamped before it is sent. Our stamps stand in `_vulcan/budget/`, under a lock; the
peer's stand in `_commit_budget.json`, which it replaces without one. What either file holds counts,
and both are brought to the union. A history that cannot be read counts as full.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp, TryLater
from vulcan_cli.files import Folder
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.records import (
    RECORD_LIMIT,
    RecordError,
    parse_record,
    render_record,
    seconds_of,
)

PEER_BUDGET = "_commit_budget.json"
"""The peer's stamps, at the root of the staging directory: those of its one repo."""

_DAY = 86_400.0
_PATIENCE_S = 30.0
_POLL_S = 0.05
_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)

# POSIX locks keep processes apart, not threads of one.
_THREADS = threading.Lock()


@dataclass(frozen=True, slots=True)
class _History:
    stamps: tuple[float, ...]
    budget: int | None
    window_s: float | None
    damaged: bool


class Budget:
    """The commit budget of one repo in one staging directory."""

    def __init__(
        self,
        area: StagingArea,
        key: str,
        budget: int,
        window_s: float,
        clock: Callable[[], float] = time.time,
        *,
        with_peer: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe a budget; nothing is read or written yet.

        Args:
            area: The staging directory.
            key: The repo's key, a safe file name.
            budget: Commit requests per window.
            window_s: Length of the window, seconds.
            clock: Gives unix seconds.
            with_peer: Whether the peer commits to this repo from here: read and mirror its stamps.
            sleep: Waits while another process has the lock.
        """
        self._area = area
        plain = _PLAIN_KEY.fullmatch(key)
        self._name = key if plain else hashlib.sha256(key.encode()).hexdigest()
        self._budget = budget
        self._window_s = window_s
        self._clock = clock
        self._with_peer = with_peer
        self._sleep = sleep

    def remaining(self) -> int:
        """How many slots are free now; 0 where the history cannot be read. Writes nothing."""
        return max(0, self._budget - len(self._counting(self._read_only(), self._clock())))

    def next_slot_at(self) -> float | None:
        """When the next slot opens, unix seconds; None where one is free, or there is none at all.

        Writes nothing.
        """
        return self._next(self._counting(self._read_only(), self._clock()))

    def spent_at(self) -> tuple[float, ...]:
        """When the slots were taken that are not free again, oldest first. Writes nothing."""
        return tuple(self._counting(self._read_only(), self._clock()))

    def spend(self) -> float:
        """Take a slot, durable when this returns: its stamp, unix seconds.

        A damaged history is repaired first, which is saved even where no slot is free.

        Raises:
            TryLater: No slot is free; `retry_at` says when one is.
            DiskTrouble: The stamps cannot be read or written; then no slot was taken.
        """
        with (
            self._area.folder(PRIVATE, "budget", create=True) as folder,
            disk_trouble(folder.path),
            self._locked(folder),
        ):
            now = self._clock()
            stamps, damaged = self._union(folder, now)
            counting = self._counting(stamps, now)
            if len(counting) >= self._budget:
                if damaged:
                    self._save(folder, stamps, now)
                raise self._used_up(self._next(counting))
            self._save(folder, (*stamps, now), now)
        return now

    def repair(self) -> None:
        """Save the repair of a damaged history, so that it counts as full for one window only.

        `spend` does so too; this is for who does not ask for a slot as long as none is free.

        Raises:
            TryLater: Another process holds the lock for too long.
            DiskTrouble: The stamps cannot be read or written.
        """
        with (
            self._area.folder(PRIVATE, "budget", create=True) as folder,
            disk_trouble(folder.path),
            self._locked(folder),
        ):
            now = self._clock()
            stamps, damaged = self._union(folder, now)
            if damaged:
                self._save(folder, stamps, now)

    def _used_up(self, retry_at: float | None) -> TryLater:
        message = f"all {self._budget} commits of this window of {self._window_s:g} s are used"
        return TryLater(message, retry_at=retry_at)

    def _counting(self, stamps: tuple[float, ...], now: float) -> list[float]:
        """The stamps whose slots are not free again, oldest first."""
        return sorted(stamp for stamp in stamps if stamp + self._window_s > now)

    def _next(self, counting: list[float]) -> float | None:
        over = len(counting) - self._budget
        return counting[over] + self._window_s if 0 <= over < len(counting) else None

    def _read_only(self) -> tuple[float, ...]:
        now = self._clock()
        try:
            with self._area.folder(PRIVATE, "budget") as folder:
                return self._union(folder, now)[0]
        except NotSetUp:
            # Nobody of ours ever committed from here; the peer may have.
            return self._peer(now).stamps
        except (DiskTrouble, OSError):
            return self._full(now)

    def _union(self, folder: Folder, now: float) -> tuple[tuple[float, ...], bool]:
        """All stamps, sorted and repaired, and whether there was something to repair."""
        ours, peer = self._read(folder, f"{self._name}.json", now), self._peer(now)
        # A stamp in both files is one request; two alike in one file are two.
        both = Counter(ours.stamps) | Counter(peer.stamps)
        return tuple(sorted(both.elements())), ours.damaged or peer.damaged

    def _peer(self, now: float) -> _History:
        if not self._with_peer:
            return _History((), None, None, damaged=False)
        with self._area.folder() as root:
            return self._read(root, PEER_BUDGET, now)

    def _read(self, folder: Folder, name: str, now: float) -> _History:
        try:
            return _parse(folder.read(name, RECORD_LIMIT), now)
        except FileNotFoundError:
            return _History((), None, None, damaged=False)
        except (OSError, BadShard, RecordError):
            return _History(self._full(now), None, None, damaged=True)

    def _full(self, now: float) -> tuple[float, ...]:
        return (now,) * self._budget

    def _save(self, folder: Folder, stamps: tuple[float, ...], now: float) -> None:
        """Write the union to our file, then to the peer's, which it may replace at any moment."""
        # A run with a longer window still needs what this one no longer counts.
        kept = [stamp for stamp in stamps if stamp + max(self._window_s, _DAY) > now]
        folder.replace(f"{self._name}.json", _render(kept, self._budget, self._window_s))
        if not self._with_peer:
            return
        with self._area.folder() as root:
            peer = self._read(root, PEER_BUDGET, now)
            window_s = peer.window_s or self._window_s
            both = Counter(kept) | Counter(peer.stamps)
            mirrored = [s for s in both.elements() if s + max(window_s, self._window_s) > now]
            data = _render(sorted(mirrored), peer.budget or self._budget, window_s)
            root.replace(PEER_BUDGET, data)

    @contextmanager
    def _locked(self, folder: Folder) -> Iterator[None]:
        """Keep other processes from reading between our reading and our writing."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with _THREADS:
            fd = os.open(f"{self._name}.lock", flags, 0o644, dir_fd=folder.fd)
            try:
                self._lock(fd)
                yield
            finally:
                # Closing gives the lock back.
                os.close(fd)

    def _lock(self, fd: int) -> None:
        for _ in range(int(_PATIENCE_S / _POLL_S)):
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}:
                    # No locks on this mount: the sync lock's lease keeps other nodes away.
                    return
                if error.errno not in {errno.EACCES, errno.EAGAIN}:
                    raise
                self._sleep(_POLL_S)
            else:
                return
        raise TryLater("another process has held the lock of the commit budget for too long")


def _parse(data: bytes, now: float) -> _History:
    record = parse_record(data)
    stamps, budget = record.get("timestamps"), record.get("budget")
    if not isinstance(stamps, list):
        raise RecordError("timestamps is no list")
    repaired = tuple(_stamp(stamp, now) for stamp in stamps)
    try:
        window_s = seconds_of(record, "window_s")
    except RecordError:
        window_s = 0.0
    return _History(
        stamps=repaired,
        budget=budget if isinstance(budget, int) and budget > 0 else None,
        window_s=window_s if window_s > 0 else None,
        damaged=repaired != tuple(stamps),
    )


def _render(stamps: list[float], budget: int, window_s: float) -> bytes:
    return render_record({"budget": budget, "window_s": window_s, "timestamps": stamps})


def _stamp(value: object, now: float) -> float:
    """A stamp as a number that can be one: what is NaN, infinite or in the future is now."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError("a stamp is no number")
    with contextlib.suppress(OverflowError):
        stamp = float(value)
        if math.isfinite(stamp) and stamp <= now:
            return stamp
    return now
