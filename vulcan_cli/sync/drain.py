"""Draining `pending/` into commits, so that running it again after anything ends the same.

For each batch: check the files, ask the repo what it has, upload, spend a slot, write the journal,
commit, and settle by asking the repo again. What a call returned is never what decides.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from vulcan_cli.dataset.local_catalog import keep
from vulcan_cli.dataset.split_files import DESCRIPTION
from vulcan_cli.errors import (
    LeaseLost,
    RateLimited,
    ServerTrouble,
    TryLater,
    UsageError,
    VulcanError,
)
from vulcan_cli.hub import repo as hub
from vulcan_cli.quantities import counted
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.journal import Journal
from vulcan_cli.staging.listing import Entry
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import Moving, move
from vulcan_cli.staging.reasons import forget_reason, write_reason
from vulcan_cli.staging.tidy import tidy
from vulcan_cli.sync.announce import Announcer
from vulcan_cli.sync.check import Checked
from vulcan_cli.sync.commit import (
    ChangedMeanwhileError,
    Committer,
    NoSlotError,
    StopAskedError,
    journaled,
)
from vulcan_cli.sync.limits import room_for_files
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.push_splits import refuse_splits
from vulcan_cli.sync.readme import CardKeeper, about_of
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.settle import Settler, sort
from vulcan_cli.sync.share import Share
from vulcan_cli.sync.sift import Sieve
from vulcan_cli.sync.timing import Clock
from vulcan_cli.sync.waiting import Waiting
from vulcan_cli.vacua.shard import sidecar_of

_logger = logging.getLogger(__name__)

MOST_IN_A_COMMIT = 25_000
"""Files that the Hub takes in one commit."""

_IN_FLIGHT_S = 60.0
"""What a process sent before it died has arrived after so long, or never will."""


def sync(
    area: StagingArea,
    repo: hub.Repo,
    options: SyncOptions,
    *,
    clock: Clock | None = None,
    share: Share | None = None,
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[SyncReport, int], None] = lambda *_: None,
    watching: Callable[[str], None] = lambda _: None,
) -> SyncReport:
    """Publish what waits in `pending/`.

    Args:
        area: The staging directory.
        repo: Where shards go.
        options: How.
        clock: Time.
        share: Which entries of `pending/` this run is about; None for all.
        stopping: Asked between commits and while waiting; True ends the run in good order.
        progress: Told the report so far and how many entries are still to look at.
        watching: As for `SyncLock`.

    Returns:
        What was done; `stopped` holds what ended the run early.

    Raises:
        SyncAtWork: Another sync holds the lock.
        NotSetUp: There is no such staging directory.
        UsageError: A pull request to a folder.
    """
    if options.create_pr and not repo.is_remote:
        raise UsageError(f"{repo.name} is a folder, which has no pull requests")
    report = SyncReport()
    share = share or Share()
    with SyncLock(area, watching=watching, stopping=stopping) as lock:
        if lock.warning is not None:
            report.errors.append(lock.warning)
        clock = clock or Clock()
        drain = _Drain(
            area, repo, share, options, clock, lock=lock, stopping=stopping, report=report
        )
        try:
            drain.run(progress)
        except VulcanError as error:
            report.stop(error)
        left = _left(area, share, report)
        if not isinstance(report.stopped, LeaseLost):
            keep(area)
    report.n_remaining = len(left)
    report.n_in_review = len(left & drain.in_review)
    report.next_slot_at = drain.budget.next_slot_at()
    later = report.stopped or report.waited_for
    if isinstance(later, TryLater) and later.retry_at is not None:
        # As the next run will have it, too.
        later.retry_at = min(later.retry_at, clock.now() + options.window_s)
        report.next_slot_at = max(report.next_slot_at or 0.0, later.retry_at)
    return report


def _left(area: StagingArea, share: Share, report: SyncReport) -> set[str]:
    """File names of what waits; none where that cannot be listed, and commits are to be told."""
    try:
        listed = area.scan("pending").entries
    except VulcanError as error:
        if not (report.n_committed or report.n_commits):
            raise
        report.stop(error)
        return set()
    return {entry.name for entry in listed if entry.has_parquet and share.takes(entry)}


class _Work:
    """The entries still to look at, and how many to take at once.

    Args:
        size: So many.
        done: File names that need no more looks in this run; others add to it.
    """

    def __init__(self, size: int, done: set[str]) -> None:
        self.size = size
        self.done = done
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entries: Iterable[Entry]) -> None:
        self._entries.extend(entries)

    def take(self) -> list[Entry]:
        return [self._entries.popleft() for _ in range(min(self.size, len(self._entries)))]

    def next(self) -> list[Entry]:
        """What `take` would give."""
        return [*islice(self._entries, self.size)]

    def put_back(self, batch: Sequence[Entry]) -> None:
        """Let those of a batch that nobody finished be the first again."""
        self._entries.extendleft(entry for entry in reversed(batch) if entry.name not in self.done)

    def halve(self, batch: Sequence[Entry]) -> None:
        """Take fewer from now on: this batch may have been too much for the server."""
        self.size = max(1, min(self.size, len(batch)) // 2)


class _Drain:
    """One run, under the lock."""

    def __init__(
        self,
        area: StagingArea,
        repo: hub.Repo,
        share: Share,
        options: SyncOptions,
        clock: Clock,
        *,
        lock: SyncLock,
        stopping: Callable[[], bool],
        report: SyncReport,
    ) -> None:
        self._area = area
        self._repo = repo
        self._share = share
        self._options = options
        self._clock = clock
        self._lock = lock
        self._report = report
        self._waiting = Waiting(options, clock, budget=lambda: self.budget, stopping=stopping)
        self._settler = Settler(area, repo, report, now=clock.now, still_ours=lock.check)
        self._committer = Committer(
            area,
            repo,
            options,
            self._settler,
            clock=clock,
            still_ours=lock.check,
            await_slots=self._waiting.for_slots,
            announcer=Announcer(repo, now=clock.now, say=report.errors.append, card=self._card()),
        )
        size = room_for_files(min(options.max_batch, MOST_IN_A_COMMIT))
        self._work = _Work(size, self._settler.done)
        self._sieve = Sieve(area, report, self._settler.done, still_ours=lock.check)

    def _card(self) -> CardKeeper | None:
        options = self._options
        if not options.card:
            return None
        about = about_of(self._repo, options.licence, options.citation)
        return CardKeeper(self._repo, about, say=self._report.errors.append)

    @property
    def budget(self) -> Budget:
        """The commit budget of the repo."""
        return self._committer.budget

    @property
    def in_review(self) -> set[str]:
        """File names of shards that wait for a pull request."""
        return self._settler.in_review

    def run(self, progress: Callable[[SyncReport, int], None]) -> None:
        """Recover, tidy, and commit batch after batch."""
        try:
            with contextlib.suppress(NoSlotError):
                self._begin()
                while self._work:
                    self._report.n_slots = self.budget.remaining()
                    self._report.next_slot_at = self.budget.next_slot_at()
                    progress(self._report, len(self._work))
                    self._waiting.for_slots(1)
                    self._one(self._work.take())
        except StopAskedError as asked:
            self._report.waited_for = asked.waited_for
        finally:
            self._sieve.close()
        self._fail(self._committer.to_blame(at_the_end=True))

    def _begin(self) -> None:
        """Finish what others began, and find out whether commits can work at all."""
        self._count_those_in_flight()
        self._waiting.for_an_answer(self._settler.recover)
        self._waiting.for_an_answer(self._settler.review)
        tidy(self._area, sidecar_of=sidecar_of, check=self._lock.check)
        listed = self._area.scan("pending").entries
        self._work.add(
            entry
            for entry in listed
            if entry.has_parquet and self._share.takes(entry) and entry.name not in self.in_review
        )
        if self._work:
            options = self._options
            self._waiting.for_an_answer(
                lambda: self._repo.preflight(
                    create=options.create_repo,
                    create_pr=options.create_pr,
                    revision=options.revision,
                )
            )

    def _count_those_in_flight(self) -> None:
        """Let requests of a run that died count from when they may have arrived at the latest."""
        for record in Journal(self._area).pending():
            if record.repo == self._repo.key:
                latest = min(self._clock.now(), record.created + _IN_FLIGHT_S)
                with contextlib.suppress(TryLater):
                    self.budget.answered(record.created, latest)

    def _one(self, batch: Sequence[Entry]) -> None:
        """One batch, or as much of it as can be done now; the rest comes again."""
        commits = self._report.n_commits
        try:
            self._batch(batch)
        except ChangedMeanwhileError:
            self._work.put_back(batch)
            self._waiting.count(TryLater(f"{self._repo.name} changed at every try"))
        except TryLater as later:
            if not isinstance(later, RateLimited):
                self._work.halve(batch)
            try:
                self._waiting.until_it_passes(later)
            except TryLater:
                if self._options.fail_exhausted:
                    self._give_up(later, batch)
                raise
            self._waiting.for_an_answer(self._settler.recover)
            self._work.put_back(batch)
        if self._report.n_commits > commits:
            self._waiting.forget()
        self._fail(self._committer.to_blame())

    def _batch(self, entries: Sequence[Entry]) -> None:
        """Publish what may be published out of these entries."""
        with self._sieve.shards(entries) as checked:
            shards = self._at_home(checked)
            if not shards:
                return
            self._sieve.look_ahead(self._work.next())
            revision = self._options.revision
            head = self._repo.head(revision)
            remote = self._repo.look_up([DESCRIPTION, *(s.path_in_repo for s in shards)], head)
            if DESCRIPTION in remote:
                refuse_splits(self._repo, head)
            found = sort([journaled(shard) for shard in shards], remote)
            looked_at = counted(len(shards), "shard")
            _logger.info("%s has %d of %s already", self._repo.name, len(found.landed), looked_at)
            identities = {shard.entry.name: shard.identity for shard in shards}
            self._settler.adopt(found.landed, head, revision, identities)
            self._settler.in_conflict(found.taken)
            absent = {shard.name for shard in found.absent}
            if absent:
                lacking = [shard for shard in shards if shard.entry.name in absent]
                self._committer.publish(lacking, head)

    def _at_home(self, checked: Sequence[Checked]) -> list[Checked]:
        """The shards that belong into this repo: before the check a file may say nothing yet."""
        shards = [s for s in checked if self._share.is_home_of(s.footer.geometry.geometry_id)]
        self._work.done |= {s.entry.name for s in checked} - {s.entry.name for s in shards}
        return shards

    def _fail(self, blamed: Sequence[tuple[str, str]]) -> None:
        """Move shards that the repo refuses to `failed/`, with the repo's words."""
        for name, reason in blamed:
            self._lock.check()
            write_reason(self._area, name, reason)
            (moved,) = move(self._area, [Moving(name)], "pending", "failed", check=self._lock.check)
            if moved.outcome == "exists":
                forget_reason(self._area, name)
                self._settler.set_aside(name, "failed/ holds other content under this name")
            elif moved.outcome == "stays":
                self._report.n_unreadable += 1
                self._report.errors.append(f"{name} is refused, and cannot be moved: {reason}")
            else:
                self._report.n_failed += moved.outcome == "moved"
                self._report.errors.append(f"{name} is refused: {reason}")

    def _give_up(self, later: TryLater, batch: Sequence[Entry]) -> None:
        """Move a batch to `failed/`, as the peer does; not where the repo may have it yet."""
        if isinstance(later, RateLimited | ServerTrouble) and not Journal(self._area).pending():
            names = [entry.name for entry in batch if entry.name not in self._work.done]
            self._fail([(name, str(later)) for name in names])
