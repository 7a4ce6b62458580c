"""From checked shards to commits: upload, a slot, the journal, the request, and what became of it.

What concerns the whole run leaves here as an exception: the run decides whether it waits.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from vulcan_cli.errors import RateLimited, RepoRefuses, TryLater
from vulcan_cli.hub import repo as hub
from vulcan_cli.hub.answers import is_lost_upload
from vulcan_cli.quantities import counted, format_size
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.journal import BatchRecord, Journal, JournalShard
from vulcan_cli.sync.announce import Announcer
from vulcan_cli.sync.check import Checked
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.plan import Search
from vulcan_cli.sync.review import PROPOSED
from vulcan_cli.sync.settle import Settler
from vulcan_cli.sync.timing import Clock

_logger = logging.getLogger(__name__)


class ChangedMeanwhileError(Exception):
    """The repo or the files are not what they were a moment ago: look again."""


class NoSlotError(Exception):
    """The budget has fewer slots than the next step needs, and this run does not wait."""


class StopAskedError(Exception):
    """The run was asked to end, and nothing is in flight.

    Attributes:
        waited_for: The trouble whose end it still waited for, if any.
    """

    def __init__(self, waited_for: TryLater | None = None) -> None:
        super().__init__()
        self.waited_for = waited_for


class Committer:
    """Commits of one run to one repo; used under the sync lock."""

    def __init__(
        self,
        area: StagingArea,
        repo: hub.Repo,
        options: SyncOptions,
        settler: Settler,
        *,
        clock: Clock,
        still_ours: Callable[[], None],
        await_slots: Callable[[int], bool],
        announcer: Announcer,
    ) -> None:
        """Bind a committer.

        Args:
            area: The staging directory.
            repo: Where shards go.
            options: How.
            settler: Settles what was sent.
            clock: Time.
            still_ours: Raises `LeaseLost` where the lock was taken from us.
            await_slots: Makes sure of so many slots before each commit, and tells whether it had
                to wait; raises `NoSlotError` or `StopAskedError`.
            announcer: Gives what goes into a commit beside its shards.
        """
        self._area = area
        self._repo = repo
        self._options = options
        self._settler = settler
        self._clock = clock
        self._still_ours = still_ours
        self._await_slots = await_slots
        self._announcer = announcer
        self._search: Search[Checked] = Search()
        self._sent_again: set[str] = set()

    @property
    def budget(self) -> Budget:
        """The commit budget of the repo."""
        options = self._options
        return Budget(
            self._area,
            self._repo.key,
            options.budget,
            options.window_s,
            self._clock.now,
            with_peer=options.with_peer,
            name=self._repo.name,
        )

    def publish(self, shards: Sequence[Checked], head: str) -> None:
        """Commit shards that the branch, at this head, lacks; find those that the repo refuses.

        Raises:
            ChangedMeanwhileError: Nothing landed, and it is worth another look.
            NoSlotError: No slot is free, or too few to find out who is to blame.
            StopAskedError: The run was asked to end.
            RepoRefuses: It refuses everything.
            TryLater: The server has trouble.
        """
        parent = self._parent(head)
        self._search.begin(shards)
        while (part := self._search.next_batch()) is not None:
            ahead = self._search.commits_ahead
            # Begin no search that the budget does not allow to end.
            if self._await_slots(ahead if ahead <= self.budget.limit() else 1):
                parent = self._parent(self._repo.head(self._options.revision))
            with self._beside(part, parent) as more:
                outcome = self._commit(part, more, parent)
            if isinstance(outcome, hub.Refused):
                if more and self._announcer.is_to_blame(outcome, len(part)):
                    self._search.refused_with_more()
                    continue
                guilty = [shard for shard in part if shard.path_in_repo in outcome.culprits]
                self._send_again(outcome, guilty or part)
                self._search.refused(outcome.reason, guilty)
                self._settler.done |= {shard.entry.name for shard in self._search.blamed}
            else:
                self._search.landed()
                parent = self._parent(outcome.commit_id)
        self._check_verdict()
        names = {shard.entry.name for shard in shards}
        blamed = {shard.entry.name for shard in self._search.blamed}
        self._announcer.judge(all_landed=not blamed & names, none_landed=names <= blamed)

    def to_blame(self, *, at_the_end: bool = False) -> list[tuple[str, str]]:
        """File names of the shards that the repo refuses, with its words; each only once.

        Args:
            at_the_end: As for `Search.sentenced`.

        Raises:
            RepoRefuses: At the end: it refused all that it was offered.
        """
        sentenced = self._search.sentenced(at_the_end=at_the_end)
        self._check_verdict()
        return [(shard.entry.name, reason) for shard, reason in sentenced]

    def _send_again(self, refused: hub.Refused, shards: Sequence[Checked]) -> None:
        """Where content was lost on its way, send it once more before anybody is to blame."""
        names = {shard.entry.name for shard in shards}
        if is_lost_upload(refused.reason) and not names <= self._sent_again:
            self._sent_again |= names
            raise ChangedMeanwhileError

    def _check_verdict(self) -> None:
        if self._search.verdict is not None:
            raise RepoRefuses(f"{self._repo.name} refuses every shard: {self._search.verdict}")

    def _parent(self, head: str) -> str:
        """What the next commit builds on: the branch, or our pull request once there is one."""
        return head if self._target == self._options.revision else self._repo.head(self._target)

    @property
    def _target(self) -> str:
        """Where the next commit goes: the branch, or our pull request once there is one."""
        pull_request = self._settler.pull_request if self._options.create_pr else None
        return pull_request or self._options.revision

    def _beside(
        self, shards: Sequence[Checked], parent: str
    ) -> AbstractContextManager[tuple[hub.Addition, ...]]:
        """Our own files that go with these shards.

        None into pull requests: each would replace what the others do.
        """
        if self._options.create_pr:
            return nullcontext(())
        return self._announcer.prepared(shards, parent)

    def _commit(
        self, shards: Sequence[Checked], more: Sequence[hub.Addition], parent: str
    ) -> hub.Landed | hub.Refused:
        """One commit request, settled."""
        additions = (
            *(
                hub.Addition(shard.path_in_repo, shard.local, shard.sha256, shard.size)
                for shard in shards
            ),
            *more,
        )
        revision = self._target
        proposing = self._options.create_pr and self._settler.pull_request is None
        uploaded = self._repo.upload(additions, revision, create_pr=proposing)
        if isinstance(uploaded, hub.Refused):
            return uploaded
        if not isinstance(uploaded, hub.Ready):
            raise self._trouble(uploaded)
        self._still_ours()
        with self._slot() as stamp:
            record = BatchRecord(
                batch=uuid.uuid4().hex,
                repo=self._repo.key,
                revision=PROPOSED if proposing else revision,
                parent=parent,
                shards=tuple(map(journaled, shards)),
                created=stamp,
            )
            Journal(self._area).open(record)
            self._still_ours()
            commit = hub.Commit(
                message=f"{self._options.commit_prefix}, {_count(len(shards), 'shard')}",
                description=f"vulcan batch {record.batch}",
                parent=parent,
                additions=additions,
            )
            outcome = self._repo.commit(commit, revision, create_pr=proposing)
        hear(self.budget, outcome)
        if isinstance(outcome, hub.Landed):
            self._announcer.landed(outcome.commit_id)
            size = format_size(sum(shard.size for shard in shards))
            what = f"{counted(len(shards), 'shard')}, {size}"
            _logger.info("%s took %s: commit %s", self._repo.name, what, outcome.commit_id)
        return self._settled(record, shards, outcome)

    def _settled(
        self, record: BatchRecord, shards: Sequence[Checked], outcome: hub.CommitOutcome
    ) -> hub.Landed | hub.Refused:
        """What the repo says became of a request; what the request returned is second."""
        identities = {shard.entry.name: shard.identity for shard in shards}
        found = self._settler.settle(record, identities, outcome)
        if len(found.landed) == len(shards):
            if isinstance(outcome, hub.Landed):
                return outcome
            # The answer was lost. The next commit builds on what is the head now.
            return hub.Landed(self._repo.head(self._target))
        if isinstance(outcome, hub.Refused) and not found.landed:
            return outcome
        raise self._trouble(outcome)

    @contextmanager
    def _slot(self) -> Iterator[float]:
        """Take a slot for one request: its stamp."""
        with ExitStack() as stack:
            try:
                stamp = stack.enter_context(self.budget.slot())
            except TryLater as full:
                # Another process took the last slot; or it heard that the repo takes no more, or
                # has held the lock for too long.
                if full.retry_at is None or isinstance(full, RateLimited):
                    raise
                raise NoSlotError from full
            yield stamp

    def _trouble(self, outcome: hub.CommitOutcome | hub.UploadOutcome) -> Exception:
        """What to raise where nothing landed and no shard is to blame."""
        if isinstance(outcome, hub.Later):
            return outcome.error(self._repo.name)
        if isinstance(outcome, hub.Unknown):
            return outcome.as_later().error(self._repo.name)
        return ChangedMeanwhileError()


def hear(budget: Budget, outcome: hub.CommitOutcome) -> None:
    """Keep what the repo said of its own limit, where that is what it refused a commit for."""
    if isinstance(outcome, hub.Later) and outcome.trouble is hub.Trouble.RATE_LIMIT:
        budget.hear(commits_per_hour=outcome.commits_per_hour, closed_until=outcome.retry_at)


def journaled(shard: Checked) -> JournalShard:
    """A shard as the journal knows it."""
    return JournalShard(
        name=shard.entry.name,
        path_in_repo=shard.path_in_repo,
        sha256=shard.sha256,
        size=shard.size,
        digest=shard.footer.digest,
        geometry_id=shard.footer.geometry.geometry_id,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
