"""After a commit request, whatever came back: ask the repo, and move what it names.

Nothing enters `synced/` because a call returned. A journal record says what was in flight, and
settling it twice, or after a crash, ends the same.
"""

from __future__ import annotations

import errno
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vulcan_cli.errors import BadShard, Denied, DiskTrouble, RepoMissing, RepoRefuses
from vulcan_cli.files.open_files import Identity, sha256_within
from vulcan_cli.hub.repo import MAIN, Landed, RemoteFile, Repo
from vulcan_cli.quantities import counted
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import set_aside
from vulcan_cli.staging.journal import BatchRecord, Journal, JournalShard
from vulcan_cli.staging.ledger import Ledger, LedgerEntry
from vulcan_cli.staging.moves import Moved, Moving, Sent, move
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.review import PROPOSED, Reviews, is_pull_request, revision_of

_logger = logging.getLogger(__name__)

_NOWHERE = Identity(0, 0)
_LOG = 20


class Sorted(NamedTuple):
    """Shards by what the repo says of their paths: this content, none, or another."""

    landed: tuple[JournalShard, ...]
    absent: tuple[JournalShard, ...]
    taken: tuple[JournalShard, ...]


class Settler:
    """Settles batches of one repo; used under the sync lock.

    Attributes:
        done: File names that need no more looks in this run.
        in_review: File names of shards that wait for a pull request.
        pull_request: The revision of the newest pull request that a batch was found in.
    """

    def __init__(
        self,
        area: StagingArea,
        repo: Repo,
        report: SyncReport,
        *,
        now: Callable[[], float],
        still_ours: Callable[[], None],
    ) -> None:
        """Bind a settler.

        Args:
            area: The staging directory.
            repo: The repo to ask.
            report: Takes what happens.
            now: Unix seconds.
            still_ours: Raises `LeaseLost` where the lock was taken from us.
        """
        self._area = area
        self._repo = repo
        self._report = report
        self._now = now
        self._still_ours = still_ours
        self._reviews = Reviews(area, repo)
        self.done: set[str] = set()
        self.in_review: set[str] = set()
        self.pull_request: str | None = None

    def recover(self) -> None:
        """Settle what an earlier run, or this one, left in the journal.

        Raises:
            TryLater: The repo does not answer; the journal stays.
        """
        for record in Journal(self._area).pending():
            if record.repo == self._repo.key:
                try:
                    self.settle(record)
                except RepoMissing:
                    # Its branch is gone, or the repo: if that matters now, preflight says so.
                    continue

    def review(self) -> None:
        """Look what became of pull requests: merged ones are settled, of closed ones nothing stays.

        Raises:
            TryLater: The repo does not answer.
        """
        self.in_review = set()
        for record in self._reviews.records():
            # Asked before the branch: what is merged in between is found there.
            is_open = self._reviews.is_open(record)
            head = self._repo.head(MAIN)
            found = sort(record.shards, self._repo.look_up(_paths(record.shards), head))
            self.confirm(found.landed, head, MAIN)
            self.in_conflict(found.taken)
            waiting = found.absent if is_open else ()
            if not is_open and self.pull_request == record.revision:
                self.pull_request = None
            self._reviews.keep(record, waiting)
            self.in_review |= {shard.name for shard in waiting}

    def settle(
        self,
        record: BatchRecord,
        identities: dict[str, Identity] | None = None,
        outcome: object = None,
    ) -> Sorted:
        """Ask the repo for a batch, move what it has, set aside what it has otherwise.

        Args:
            record: The batch, as the journal holds it.
            identities: Which file each name was when it was checked; None after a crash, when the
                files are looked at anew.
            outcome: What the commit request returned, where that is known: only for the counts.

        Raises:
            TryLater: The repo does not answer; the journal stays, and the next run settles.
            DiskTrouble: A state folder cannot be written; likewise.
        """
        landed = outcome if isinstance(outcome, Landed) else None
        revision = self._revision_of(record, landed)
        if revision is None:
            found = Sorted((), record.shards, ())
        else:
            head = self._repo.head(revision)
            found = sort(record.shards, self._repo.look_up(_paths(record.shards), head))
            commit = self._commit_of(record, revision, landed) if found.landed else None
            if is_pull_request(revision):
                # A pull request is somebody's draft: what else it holds blames nobody.
                found = Sorted(found.landed, (*found.absent, *found.taken), ())
                self._propose(found.landed, record, revision)
            else:
                self.confirm(found.landed, head, revision, identities)
                self.in_conflict(found.taken)
            if commit is not None:
                self._report.n_commits += 1
                self._report.commit_oids.append(commit)
        sent = counted(len(record.shards), "shard")
        _logger.info("%s confirms %d of %s", self._repo.name, len(found.landed), sent)
        Journal(self._area).close(record.batch)
        return found

    def adopt(
        self,
        shards: Sequence[JournalShard],
        head: str,
        revision: str,
        identities: dict[str, Identity],
    ) -> None:
        """As `confirm`, for what the repo had before anything was sent.

        If this run dies in it, the journal tells the next one.
        """
        if shards:
            batch = uuid.uuid4().hex
            record = BatchRecord(batch, self._repo.key, revision, head, tuple(shards), self._now())
            Journal(self._area).open(record)
            self.confirm(shards, head, revision, identities)
            Journal(self._area).close(batch)

    def confirm(
        self,
        shards: Sequence[JournalShard],
        head: str,
        revision: str,
        identities: dict[str, Identity] | None = None,
    ) -> None:
        """Move shards that the repo has to `synced/`, and write them into the ledger.

        Args:
            shards: What the repo names with these SHA-256.
            head: The commit that was asked.
            revision: Its branch.
            identities: As for `settle`.
        """
        if not shards:
            return
        self.done.update(shard.name for shard in shards)
        files = identities if identities is not None else self._identities(shards)
        moving = [
            Moving(shard.name, Sent(shard.sha256, files.get(shard.name, _NOWHERE)))
            for shard in shards
        ]
        moved = move(self._area, moving, "pending", "synced", check=self._still_ours)
        confirmed = [
            shard for shard, result in zip(shards, moved, strict=True) if self._moved(result)
        ]
        if identities is None:
            # A run that died may have come as far as this.
            confirmed = self._not_written_down(confirmed, revision)
        self._report.n_committed += len(confirmed)
        self._report.n_bytes += sum(shard.size for shard in confirmed)
        self._write_down(confirmed, head, revision)

    def in_conflict(self, shards: Sequence[JournalShard]) -> None:
        """Set aside shards whose path holds other content in the repo."""
        for shard in shards:
            self.done.add(shard.name)
            self.set_aside(shard.name, f"{self._repo.name} holds other content at this path")

    def set_aside(self, name: str, why: str) -> None:
        """Put a shard in conflict aside, and count it."""
        self._still_ours()
        try:
            set_aside(self._area, name, into="conflicts", why=why)
        except DiskTrouble as error:
            # A run that died after this step did it already.
            if error.errno != errno.ENOENT:
                self._report.n_unreadable += 1
                self._report.errors.append(f"{name}: {why}; it stays: {error}")
        else:
            self._report.n_conflicts += 1
            self._report.errors.append(f"{name} is in conflict: {why}")

    def _revision_of(self, record: BatchRecord, landed: Landed | None) -> str | None:
        """Where the batch went; None where it was to be a pull request and there is none."""
        if record.revision != PROPOSED:
            return record.revision
        if landed is not None and landed.pull_request is not None:
            return revision_of(landed.pull_request)
        return self._reviews.find(record.batch)

    def _commit_of(self, record: BatchRecord, revision: str, landed: Landed | None) -> str | None:
        """The id of the commit that this request made; None where it made none."""
        if landed is not None:
            # Everything was there already: the client gives the head, and there is no new commit.
            return None if landed.commit_id == record.parent else landed.commit_id
        try:
            log = self._repo.log(_LOG, revision)
        except (Denied, RepoMissing, RepoRefuses):
            # The shards are there, which was asked before; the commit is only for the report.
            return None
        return next((each.id for each in log if record.batch in each.description), None)

    def _propose(self, shards: Sequence[JournalShard], record: BatchRecord, revision: str) -> None:
        self._reviews.add(revision, shards, parent=record.parent, now=self._now())
        names = {shard.name for shard in shards}
        self.done |= names
        self.in_review |= names
        if not names:
            return
        self.pull_request = revision
        self._report.pull_requests[self._repo.name] = int(revision.rpartition("/")[2])

    def _moved(self, result: Moved) -> bool:
        """Whether a shard is where it belongs now, as far as the repo is concerned."""
        name = result.name
        if result.outcome == "altered":
            self.set_aside(name, "it was replaced by other bytes while it was being sent")
        if result.outcome == "exists":
            self.set_aside(name, "synced/ holds other content under this name")
        if result.outcome == "stays":
            self._report.n_unreadable += 1
            self._report.errors.append(f"{name} is in the repo, but cannot be moved to synced/")
        return result.outcome in ("moved", "gone", "altered")

    def _not_written_down(
        self, shards: Sequence[JournalShard], revision: str
    ) -> list[JournalShard]:
        """Those of some shards that are not in the ledger."""
        paths = set(_paths(shards))
        known = {
            (entry.path, entry.sha256)
            for entry in Ledger(self._area).entries()
            if entry.path in paths and (entry.repo, entry.revision) == (self._repo.key, revision)
        }
        return [shard for shard in shards if (shard.path_in_repo, shard.sha256) not in known]

    def _write_down(self, shards: Sequence[JournalShard], head: str, revision: str) -> None:
        moment = self._now()
        Ledger(self._area).append(
            LedgerEntry(
                path=shard.path_in_repo,
                sha256=shard.sha256,
                size=shard.size,
                repo=self._repo.key,
                revision=revision,
                commit=head,
                time=moment,
                digest=shard.digest,
                geometry_id=shard.geometry_id,
            )
            for shard in shards
        )

    def _identities(self, shards: Sequence[JournalShard]) -> dict[str, Identity]:
        """The files in `pending/` that still hold the bytes that were sent."""
        found = {}
        for shard in shards:
            try:
                fd = self._area.open_shard("pending", shard.name)
            except (BadShard, DiskTrouble):
                continue
            try:
                if sha256_within(fd, shard.size) == shard.sha256:
                    found[shard.name] = Identity.of(os.fstat(fd))
            finally:
                os.close(fd)
        return found


def sort(shards: Sequence[JournalShard], remote: dict[str, RemoteFile]) -> Sorted:
    """Sort shards by what the repo holds at their paths."""
    landed, absent, taken = [], [], []
    for shard in shards:
        there = remote.get(shard.path_in_repo)
        if there is None:
            absent.append(shard)
        elif there.sha256 == shard.sha256:
            landed.append(shard)
        else:
            taken.append(shard)
    return Sorted(tuple(landed), tuple(absent), tuple(taken))


def _paths(shards: Sequence[JournalShard]) -> list[str]:
    return [shard.path_in_repo for shard in shards]
