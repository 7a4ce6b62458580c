"""After a commit request, whatever came back: ask the repo, and move what it names.

Nothing enters `synced/` because a call returned. A journal record says what was in flight, and
settling it twice, or after a crash, ends the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vulcan_cli.errors import BadShard, DiskTrouble
from vulcan_cli.files import Identity, sha256_of
from vulcan_cli.hub.repo import RemoteFile, Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import set_aside
from vulcan_cli.staging.journal import BatchRecord, Journal, JournalShard
from vulcan_cli.staging.ledger import Ledger, LedgerEntry
from vulcan_cli.staging.moves import Moving, Sent, move
from vulcan_cli.sync.report import SyncReport

_NOWHERE = Identity(0, 0)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Shards by what the repo says of their paths: this content, none, or another."""

    landed: tuple[JournalShard, ...]
    absent: tuple[JournalShard, ...]
    taken: tuple[JournalShard, ...]


class Settler:
    """Settles batches of one repo; used under the sync lock."""

    def __init__(
        self,
        area: StagingArea,
        repo: Repo,
        report: SyncReport,
        *,
        revision: str,
        now: Callable[[], float],
        still_ours: Callable[[], None],
    ) -> None:
        """Bind a settler.

        Args:
            area: The staging directory.
            repo: The repo to ask.
            report: Takes what happens.
            revision: The branch to ask.
            now: Unix seconds.
            still_ours: Raises `LeaseLost` where the lock was taken from us.
        """
        self._area = area
        self._repo = repo
        self._report = report
        self._revision = revision
        self._now = now
        self._still_ours = still_ours

    def recover(self) -> None:
        """Settle what an earlier run left in the journal.

        Raises:
            TryLater: The repo does not answer; the journal stays.
        """
        journal = Journal(self._area)
        for record in journal.pending():
            if record.repo == self._repo.key:
                self.settle(record)

    def settle(self, record: BatchRecord, identities: dict[str, Identity] | None = None) -> Sorted:
        """Ask the repo for a batch, move what it has, set aside what it has otherwise.

        Args:
            record: The batch, as the journal holds it.
            identities: Which file each name was when it was checked; None after a crash, when the
                files are looked at anew.

        Raises:
            TryLater: The repo does not answer; the journal stays, and the next run settles.
            DiskTrouble: A state folder cannot be written; likewise.
        """
        head = self._repo.head(record.revision)
        found = sort(record.shards, self._repo.look_up(_paths(record.shards), head))
        self.confirm(found.landed, head, record.revision, identities)
        self.in_conflict(found.taken)
        Journal(self._area).close(record.batch)
        return found

    def confirm(
        self,
        shards: Sequence[JournalShard],
        head: str,
        revision: str,
        identities: dict[str, Identity] | None = None,
    ) -> None:
        """Move shards that the repo has to `synced/`, and write them into the ledger."""
        self._still_ours()
        files = identities if identities is not None else self._identities(shards)
        moving = [
            Moving(shard.name, Sent(shard.sha256, files.get(shard.name, _NOWHERE)))
            for shard in shards
        ]
        moved = move(self._area, moving, "pending", "synced", check=self._still_ours)
        confirmed = []
        for shard, result in zip(shards, moved, strict=True):
            if result.outcome in ("moved", "gone", "altered"):
                confirmed.append(shard)
            if result.outcome == "exists":
                why = "synced/ holds other content under this name"
                self._set_aside(shard.name, why)
            if result.outcome in ("stays", "altered"):
                self._report.n_unreadable += result.outcome == "stays"
                self._report.errors.append(f"{shard.name} is in the repo, but could not be moved")
        self._report.n_committed += len(confirmed)
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
            for shard in confirmed
        )

    def in_conflict(self, shards: Sequence[JournalShard]) -> None:
        """Set aside shards whose path holds other content in the repo."""
        for shard in shards:
            self._still_ours()
            self._set_aside(shard.name, f"{self._repo.name} holds other content at this path")

    def _set_aside(self, name: str, why: str) -> None:
        try:
            set_aside(self._area, name, into="conflicts", why=why)
        except DiskTrouble as error:
            self._report.n_unreadable += 1
            self._report.errors.append(str(error))
        else:
            self._report.n_conflicts += 1

    def _identities(self, shards: Sequence[JournalShard]) -> dict[str, Identity]:
        """The files in `pending/` that still hold the bytes that were sent."""
        found = {}
        for shard in shards:
            try:
                fd = self._area.open_shard("pending", shard.name)
            except (BadShard, DiskTrouble):
                continue
            try:
                if sha256_of(fd)[0] == shard.sha256:
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
