"""Draining `pending/` into commits, so that running it again after anything ends the same.

For each batch: check the files, ask the repo what it has, upload, spend a slot, write the journal,
commit, and settle by asking the repo again. What a call returned is never what decides.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from vulcan_cli.errors import DiskTrouble, RateLimited, RepoRefuses, TryLater, VulcanError
from vulcan_cli.hub import repo as hub
from vulcan_cli.staging.area import Entry, StagingArea
from vulcan_cli.staging.aside import set_aside, write_reason
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.journal import BatchRecord, Journal, JournalShard
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import Moving, move
from vulcan_cli.staging.tidy import tidy
from vulcan_cli.sync.check import Checked, NotChecked, check
from vulcan_cli.sync.plan import Search, batches
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.settle import Settler, sort
from vulcan_cli.sync.timing import PATIENCE_S, Clock, Patience
from vulcan_cli.vacua.shard import sidecar_of

DEFAULT_BUDGET = 90
DEFAULT_WINDOW_S = 3600.0
DEFAULT_MAX_BATCH = 500
DEFAULT_MAX_RETRIES = 3
DEFAULT_PREFIX = "vulcan: forge"
MOST_IN_A_COMMIT = 25_000
"""Files that the Hub takes in one commit."""

_BACKOFF_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How to sync.

    Attributes:
        max_batch: Shards in a commit, at most 25,000.
        budget: Commit requests in a window.
        window_s: The window, seconds.
        max_retries: How often a batch is tried again after a trouble of the server.
        revision: The branch.
        commit_prefix: How commit messages begin.
        create_repo: Make the repo where there is none.
        wait: Stay until slots open, instead of ending when the budget is used up.
        fail_exhausted: Move a batch to `failed/` when a rate limit outlasts all retries.
        with_peer: Whether the peer commits to this repo from here too.
    """

    max_batch: int = DEFAULT_MAX_BATCH
    budget: int = DEFAULT_BUDGET
    window_s: float = DEFAULT_WINDOW_S
    max_retries: int = DEFAULT_MAX_RETRIES
    revision: str = hub.MAIN
    commit_prefix: str = DEFAULT_PREFIX
    create_repo: bool = False
    wait: bool = False
    fail_exhausted: bool = False
    with_peer: bool = True


def sync(
    area: StagingArea,
    repo: hub.Repo,
    options: SyncOptions,
    *,
    clock: Clock | None = None,
    wanted: Callable[[Entry], bool] = lambda _: True,
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[SyncReport, int], None] = lambda *_: None,
) -> SyncReport:
    """Publish what waits in `pending/`.

    Args:
        area: The staging directory.
        repo: Where shards go.
        options: How.
        clock: Time.
        wanted: Which entries of `pending/` this run is about.
        stopping: Asked between batches and while waiting; True ends the run in good order.
        progress: Told the report so far and how many entries are still to look at.

    Returns:
        What was done; `stopped` holds what ended the run early.

    Raises:
        SyncAtWork: Another sync holds the lock.
        NotSetUp: There is no such staging directory.
    """
    report = SyncReport()
    with SyncLock(area) as lock:
        if lock.warning is not None:
            report.errors.append(lock.warning)
        drain = _Drain(
            area, repo, options, clock or Clock(), lock=lock, stopping=stopping, report=report
        )
        try:
            drain.run(wanted, progress)
        except VulcanError as error:
            report.stopped = error
            report.errors.append(str(error))
    left = area.scan("pending").entries
    report.n_remaining = sum(entry.has_parquet and wanted(entry) for entry in left)
    report.next_slot_at = drain.budget.next_slot_at()
    if isinstance(report.stopped, TryLater) and report.stopped.retry_at is not None:
        report.next_slot_at = max(report.next_slot_at or 0.0, report.stopped.retry_at)
    return report


def rehearse(
    area: StagingArea,
    options: SyncOptions,
    *,
    repo_key: str,
    reserve: bool = True,
    clock: Clock | None = None,
    wanted: Callable[[Entry], bool] = lambda _: True,
) -> SyncReport:
    """Count what a sync would commit, without network and without moving anything.

    Args:
        area: The staging directory.
        options: How the sync would be.
        repo_key: The key of the repo, for its budget.
        reserve: Spend slots as a real run would, so that a rehearsal is conservative; False
            writes nothing at all.
        clock: Time.
        wanted: Which entries of `pending/` this is about.
    """
    report = SyncReport()
    now = (clock or Clock()).now
    budget = Budget(
        area, repo_key, options.budget, options.window_s, now, with_peer=options.with_peer
    )
    listed = area.scan("pending").entries
    entries = [entry for entry in listed if entry.has_parquet and wanted(entry)]
    left = budget.remaining()
    for batch in batches(entries, options.max_batch):
        results = [check(area, entry, now=now(), copy=False) for entry in batch]
        good = [result for result in results if isinstance(result, Checked)]
        for shard in good:
            shard.close()
        report.n_rejected += sum(_is_rejected(result) for result in results)
        if good and left > 0:
            if reserve:
                budget.spend()
            left -= 1
            report.n_committed += len(good)
            report.n_commits += 1
            report.commit_oids.append(None)
    report.n_remaining = len(entries) - report.n_committed - report.n_rejected
    report.next_slot_at = budget.next_slot_at()
    return report


class _TryAgainError(Exception):
    """The batch at hand starts over: new head, new look at the files."""


class _BudgetSpentError(Exception):
    """No slot is free, and this run does not wait for one."""


@dataclass(slots=True)
class _Work:
    """What is still to do, and how the server behaves."""

    entries: deque[Entry]
    size: int
    troubles: int = 0
    settled: set[str] = field(default_factory=set)

    def take(self) -> list[Entry]:
        return [self.entries.popleft() for _ in range(min(self.size, len(self.entries)))]

    def put_back(self, batch: Sequence[Entry]) -> None:
        self.entries.extendleft(
            entry for entry in reversed(batch) if entry.name not in self.settled
        )


class _Drain:
    """One run, under the lock."""

    def __init__(
        self,
        area: StagingArea,
        repo: hub.Repo,
        options: SyncOptions,
        clock: Clock,
        *,
        lock: SyncLock,
        stopping: Callable[[], bool],
        report: SyncReport,
    ) -> None:
        self.budget = Budget(
            area,
            repo.key,
            options.budget,
            options.window_s,
            clock.now,
            with_peer=options.with_peer,
        )
        self._area = area
        self._repo = repo
        self._options = options
        self._clock = clock
        self._lock = lock
        self._stopping = stopping
        self._report = report
        self._work = _Work(deque(), min(options.max_batch, MOST_IN_A_COMMIT))
        self._patience = Patience(
            clock, None if options.wait else PATIENCE_S, options.window_s, stopping
        )
        self._settler = Settler(
            area,
            repo,
            report,
            revision=options.revision,
            now=clock.now,
            still_ours=lock.check,
        )

    def run(
        self, wanted: Callable[[Entry], bool], progress: Callable[[SyncReport, int], None]
    ) -> None:
        """Recover, tidy, and commit batch after batch."""
        self._settler.recover()
        tidy(self._area, sidecar_of=sidecar_of, check=self._lock.check)
        listing = self._area.scan("pending")
        self._work.entries.extend(
            entry for entry in listing.entries if entry.has_parquet and wanted(entry)
        )
        if not self._work.entries:
            return
        self._repo.preflight(create=self._options.create_repo, revision=self._options.revision)
        while self._work.entries and not self._stopping():
            progress(self._report, len(self._work.entries))
            batch = self._work.take()
            try:
                self._batch(batch)
            except _TryAgainError:
                self._work.put_back(batch)
            except _BudgetSpentError:
                return

    def _batch(self, entries: Sequence[Entry]) -> None:
        """Publish what may be published out of these entries."""
        with self._checked(entries) as shards:
            if not shards:
                return
            head = self._repo.head(self._options.revision)
            remote = self._repo.look_up([shard.path_in_repo for shard in shards], head)
            found = sort([_journaled(shard) for shard in shards], remote)
            identities = {shard.entry.name: shard.identity for shard in shards}
            if found.landed:
                self._settler.confirm(found.landed, head, self._options.revision, identities)
            self._settler.in_conflict(found.taken)
            self._work.settled.update(shard.name for shard in (*found.landed, *found.taken))
            names = {shard.name for shard in found.absent}
            self._publish([shard for shard in shards if shard.entry.name in names], head)

    @contextmanager
    def _checked(self, entries: Sequence[Entry]) -> Iterator[list[Checked]]:
        """The shards among entries; the others are set aside, or left and counted."""
        now = self._area.server_time()
        with ExitStack() as stack:
            shards = []
            for entry in entries:
                result = check(self._area, entry, now=now)
                if isinstance(result, Checked):
                    stack.callback(result.close)
                    shards.append(result)
                else:
                    self._not_checked(result)
            yield shards

    def _not_checked(self, result: NotChecked) -> None:
        self._work.settled.add(result.entry.name)
        if result.verdict == "unreadable":
            self._report.n_unreadable += 1
            self._report.errors.append(f"{result.entry.name}: {result.why}")
        if result.verdict != "rejected":
            return
        self._lock.check()
        try:
            set_aside(self._area, result.entry.name, into="rejected", why=result.why)
        except DiskTrouble as error:
            self._report.n_unreadable += 1
            self._report.errors.append(f"{result.entry.name}: {result.why}; it stays: {error}")
        else:
            self._report.n_rejected += 1
            self._report.errors.append(f"{result.entry.name} is rejected: {result.why}")

    def _publish(self, shards: Sequence[Checked], head: str) -> None:
        """Commit shards that the repo lacks; find those that it refuses."""
        search = Search(shards)
        while (part := search.next_batch()) is not None:
            outcome = self._commit(part, head)
            if isinstance(outcome, hub.Refused):
                guilty = [shard for shard in part if shard.path_in_repo in outcome.culprits]
                search.refused(outcome.reason, guilty)
            else:
                search.landed()
                head = outcome.commit_id
        if search.verdict is not None:
            raise RepoRefuses(f"{self._repo.name} refuses every shard: {search.verdict}")
        for shard, reason in search.blamed:
            self._fail(shard, reason)

    def _commit(self, shards: Sequence[Checked], head: str) -> hub.Landed | hub.Refused:
        """One commit request, settled.

        Raises:
            _TryAgainError: Nothing landed, and it is worth another try from the start.
            _BudgetSpentError: No slot is free.
            TryLater: The server's trouble outlasts our retries or our patience.
        """
        additions = tuple(
            hub.Addition(shard.path_in_repo, shard.local, shard.sha256, shard.size)
            for shard in shards
        )
        uploaded = self._repo.upload(additions, self._options.revision)
        if isinstance(uploaded, hub.Refused):
            return uploaded
        if not isinstance(uploaded, hub.Ready):
            raise self._trouble(uploaded, shards)
        self._slot()
        batch = uuid.uuid4().hex
        record = BatchRecord(
            batch=batch,
            repo=self._repo.key,
            revision=self._options.revision,
            parent=head,
            shards=tuple(_journaled(shard) for shard in shards),
            created=self._clock.now(),
        )
        Journal(self._area).open(record)
        self._lock.check()
        outcome = self._repo.commit(
            hub.Commit(
                message=f"{self._options.commit_prefix}, {_count(len(shards), 'shard')}",
                description=f"vulcan batch {batch}",
                parent=head,
                additions=additions,
            ),
            self._options.revision,
        )
        found = self._settler.settle(record, {shard.entry.name: shard.identity for shard in shards})
        self._work.settled.update(shard.name for shard in (*found.landed, *found.taken))
        if found.landed:
            self._work.troubles = 0
            self._report.n_commits += 1
            self._report.commit_oids.append(
                outcome.commit_id if isinstance(outcome, hub.Landed) else None
            )
        if len(found.landed) == len(shards):
            return outcome if isinstance(outcome, hub.Landed) else self._landed_unseen()
        if isinstance(outcome, hub.Refused) and not found.landed:
            return outcome
        raise self._trouble(outcome, shards)

    def _landed_unseen(self) -> hub.Landed:
        """Everything is there though the answer was lost; the next commit builds on this head."""
        return hub.Landed(self._repo.head(self._options.revision))

    def _slot(self) -> None:
        """Spend a slot of the budget, waiting for one where this run waits."""
        while True:
            try:
                self.budget.spend()
            except TryLater as full:
                if not self._options.wait or full.retry_at is None:
                    raise _BudgetSpentError from full
                if not self._patience.wait_until(full.retry_at):
                    raise _BudgetSpentError from full
            else:
                return

    def _trouble(
        self, outcome: hub.CommitOutcome | hub.UploadOutcome, shards: Sequence[Checked]
    ) -> Exception:
        """What to raise when nothing landed and no shard is to blame, after waiting if it pays."""
        self._work.troubles += 1
        exhausted = self._work.troubles > self._options.max_retries
        if isinstance(outcome, hub.Later | hub.Unknown):
            error = _as_error(outcome)
            if outcome.trouble is not hub.Trouble.RATE_LIMIT:
                self._work.size = max(1, len(shards) // 2)
            if exhausted or not self._patience.wait_until(self._next_try(outcome)):
                if self._options.fail_exhausted and isinstance(error, RateLimited):
                    for shard in shards:
                        self._fail(shard, str(error))
                return error
        elif exhausted:
            return TryLater(f"{self._repo.name} or the shards changed at every try")
        return _TryAgainError()

    def _next_try(self, outcome: hub.Later | hub.Unknown) -> float:
        """When to try again: when the server says, else later each time."""
        now = self._clock.now()
        backoff = now + _BACKOFF_S * 2.0 ** (self._work.troubles - 1)
        return max(backoff, min(outcome.retry_at or 0.0, now + self._options.window_s))

    def _fail(self, shard: Checked, reason: str) -> None:
        """Move a shard that the repo refuses to `failed/`, with the repo's words."""
        name = shard.entry.name
        self._lock.check()
        write_reason(self._area, name, reason)
        (moved,) = move(self._area, [Moving(name)], "pending", "failed", check=self._lock.check)
        self._work.settled.add(name)
        if moved.outcome == "moved":
            self._report.n_failed += 1
            self._report.errors.append(f"{name} is refused: {reason}")
        else:
            self._report.n_unreadable += 1
            self._report.errors.append(f"{name} is refused, and cannot be moved: {reason}")


def _journaled(shard: Checked) -> JournalShard:
    return JournalShard(
        name=shard.entry.name,
        path_in_repo=shard.path_in_repo,
        sha256=shard.sha256,
        size=shard.size,
        digest=shard.footer.digest,
        geometry_id=shard.footer.geometry.geometry_id,
    )


def _as_error(outcome: hub.Later | hub.Unknown) -> TryLater:
    if isinstance(outcome, hub.Later):
        return outcome.error()
    return hub.Later(outcome.reason, outcome.trouble, outcome.retry_at).error()


def _is_rejected(result: Checked | NotChecked) -> bool:
    return isinstance(result, NotChecked) and result.verdict == "rejected"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
