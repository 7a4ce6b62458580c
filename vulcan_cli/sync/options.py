"""How to sync, and what holds where nobody says otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vulcan_cli.arguments import integer, number, text
from vulcan_cli.errors import UsageError
from vulcan_cli.hub.repo import MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How to sync.

    Attributes:
        max_batch: Shards in a commit, at most 25,000.
        budget: Commit requests in a window.
        window_s: The window, seconds.
        max_retries: How often something is tried again after a trouble of the server.
        revision: The branch.
        commit_prefix: How commit messages begin.
        create_repo: Make the repo where there is none.
        create_pr: Propose the shards in one pull request instead of committing them to the branch.
        wait: Stay until slots open, instead of ending when the budget is used up.
        fail_exhausted: Move a batch to `failed/` when the server's trouble outlasts all retries.
        card: Keep the dataset card in the repo's `README.md` true with each commit.
        licence: What the card says of it, an identifier of the Hub; None says nothing.
        citation: What the card says of how to cite; None says nothing.
        with_peer: Whether the peer commits to this repo from here too.

    Raises:
        UsageError: A commit would hold no shard, so a sync would never end; a batch would be tried
            less than once; a value is of another kind; or the window is none that it could keep to.
    """

    max_batch: int = 500
    budget: int = 90
    window_s: float = 3600.0
    max_retries: int = 3
    revision: str = MAIN
    commit_prefix: str = "vulcan: forge"
    create_repo: bool = False
    create_pr: bool = False
    wait: bool = False
    fail_exhausted: bool = False
    card: bool = True
    licence: str | None = None
    citation: str | None = None
    with_peer: bool = True

    def __post_init__(self) -> None:
        # Kept as Python's own: those of NumPy have no place in the records of a budget.
        for name in ("max_batch", "budget", "max_retries"):
            object.__setattr__(self, name, integer(name, getattr(self, name)))
        window_s = number("window_s", self.window_s)
        for name in ("revision", "commit_prefix"):
            text(name, getattr(self, name))
        if self.max_batch < 1:
            raise UsageError(f"max_batch must be at least 1, not {self.max_batch}")
        if self.max_retries < 0:
            raise UsageError(f"max_retries must be at least 0, not {self.max_retries}")
        # So written, as NaN is not above 0.
        if not 0 < window_s < math.inf:
            raise UsageError(f"window_s must be a finite number above 0, not {self.window_s}")
        object.__setattr__(self, "window_s", window_s)
