"""The commit budget: at most so many commit requests in a rolling window, over all processes.

Each request is stamped before it is sent, and again when it was answered: it arrived at some moment
between, and its slot is free a window after the later one.

Our stamps stand in `_vulcan/budget/`, under a lock; the peer's stand in `_commit_budget.json`,
which it replaces without one. What either file holds counts, and both are brought to the union. A
history that cannot be read counts as full. What the repo said of its own limit stands beside our
stamps, and counts as long as it holds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp, RateLimited, TryLater
from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.heard import Heard
from vulcan_cli.staging.records import RecordError
from vulcan_cli.staging.stamps import MOST_STAMPS, History, read_history, render_history

PEER_BUDGET = "_commit_budget.json"
"""The peer's stamps, at the root of the staging directory: those of its one repo."""

_DAY = 86_400.0
_PATIENCE_S = 30.0
_POLL_S = 0.05
_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)

# POSIX locks keep processes apart, not threads of one.
_THREADS = threading.Lock()


class _Union(NamedTuple):
    """Both histories as one: all stamps, sorted; whether something is to repair; what was heard.

    `gone` are stamps that still stand in the peer's file, though others in ours took their place.
    """

    stamps: tuple[float, ...]
    damaged: bool = False
    heard: Heard | None = None
    gone: tuple[float, ...] = ()


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
        name: str = "the repo",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe a budget; nothing is read or written yet.

        Args:
            area: The staging directory.
            key: The repo's key, a safe file name.
            budget: Commit requests per window; at most 200,000 count.
            window_s: Length of the window, seconds.
            clock: Gives unix seconds.
            with_peer: Whether this is the main repo, to which the peer commits from here: read and
                mirror its stamps.
            name: What people call the repo.
            sleep: Waits while another process has the lock.
        """
        self._area = area
        plain = _PLAIN_KEY.fullmatch(key)
        self._name = key if plain else hashlib.sha256(key.encode()).hexdigest()
        self._budget = min(budget, MOST_STAMPS)
        self._window_s = window_s
        self._clock = clock
        self._with_peer = with_peer
        self._name_of_repo = name
        self._sleep = sleep

    def remaining(self) -> int:
        """How many slots are free now; 0 where the history cannot be read. Writes nothing."""
        now = self._clock()
        union = self._read_only(now)
        if self._closed_until(union, now) is not None:
            return 0
        return max(0, self._limit(union, now) - len(self._counting(union, now)))

    def next_slot_at(self) -> float | None:
        """When the next slot opens, unix seconds; None where one is free, or there is none at all.

        Writes nothing.
        """
        now = self._clock()
        return self._next(self._read_only(now), now)

    def closed(self) -> RateLimited | None:
        """What the repo said of its own limit, as long as it takes no commit; None where it does.

        `retry_at` says when it does again. Writes nothing.
        """
        now = self._clock()
        return self._closed(self._read_only(now), now)

    def limit(self) -> int:
        """How many slots a window has: the budget, or less where the repo said that it takes less.

        Writes nothing.
        """
        now = self._clock()
        return self._limit(self._read_only(now), now)

    def hear(self, *, commits_per_hour: int | None, closed_until: float | None) -> None:
        """Keep, durably, what the repo said when it refused a commit for being one too many.

        Args:
            commits_per_hour: The limit that it named, if it did.
            closed_until: When it said to come back, unix seconds, if it did.

        Raises:
            TryLater: Another process holds the lock for too long.
            DiskTrouble: The history cannot be read or written.
        """
        with self._held() as (folder, now, union):
            heard = Heard(now, commits_per_hour, closed_until)
            self._save(folder, union._replace(heard=heard), now)

    def spent_at(self) -> tuple[float, ...]:
        """When the slots were taken that are not free again, oldest first. Writes nothing."""
        now = self._clock()
        return tuple(self._counting(self._read_only(now), now))

    def spend(self) -> float:
        """Take a slot, durable when this returns: its stamp, unix seconds.

        A damaged history is repaired first, which is saved even where no slot is free.

        Raises:
            RateLimited: The repo said that it takes no commit yet; `retry_at` says when it does.
            TryLater: No slot is free; `retry_at` says when one is.
            DiskTrouble: The stamps cannot be read or written; then no slot was taken.
        """
        with self._held() as (folder, now, union):
            refused = self._closed(union, now) or self._used_up(union, now)
            if refused is not None:
                if union.damaged:
                    self._save(folder, union, now)
                raise refused
            self._save(folder, union._replace(stamps=(*union.stamps, now)), now)
        return now

    @contextmanager
    def slot(self) -> Iterator[float]:
        """Take a slot for the request in this block; see `spend` and `answered`."""
        stamp = self.spend()
        try:
            yield stamp
        finally:
            # Where that cannot be written down now, it counts from when it was sent.
            with contextlib.suppress(TryLater, DiskTrouble):
                self.answered(stamp, self._clock())

    def answered(self, stamp: float, at: float) -> None:
        """Let the slot of a request count from when it was answered, or given up.

        Args:
            stamp: What `spend` gave for it; where nobody knows it any more, nothing is done.
            at: When that was, unix seconds.

        Raises:
            TryLater: Another process holds the lock for too long.
            DiskTrouble: The stamps cannot be read or written; then it counts from `stamp`.
        """
        with self._held() as (folder, now, union):
            others = Counter(union.stamps) - Counter([stamp])
            if others.total() < len(union.stamps):
                later = max(stamp, min(at, now))
                stamps = tuple(sorted((*others.elements(), later)))
                self._save(folder, union._replace(stamps=stamps, gone=(*union.gone, stamp)), now)

    def repair(self) -> None:
        """Save the repair of a damaged history, so that it counts as full for one window only.

        `spend` does so too; this is for who does not ask for a slot as long as none is free.

        Raises:
            TryLater: Another process holds the lock for too long.
            DiskTrouble: The stamps cannot be read or written.
        """
        with self._held() as (folder, now, union):
            if union.damaged:
                self._save(folder, union, now)

    def _used_up(self, union: _Union, now: float) -> TryLater | None:
        limit = self._limit(union, now)
        if len(self._counting(union, now)) < limit:
            return None
        message = f"all {limit} commits of this window of {self._window_s:g} s are used"
        return TryLater(message, retry_at=self._next(union, now))

    def _closed(self, union: _Union, now: float) -> RateLimited | None:
        moment = self._closed_until(union, now)
        if moment is None:
            return None
        message = "takes no more for now, as it said when it refused a commit"
        return RateLimited(f"{self._name_of_repo} {message}", retry_at=moment)

    def _limit(self, union: _Union, now: float) -> int:
        heard = union.heard
        return self._budget if heard is None else heard.limit(self._budget, self._window_s, now)

    def _closed_until(self, union: _Union, now: float) -> float | None:
        return None if union.heard is None else union.heard.opens_at(self._window_s, now)

    def _counting(self, union: _Union, now: float) -> list[float]:
        """The stamps whose slots are not free again, oldest first."""
        return sorted(stamp for stamp in union.stamps if stamp + self._window_s > now)

    def _next(self, union: _Union, now: float) -> float | None:
        counting = self._counting(union, now)
        over = len(counting) - self._limit(union, now)
        by_stamps = counting[over] + self._window_s if 0 <= over < len(counting) else None
        moments = [by_stamps, self._closed_until(union, now)]
        return max((each for each in moments if each is not None), default=None)

    def _read_only(self, now: float) -> _Union:
        try:
            with self._area.folder(PRIVATE, "budget") as folder:
                return self._union(folder, now)
        except NotSetUp:
            # Nobody of ours ever committed from here; the peer may have.
            return _Union(self._peer(now).stamps)
        except (DiskTrouble, OSError):
            return _Union(self._full(now))

    @contextmanager
    def _held(self) -> Iterator[tuple[Folder, float, _Union]]:
        """The history under its lock: its folder, the time, and what it holds."""
        with (
            self._area.folder(PRIVATE, "budget", create=True) as folder,
            disk_trouble(folder.path),
            self._locked(folder),
        ):
            now = self._clock()
            yield folder, now, self._union(folder, now)

    def _union(self, folder: Folder, now: float) -> _Union:
        ours, peer = self._read(folder, f"{self._name}.json", now), self._peer(now)
        gone = Counter(ours.gone) & Counter(peer.stamps)
        # A stamp in both files is one request; two alike in one file are two.
        both = Counter(ours.stamps) | (Counter(peer.stamps) - gone)
        stamps = tuple(sorted(both.elements()))
        damaged = ours.damaged or peer.damaged
        return _Union(stamps, damaged, ours.heard, tuple(gone.elements()))

    def _peer(self, now: float) -> History:
        if not self._with_peer:
            return History((), None, None, damaged=False)
        with self._area.folder() as root:
            return self._read(root, PEER_BUDGET, now)

    def _read(self, folder: Folder, name: str, now: float) -> History:
        try:
            return read_history(folder, name, now)
        except FileNotFoundError:
            return History((), None, None, damaged=False)
        except (OSError, BadShard, RecordError):
            return History(self._full(now), None, None, damaged=True)

    def _full(self, now: float) -> tuple[float, ...]:
        return (now,) * self._budget

    def _save(self, folder: Folder, union: _Union, now: float) -> None:
        """Write the union to our file, then to the peer's, which it may replace at any moment."""
        # A run with a longer window still needs what this one no longer counts.
        kept = [stamp for stamp in union.stamps if stamp + max(self._window_s, _DAY) > now]
        more: dict[str, object] = {}
        if union.heard is not None:
            more["heard"] = union.heard.as_record()
        if union.gone and self._with_peer:
            # Killed between the two files, one request would else be counted by a stamp in each.
            more["gone"] = list(union.gone)
        folder.replace(
            f"{self._name}.json", render_history(kept, self._budget, self._window_s, more)
        )
        if not self._with_peer:
            return
        with self._area.folder() as root:
            peer = self._read(root, PEER_BUDGET, now)
            window_s = peer.window_s or self._window_s
            both = Counter(kept) | (Counter(peer.stamps) - Counter(union.gone))
            mirrored = [s for s in both.elements() if s + max(window_s, self._window_s) > now]
            data = render_history(sorted(mirrored), peer.budget or self._budget, window_s)
            _replace(root, PEER_BUDGET, data)

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


def _replace(folder: Folder, name: str, data: bytes) -> None:
    """Make a file hold these bytes, also where a folder has its name: that gets another."""
    try:
        folder.replace(name, data)
    except IsADirectoryError:
        folder.rename_over(name, folder, f"{name}.{uuid.uuid4().hex}")
        folder.replace(name, data)
