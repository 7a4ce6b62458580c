"""One staging directory, several repos: each geometry has its home, each repo its budget."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vulcan_cli.errors import BadShard, DiskTrouble, UsageError
from vulcan_cli.hub.repo import Repo
from vulcan_cli.hub.routing import home_of
from vulcan_cli.staging.area import Entry, StagingArea
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.sync.drain import SyncOptions, rehearse, sync
from vulcan_cli.sync.report import SyncReport, together
from vulcan_cli.sync.timing import Clock
from vulcan_cli.vacua.shard import footer_of


def sync_all(
    area: StagingArea,
    repos: Sequence[Repo],
    options: SyncOptions,
    *,
    main: str | None = None,
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[SyncReport, int], None] = lambda *_: None,
) -> SyncReport:
    """Publish what waits in `pending/` to one or several repos, one after the other.

    What stops one repo does not stop the others.

    Args:
        area: The staging directory.
        repos: Where shards go, at least one, none twice.
        options: How.
        main: The key of the main repo, whose commits the peer's budget file counts too, be it among
            these or not; None for the first.
        clock: Time.
        stopping: As for `sync`.
        progress: As for `sync`, for the repo at hand.

    Raises:
        UsageError: A repo is named twice.
        SyncAtWork: Another sync holds the lock.
        NotSetUp: There is no such staging directory.
    """
    keys = [repo.key for repo in repos]
    if len(set(keys)) < len(keys):
        raise UsageError("a repo is named twice")
    homes = _homes(area, keys) if len(repos) > 1 else {}
    reports = [
        sync(
            area,
            repo,
            replace(options, with_peer=options.with_peer and repo.key == (main or keys[0])),
            clock=clock,
            wanted=_belongs(homes, repo.key, default=keys[0]),
            stopping=stopping,
            progress=progress,
        )
        for repo in repos
    ]
    return together(reports)


def rehearse_all(
    area: StagingArea,
    keys: Sequence[str],
    options: SyncOptions,
    *,
    main: str | None = None,
    reserve: bool = True,
    clock: Clock | None = None,
) -> SyncReport:
    """Count what `sync_all` would commit, without network; see `rehearse`.

    Args:
        area: The staging directory.
        keys: The keys of the repos.
        options: How the sync would be.
        main: As for `sync_all`.
        reserve: Spend slots as a real run would; False writes nothing at all.
        clock: Time.

    Raises:
        NotSetUp: There is no such staging directory.
    """
    homes = _homes(area, keys) if len(keys) > 1 else {}
    return together(
        [
            rehearse(
                area,
                replace(options, with_peer=options.with_peer and key == (main or keys[0])),
                repo_key=key,
                reserve=reserve,
                clock=clock,
                wanted=_belongs(homes, key, default=keys[0]),
            )
            for key in keys
        ]
    )


def _belongs(homes: Mapping[str, str], key: str, *, default: str) -> Callable[[Entry], bool]:
    """Whether an entry is for this repo; what nobody can read is for the first one to judge."""
    return lambda entry: homes.get(entry.name, default) == key


def _homes(area: StagingArea, keys: Sequence[str]) -> dict[str, str]:
    """File name in `pending/` to the key of the repo that it belongs into."""
    published = {
        entry.geometry_id: entry.repo
        for entry in Ledger(area).entries()
        if entry.geometry_id is not None
    }
    homes = {}
    for entry in area.scan("pending").entries:
        geometry_id = _geometry_id(area, entry) if entry.has_parquet else None
        if geometry_id is not None:
            homes[entry.name] = home_of(geometry_id, keys, published)
    return homes


def _geometry_id(area: StagingArea, entry: Entry) -> str | None:
    """The geometry that a footer claims; checked when the entry's turn comes."""
    try:
        fd = area.open_shard("pending", entry.name)
        with os.fdopen(fd, "rb") as file:
            return footer_of(file, entry.parquet).geometry.geometry_id
    except (BadShard, DiskTrouble):
        return None
