"""What a sync did, said in counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from vulcan_cli.errors import VulcanError

_WORST_FIRST = (1, 6, 4, 5, 3)
"""Which exit status counts where several apply."""


@dataclass(slots=True)
class SyncReport:
    """What one sync did. The first six attributes have the peer's names.

    Attributes:
        n_committed: Shards that the repo has confirmed in this run.
        n_failed: Shards moved to `failed/`.
        n_remaining: Shards in `pending/` at the end.
        n_commits: Commits made (or rehearsed).
        commit_oids: Their ids, oldest first; None for a rehearsed one.
        errors: What went wrong, one sentence each.
        n_rejected: Entries set aside because they are no shards.
        n_conflicts: Shards set aside because their name is taken by other content.
        n_unreadable: Entries that could not be read or moved; they stay.
        next_slot_at: When the next commit is possible, unix seconds; None where it is now.
        stopped: What ended the run early; None where nothing did.
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
    next_slot_at: float | None = None
    stopped: VulcanError | None = None

    @property
    def exit_code(self) -> int:
        """The exit status of a command that did this."""
        codes = {
            self.stopped.exit_code if self.stopped is not None else 0,
            3 if self.n_failed or self.n_rejected or self.n_conflicts else 0,
            6 if self.n_unreadable else 0,
        }
        return next((code for code in _WORST_FIRST if code in codes), max(codes))
