"""What a run did: a sync in counts, other work shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from vulcan_cli.errors import WORST_FIRST, TryLater, VulcanError

_Shard = TypeVar("_Shard")


@dataclass(slots=True)
class SyncReport:
    """What one sync did. The first six attributes have the peer's names.

    Attributes:
        n_committed: Shards that the repo has confirmed in this run.
        n_failed: Shards moved to `failed/`.
        n_remaining: Shards in `pending/` at the end; 0 where it cannot be listed any more.
        n_commits: Commits made (or rehearsed).
        commit_oids: Their ids, oldest first; None for a rehearsed one.
        errors: What went wrong, one sentence each.
        n_rejected: Entries set aside because they are no shards.
        n_conflicts: Shards set aside because their name is taken by other content.
        n_unreadable: Entries that could not be read or moved; they stay.
        n_young: Files in `pending/` that are no shards, and too young to be rejected for it; among
            the remaining.
        n_in_review: Shards in `pending/` that wait for a pull request; among the remaining.
        pull_requests: The pull requests that this run made or added to: the name of each repo to
            its number there.
        next_slot_at: When the next commit is possible, unix seconds; None where it is now.
        stopped: What ended the run early; None where nothing did.
        waited_for: The trouble whose end it waited for when it was asked to end; None where there
            was none.
        n_bytes: Bytes of the shards that the repo has confirmed in this run.
        n_slots: Slots of the commit budget that were free before the batch at hand.
    """

    n_committed: int = 0
    n_failed: int = 0
    n_remaining: int = 0
    n_commits: int = 0
    commit_oids: list[str | None] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    n_rejected: int = 0
    n_conflicts: int = 0
    n_unreadable: int = 0
    n_young: int = 0
    n_in_review: int = 0
    pull_requests: dict[str, int] = field(default_factory=dict)
    next_slot_at: float | None = None
    stopped: VulcanError | None = None
    waited_for: TryLater | None = None
    n_bytes: int = field(default=0, compare=False)
    n_slots: int = field(default=0, compare=False)

    def stop(self, error: VulcanError) -> None:
        """Let an error count that ended the run, unless another one did before."""
        if self.stopped is None:
            self.stopped = error
            self.errors.append(str(error))

    def out_of_time(self) -> None:
        """Let trouble count that lasted until the time of the run was up."""
        if self.waited_for is not None:
            self.stop(self.waited_for)

    @property
    def exit_code(self) -> int:
        """The exit status of a command that did this."""
        codes = {
            self.stopped.exit_code if self.stopped is not None else 0,
            3 if self.n_failed or self.n_rejected or self.n_conflicts else 0,
            6 if self.n_unreadable else 0,
        }
        return min(codes, key=WORST_FIRST.index)


def together(reports: Sequence[SyncReport]) -> SyncReport:
    """The reports of several repos as one: sums, the worst stop, and the soonest slot."""
    if len(reports) == 1:
        return reports[0]
    # A free slot of a repo for which nothing waits brings nothing on.
    waiting = [report for report in reports if report.n_remaining] or reports
    slots = [report.next_slot_at for report in waiting if report.next_slot_at is not None]
    stopped = [report.stopped for report in reports if report.stopped is not None]
    waited_for = [report.waited_for for report in reports if report.waited_for is not None]
    return SyncReport(
        n_committed=sum(report.n_committed for report in reports),
        n_failed=sum(report.n_failed for report in reports),
        n_remaining=sum(report.n_remaining for report in reports),
        n_commits=sum(report.n_commits for report in reports),
        commit_oids=[oid for report in reports for oid in report.commit_oids],
        errors=[error for report in reports for error in report.errors],
        n_rejected=sum(report.n_rejected for report in reports),
        n_conflicts=sum(report.n_conflicts for report in reports),
        n_unreadable=sum(report.n_unreadable for report in reports),
        n_young=sum(report.n_young for report in reports),
        n_in_review=sum(report.n_in_review for report in reports),
        pull_requests={
            repo: number for report in reports for repo, number in report.pull_requests.items()
        },
        n_bytes=sum(report.n_bytes for report in reports),
        next_slot_at=min(slots) if len(slots) == len(waiting) else None,
        stopped=min(stopped, key=lambda error: WORST_FIRST.index(error.exit_code), default=None),
        waited_for=next(iter(waited_for), None),
    )


def all_told(
    shards: Iterable[_Shard],
    tell: Callable[[_Shard], None],
    stopping: Callable[[], bool] = lambda: False,
) -> tuple[_Shard, ...]:
    """All of them, each told as soon as it is there; no more once this is stopping."""
    told = []
    for shard in shards:
        tell(shard)
        told.append(shard)
        if stopping():
            break
    return tuple(told)
