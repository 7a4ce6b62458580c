"""One staging directory, several repos: each geometry has its home, each repo its budget."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from vulcan_cli.errors import UsageError, VulcanError
from vulcan_cli.hub.repo import Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.rehearse import rehearse
from vulcan_cli.sync.report import SyncReport, together
from vulcan_cli.sync.share import Share, shares
from vulcan_cli.sync.timing import Clock


def sync_all(
    area: StagingArea,
    repos: Sequence[Repo],
    options: SyncOptions,
    *,
    main: str | None = None,
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[SyncReport, int], None] = lambda *_: None,
    watching: Callable[[str], None] = lambda _: None,
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
        watching: As for `sync`.

    Raises:
        UsageError: A repo is named twice.
        SyncAtWork: Another sync holds the lock when this one begins.
        NotSetUp: There is no such staging directory.
    """
    keys = [repo.key for repo in repos]
    if len(set(keys)) < len(keys):
        raise UsageError("a repo is named twice")
    reports: list[SyncReport] = []
    for repo, share in zip(repos, shares(area, keys), strict=True):
        is_main = repo.key == (main or keys[0])
        try:
            report = sync(
                area,
                repo,
                replace(options, with_peer=options.with_peer and is_main),
                clock=clock,
                share=share,
                stopping=stopping,
                progress=progress,
                watching=watching,
            )
        except VulcanError as error:
            if not reports:
                raise
            # What was done for the repos before is told all the same.
            report = _left_out(area, share, error)
        reports.append(report)
    return together(reports)


def _left_out(area: StagingArea, share: Share, error: VulcanError) -> SyncReport:
    """The report of a repo that was left out, or begun in vain."""
    n_remaining = 0
    # What ended it may keep us from counting, too.
    with contextlib.suppress(VulcanError):
        waiting = [each for each in area.scan("pending").entries if each.has_parquet]
        n_remaining = sum(map(share.takes, waiting))
    return SyncReport(n_remaining=n_remaining, errors=[str(error)], stopped=error)


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
    return together(
        [
            rehearse(
                area,
                replace(options, with_peer=options.with_peer and key == (main or keys[0])),
                repo_key=key,
                reserve=reserve,
                clock=clock,
                share=share,
            )
            for key, share in zip(keys, shares(area, keys), strict=True)
        ]
    )
