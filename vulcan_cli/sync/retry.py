"""Bringing shards back to `pending/`, never over anything that is there.

From `failed/` and from what was rejected they come as they are. What was in conflict would be in
conflict again, so its rows come in a new shard under a new run id.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from vulcan_cli.dataset.local_catalog import keep
from vulcan_cli.errors import BadShard, Conflict, DiskTrouble, InputRefused, TemplateError
from vulcan_cli.files.open_files import open_regular
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.aside import Aside, Heap, entries_aside, forget_aside
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import Moved, Outcome, restore, retry
from vulcan_cli.staging.publish import publish
from vulcan_cli.staging.reasons import read_reason
from vulcan_cli.sync.plan import batches
from vulcan_cli.sync.rename import renamed
from vulcan_cli.sync.report import all_told
from vulcan_cli.vacua.geometry import SHARD_PATH, path_of_file_name
from vulcan_cli.vacua.shard import digest_of_rows

# So many move before both folders are made durable and somebody is told.
_AT_ONCE = 100


class Retried(NamedTuple):
    """A shard that failed, and what became of it.

    Attributes:
        name: Its file name.
        path_in_repo: Its path in the repo; None where its name is no shard's.
        reason: Why it failed; None where nobody said.
        outcome: What the move came to; None in a rehearsal.
        new_path: Where its rows go now, where that is another path.
    """

    name: str
    path_in_repo: str | None
    reason: str | None
    outcome: Outcome | None
    new_path: str | None = None


def retry_failed(
    area: StagingArea,
    patterns: Sequence[str] = (),
    *,
    dry_run: bool = False,
    tell: Callable[[Retried], None] = lambda _: None,
    watching: Callable[[str], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> tuple[Retried, ...]:
    """Move failed shards back to `pending/`.

    Args:
        area: The staging directory.
        patterns: Run ids, or shell patterns of them; none for all shards.
        dry_run: Only tell which.
        tell: Called with each when it is moved: an error or Ctrl-C may end the run after it.
        watching: As for `SyncLock`.
        stopping: Likewise, and asked between batches; True ends the run in good order.

    Raises:
        SyncAtWork: A sync holds the lock.
        LeaseLost: The lock was taken from us meanwhile; what was moved before that was told.
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
        return all_told(chosen, tell, stopping)
    retried: list[Retried] = []
    with SyncLock(area, watching=watching, stopping=stopping) as lock:
        for batch in batches(chosen, _AT_ONCE):
            if stopping():
                break
            retried += _retry(area, batch, lock.check, tell)
        keep(area)
    return tuple(retried)


def _retry(
    area: StagingArea,
    batch: Sequence[Retried],
    check: Callable[[], None],
    tell: Callable[[Retried], None],
) -> list[Retried]:
    chosen = {shard.name: shard for shard in batch}
    retried = []

    def done(moved: Moved) -> None:
        retried.append(chosen[moved.name]._replace(outcome=moved.outcome))
        tell(retried[-1])

    retry(area, chosen, check=check, tell=done)
    return retried


def retry_aside(
    area: StagingArea,
    patterns: Sequence[str] = (),
    *,
    heap: Heap,
    dry_run: bool = False,
    tell: Callable[[Retried], None] = lambda _: None,
    watching: Callable[[str], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> tuple[Retried, ...]:
    """Bring what was set aside back to `pending/`.

    Rejected entries come as they are, rows in conflict in a new shard, which replaces the old file.

    Args:
        area: The staging directory.
        patterns: Run ids, or shell patterns of them; none for all entries.
        heap: `rejected` or `conflicts`.
        dry_run: Only tell which.
        tell: As for `retry_failed`.
        watching: Likewise.
        stopping: Likewise, and asked after each entry.

    Raises:
        SyncAtWork: A sync holds the lock.
        LeaseLost: As for `retry_failed`.
        NotSetUp: There is no such staging directory.
        DiskTrouble: A folder cannot be read or written.
    """
    area.require()
    chosen = sorted(
        (
            aside
            for aside in entries_aside(area, heap)
            # A sidecar alone would be no shard's.
            if not aside.name.endswith(SIDECAR_SUFFIX)
            and _matches(path_of_file_name(aside.name), patterns)
        ),
        key=lambda aside: (aside.name, aside.time, aside.id),
    )
    if dry_run or not chosen:
        return all_told((_told(aside, None) for aside in chosen), tell, stopping)
    with SyncLock(area, watching=watching, stopping=stopping) as lock:
        retried = all_told(_bring_back(area, lock.check, chosen), tell, stopping)
        keep(area)
    return retried


def _bring_back(
    area: StagingArea, check: Callable[[], None], chosen: Sequence[Aside]
) -> Iterator[Retried]:
    for aside in chosen:
        check()
        if not aside.name:
            # Nobody knows any more what it was called.
            yield _told(aside, "stays")
        elif aside.heap == "rejected":
            yield _told(aside, restore(area, aside).outcome)
        else:
            yield _under_a_new_name(area, aside)


def _under_a_new_name(area: StagingArea, aside: Aside) -> Retried:
    """Publish the rows of a shard in conflict once more, then drop the old file.

    The new run id tells the old file's bytes, so a run that died on the way makes no second copy.
    """
    try:
        with disk_trouble(aside.path):
            fd = open_regular(aside.path)
            try:
                shard = renamed(fd, aside.path)
            finally:
                os.close(fd)
        publish(
            area,
            path_in_repo=shard.path_in_repo,
            write=shard.write,
            sidecar=shard.sidecar(),
            digest=shard.digest,
            digest_of=digest_of_rows,
            staged_by=f"uid {os.getuid()}, after a conflict",
        )
    except (BadShard, InputRefused, TemplateError):
        return _told(aside, "stays")
    except Conflict:
        return _told(aside, "exists")
    except DiskTrouble as error:
        return _told(aside, "gone" if error.errno == errno.ENOENT else "stays")
    with area.folder(PRIVATE, aside.heap) as folder, disk_trouble(aside.path):
        folder.remove(aside.id)
    forget_aside(area, aside)
    return _told(aside, "moved")._replace(new_path=shard.path_in_repo)


def _told(aside: Aside, outcome: Outcome | None) -> Retried:
    return Retried(aside.name, path_of_file_name(aside.name), aside.why or None, outcome)


def _matches(path_in_repo: str | None, patterns: Sequence[str]) -> bool:
    if not patterns:
        return True
    match = SHARD_PATH.fullmatch(path_in_repo or "")
    return match is not None and any(fnmatchcase(match["run_id"], each) for each in patterns)
