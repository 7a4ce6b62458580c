"""Making room: deleting from `synced/` what the repo confirms, by SHA-256, in this very run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from vulcan_cli.dataset.local_catalog import keep
from vulcan_cli.errors import DiskTrouble, UsageError
from vulcan_cli.hub.repo import LOOK_UP_LIMIT, MAIN, RemoteFile, Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.staging.listing import Entry
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import remove_confirmed
from vulcan_cli.sync.plan import batches
from vulcan_cli.sync.report import all_told
from vulcan_cli.sync.timing import answer_of


class Trimmed(NamedTuple):
    """A shard that was due, and what became of it.

    Attributes:
        path_in_repo: Its path in the repo.
        size: Its bytes.
        outcome: `deleted`; `unconfirmed`, the repo has no such content, so it stays; `stays`, the
            file system refuses; `elsewhere`, another repo confirmed it, so it stays; `due`, in a
            rehearsal.
    """

    path_in_repo: str
    size: int
    outcome: str


class TrimReport(NamedTuple):
    """What became of all that was due.

    Attributes:
        shards: What was due to one of the repos.
        elsewhere: What would be due, but only other repos confirmed it.
        freed: Bytes that were deleted, or are due in a rehearsal.
    """

    shards: tuple[Trimmed, ...]
    elsewhere: tuple[Trimmed, ...]
    freed: int


class _Limits(NamedTuple):
    now: float
    older_than_s: float | None
    keep_bytes: int | None


class _Candidate(NamedTuple):
    entry: Entry
    size: int
    confirmed_at: float


def trim_all(
    area: StagingArea,
    repos: Sequence[Repo],
    *,
    now: float,
    older_than_s: float | None = None,
    keep_bytes: int | None = None,
    dry_run: bool = False,
    tell: Callable[[Trimmed], None] = lambda _: None,
    watching: Callable[[str], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> TrimReport:
    """As `trim_synced`, for one or several repos, one after the other.

    Args:
        area: The staging directory.
        repos: Each asked for what it confirmed.
        now: As for `trim_synced`, as are all that follow.
        older_than_s: Likewise.
        keep_bytes: Likewise.
        dry_run: Likewise.
        tell: Likewise; called with what stays for other repos, too.
        watching: Likewise.
        stopping: Likewise.

    Raises:
        VulcanError: As `trim_synced`.
    """
    shards: list[Trimmed] = []
    freed = 0
    for repo in repos:
        if stopping():
            break
        done = trim_synced(
            area,
            repo,
            now=now,
            older_than_s=older_than_s,
            keep_bytes=keep_bytes,
            dry_run=dry_run,
            freed=freed if dry_run else 0,
            tell=tell,
            watching=watching,
            stopping=stopping,
        )
        shards += done
        freed += sum(shard.size for shard in done if shard.outcome in ("deleted", "due"))
    limits = _Limits(now, older_than_s, keep_bytes)
    keys = [repo.key for repo in repos]
    kept = _kept_for_others(area, keys, limits, freed if dry_run else 0)
    for shard in kept:
        tell(shard)
    return TrimReport(tuple(shards), kept, freed)


def trim_synced(
    area: StagingArea,
    repo: Repo,
    *,
    now: float,
    older_than_s: float | None = None,
    keep_bytes: int | None = None,
    revision: str = MAIN,
    dry_run: bool = False,
    freed: int = 0,
    tell: Callable[[Trimmed], None] = lambda _: None,
    watching: Callable[[str], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> tuple[Trimmed, ...]:
    """Delete shards that are old, or too many, and that the repo confirms.

    Args:
        area: The staging directory.
        repo: Asked for every shard that is due.
        now: Unix seconds.
        older_than_s: Due is what was confirmed longer ago than this, by the ledger; what the
            ledger does not know is kept.
        keep_bytes: Due is also what is oldest, until no more than this many bytes are left.
        revision: The branch that must hold it.
        dry_run: Only tell what is due; the repo is not asked.
        freed: Bytes of `synced/` that count as gone, because a rehearsal left them there.
        tell: Called with each shard at once: an error or Ctrl-C may end the run after it.
        watching: As for `SyncLock`.
        stopping: Likewise, and asked after each shard and while the repo is silent; True ends the
            run in good order.

    Raises:
        UsageError: Neither limit is given.
        SyncAtWork: A sync holds the lock.
        LeaseLost: The lock was taken from us meanwhile; what was deleted before that is confirmed.
        TryLater, Denied, RepoMissing: The repo confirms nothing more; what was deleted before that
            is confirmed. One that never confirmed a shard is asked whether it is there.
    """
    if older_than_s is None and keep_bytes is None:
        raise UsageError("say what is due: how old, or how many bytes to keep")
    limits = _Limits(now, older_than_s, keep_bytes)
    if dry_run:
        due = _due(area, _confirmed(area, repo), limits, freed)
        return all_told((Trimmed(_path(each), each.size, "due") for each in due), tell, stopping)
    with SyncLock(area, watching=watching, stopping=stopping) as lock:
        confirmed = _confirmed(area, repo)
        if not confirmed:
            # Its name may be a slip: then there is nothing of that name to ask.
            answer_of(partial(repo.head, revision), stopping)
        due = _due(area, confirmed, limits, freed)
        trimmed: list[Trimmed] = []
        for batch in batches(due, LOOK_UP_LIMIT):
            look_up = partial(repo.look_up, [_path(each) for each in batch], revision)
            remote = answer_of(look_up, stopping)
            if remote is None:
                break
            trimmed += all_told(_trim(area, batch, remote, lock.check), tell, stopping)
        keep(area)
    return tuple(trimmed)


def _kept_for_others(
    area: StagingArea, keys: Collection[str], limits: _Limits, freed: int
) -> tuple[Trimmed, ...]:
    """Shards that would be due, but only repos with other keys confirmed them: they stay."""
    ours: set[str] = set()
    others: dict[str, float] = {}
    for entry in Ledger(area).entries():
        if entry.repo in keys:
            ours.add(entry.path)
        else:
            others[entry.path] = entry.time
    confirmed = {path: moment for path, moment in others.items() if path not in ours}
    due = _due(area, confirmed, limits, freed)
    return tuple(Trimmed(_path(each), each.size, "elsewhere") for each in due)


def _confirmed(area: StagingArea, repo: Repo) -> dict[str, float]:
    """When the repo confirmed each path, by the ledger."""
    return {entry.path: entry.time for entry in Ledger(area).entries() if entry.repo == repo.key}


def _due(
    area: StagingArea, confirmed: Mapping[str, float], limits: _Limits, freed: int
) -> list[_Candidate]:
    """What is due of what was confirmed, oldest first."""
    candidates = []
    total = area.counts("synced").size - freed
    for entry in area.scan("synced").entries:
        moment = confirmed.get(entry.path_in_repo or "")
        if moment is not None and entry.has_parquet:
            candidates.append(_Candidate(entry, _size(entry), moment))
    candidates.sort(key=lambda each: (each.confirmed_at, each.entry.name))
    now, older_than_s, keep_bytes = limits
    due = []
    for each in candidates:
        old = older_than_s is not None and now - each.confirmed_at > older_than_s
        much = keep_bytes is not None and total > keep_bytes
        if old or much:
            due.append(each)
            total -= each.size
    return due


def _trim(
    area: StagingArea,
    batch: Sequence[_Candidate],
    remote: Mapping[str, RemoteFile],
    still_ours: Callable[[], None],
) -> Iterator[Trimmed]:
    for each in batch:
        still_ours()
        there = remote.get(_path(each))
        outcome = _remove(area, each.entry.name, None if there is None else there.sha256)
        yield Trimmed(_path(each), each.size, outcome)


def _remove(area: StagingArea, name: str, sha256: str | None) -> str:
    """Delete a shard if its bytes are these, which the repo has; what became of it."""
    if sha256 is None:
        return "unconfirmed"
    try:
        return "deleted" if remove_confirmed(area, name, sha256) else "unconfirmed"
    except DiskTrouble:
        return "stays"


def _path(candidate: _Candidate) -> str:
    return candidate.entry.path_in_repo or candidate.entry.name


def _size(entry: Entry) -> int:
    try:
        return entry.parquet.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
