"""Shards in review: proposed in a pull request, waiting in `pending/` for the default branch.

Each open pull request of ours has a record in `_vulcan/review/`, of the same form as the journal's.
"""

from __future__ import annotations

from collections.abc import Sequence

from vulcan_cli.hub.repo import PullRequestStatus, Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.journal import BatchRecord, Journal, JournalShard

PROPOSED = "refs/pr/new"
"""In a journal record, the revision of a pull request that has no number yet."""

_FOLDER = "review"
_PULL_REQUEST = "refs/pr/"
_NEWEST = 20
_LOG = 100


class Reviews:
    """The pull requests of one repo that shards of a staging directory wait for."""

    def __init__(self, area: StagingArea, repo: Repo) -> None:
        self._journal = Journal(area, _FOLDER)
        self._repo = repo

    def records(self) -> list[BatchRecord]:
        """One for each pull request, oldest first; `revision` names it."""
        return [each for each in self._journal.pending() if each.repo == self._repo.key]

    def add(
        self, revision: str, shards: Sequence[JournalShard], *, parent: str, now: float
    ) -> None:
        """Write down, durably, that these shards are in this pull request too."""
        if not shards:
            return
        known = {each.revision: each for each in self.records()}.get(revision)
        number = revision.removeprefix(_PULL_REQUEST)
        record = known or BatchRecord(
            batch=f"{self._repo.key}-pr-{number}",
            repo=self._repo.key,
            revision=revision,
            parent=parent,
            shards=(),
            created=now,
        )
        others = [each for each in record.shards if each not in set(shards)]
        self._journal.open(record._replace(shards=(*others, *shards)))

    def keep(self, record: BatchRecord, shards: Sequence[JournalShard]) -> None:
        """Let these shards of a record wait on, and no others."""
        if not shards:
            self._journal.close(record.batch)
        elif tuple(shards) != record.shards:
            self._journal.open(record._replace(shards=tuple(shards)))

    def is_open(self, record: BatchRecord) -> bool:
        """Whether the pull request may still be merged.

        Raises:
            TryLater: The repo does not answer.
        """
        try:
            found = self._repo.pull_request(int(record.revision.removeprefix(_PULL_REQUEST)))
        except FileNotFoundError:
            return False
        return found.status is PullRequestStatus.OPEN

    def find(self, batch: str) -> str | None:
        """The revision of the pull request that holds a batch, when its answer was lost.

        Raises:
            TryLater: The repo does not answer.
        """
        for each in self._repo.pull_requests()[:_NEWEST]:
            log = self._repo.log(_LOG, each.revision)
            if any(batch in commit.description for commit in log):
                return each.revision
        return None


def is_pull_request(revision: str) -> bool:
    """Whether a revision is a pull request, made or still to be made."""
    return revision.startswith(_PULL_REQUEST)


def revision_of(number: int) -> str:
    """The revision of a pull request."""
    return f"{_PULL_REQUEST}{number}"


def names_in_review(area: StagingArea, repo_key: str) -> frozenset[str]:
    """File names of the shards that wait in `pending/` for a pull request of this repo.

    Raises:
        DiskTrouble: The records cannot be read.
    """
    return frozenset(
        shard.name
        for record in Journal(area, _FOLDER).pending()
        if record.repo == repo_key
        for shard in record.shards
    )
