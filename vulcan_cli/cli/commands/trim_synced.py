"""`vulcan trim-synced`: room in the staging directory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import DryRun, Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.upkeep import KeepBytes, OlderThan
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.repos import open_configured
from vulcan_cli.cli.tree import Example
from vulcan_cli.cli.watching import teller
from vulcan_cli.errors import UsageError
from vulcan_cli.interrupts import asked_by_sigterm
from vulcan_cli.quantities import counted, format_size, parse_age, parse_size

if TYPE_CHECKING:
    from vulcan_cli.sync.trim import Trimmed

EXAMPLES = (
    Example("What was confirmed a month ago", "vulcan trim-synced --older-than 30d"),
    Example("Keep 10 GB, only looked at", "vulcan trim-synced --keep-bytes 10GB --dry-run"),
)
EXIT_CODES = (4, 5, 6, 7)

_DISK = 6


def trim_synced(
    context: typer.Context,
    *,
    older_than: OlderThan = None,
    keep_bytes: KeepBytes = None,
    staging_dir: StagingDir = None,
    repo: Repos = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delete shards from synced/ that the repo holds, by SHA-256, at this very moment.

    Age counts from the commit that the repo confirmed; a shard whose age nobody knows is kept.
    What was deleted is read from the repo from then on, as the ledger in _vulcan/ knows it; where
    that folder is lost, query with --source repo.
    """
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415
    from vulcan_cli.sync import trim  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(out, staging_dir=staging_dir, repo=repo)
    age = None if older_than is None else parse_age(older_than)
    size = None if keep_bytes is None else parse_size(keep_bytes)
    if age is None and size is None:
        raise UsageError("say what to delete: --older-than AGE, --keep-bytes SIZE, or both")
    area = StagingArea(settings.require_staging_dir())
    repos = open_configured(settings, to_write=False)
    report = trim.trim_all(
        area,
        repos,
        now=time.time(),
        older_than_s=age,
        keep_bytes=size,
        dry_run=dry_run,
        tell=partial(_tell, out),
        watching=teller(out, context.obj),
        stopping=asked_by_sigterm(),
    )
    outcomes = [shard.outcome for shard in report.shards]
    _warn(out, outcomes)
    word = "would free" if dry_run else "freed"
    out.say(f"{word} {format_size(report.freed)}{_of_others(len(report.elsewhere))}")
    if "stays" in outcomes:
        raise typer.Exit(_DISK)


def _tell(out: Output, shard: Trimmed) -> None:
    if out.as_json:
        out.json(
            {"path_in_repo": shard.path_in_repo, "bytes": shard.size, "outcome": shard.outcome}
        )
    else:
        out.line(f"{shard.path_in_repo}\t{shard.outcome}")


def _of_others(n_kept: int) -> str:
    if not n_kept:
        return ""
    stay = "of another repo stays" if n_kept == 1 else "of other repos stay"
    return f"; {counted(n_kept, 'shard')} {stay}"


def _warn(out: Output, outcomes: Sequence[str]) -> None:
    unconfirmed, stuck = outcomes.count("unconfirmed"), outcomes.count("stays")
    if unconfirmed:
        out.warn(f"not confirmed, so not deleted: {counted(unconfirmed, 'shard')}")
    if stuck:
        out.warn(f"confirmed, but the file system refuses to delete: {counted(stuck, 'shard')}")
