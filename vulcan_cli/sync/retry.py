"""Bringing shards from `failed/` back to `pending/`, never over anything that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from vulcan_cli.dataset.local_catalog import keep
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import read_reason
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import Outcome, retry
from vulcan_cli.vacua.geometry import SHARD_PATH


@dataclass(frozen=True, slots=True)
class Retried:
    """A shard that failed, and what became of it.

    Attributes:
        name: Its file name.
        path_in_repo: Its path in the repo; None where its name is no shard's.
        reason: Why it failed; None where nobody said.
        outcome: What the move came to; None in a rehearsal.
    """

    name: str
    path_in_repo: str | None
    reason: str | None
    outcome: Outcome | None


def retry_failed(
    area: StagingArea, patterns: Sequence[str] = (), *, dry_run: bool = False
) -> tuple[Retried, ...]:
    """Move failed shards back to `pending/`.

    Args:
        area: The staging directory.
        patterns: Run ids, or shell patterns of them; none for all shards.
        dry_run: Only tell which.

    Raises:
        SyncAtWork: A sync holds the lock.
        NotSetUp: There is no such staging directory.
        DiskTrouble: A folder cannot be read or written.
    """
    entries = area.scan("failed").entries
    chosen = [
        Retried(entry.name, entry.path_in_repo, read_reason(area, entry.name), None)
        for entry in entries
        if entry.has_parquet and _matches(entry.path_in_repo, patterns)
    ]
    if dry_run or not chosen:
        return tuple(chosen)
    with SyncLock(area) as lock:
        moved = retry(area, [shard.name for shard in chosen], check=lock.check)
        keep(area)
    return tuple(
        Retried(shard.name, shard.path_in_repo, shard.reason, result.outcome)
        for shard, result in zip(chosen, moved, strict=True)
    )


def _matches(path_in_repo: str | None, patterns: Sequence[str]) -> bool:
    if not patterns:
        return True
    match = SHARD_PATH.fullmatch(path_in_repo or "")
    return match is not None and any(fnmatchcase(match["run_id"], each) for each in patterns)
