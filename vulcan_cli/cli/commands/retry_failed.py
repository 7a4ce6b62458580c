"""`vulcan retry-failed`: from `failed/` back to `pending/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from vulcan_cli.cli.options import DryRun, Json, Quiet, RunIdPatterns, StagingDir, Verbose
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.tree import Example
from vulcan_cli.settings import load_settings

if TYPE_CHECKING:
    from vulcan_cli.sync.retry import Retried

EXAMPLES = (
    Example("All of them", "vulcan retry-failed"),
    Example("Those of one day, only looked at", "vulcan retry-failed '2026-06-01-*' --dry-run"),
)
EXIT_CODES = (3, 4, 6, 7)

_DATA = 3


def retry_failed(
    run_ids: RunIdPatterns = None,
    *,
    staging_dir: StagingDir = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Move shards that the repo refused back to pending/, for the next sync.

    Each path is printed with the reason for which it failed. Nothing in pending/ is ever replaced.
    """
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415
    from vulcan_cli.sync import retry  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = load_settings(staging_dir=staging_dir)
    out.notices(settings.notices)
    area = StagingArea(settings.require_staging_dir())
    retried = retry.retry_failed(area, run_ids or (), dry_run=dry_run)
    for shard in retried:
        _tell(out, shard)
    stuck = [shard for shard in retried if shard.outcome in ("exists", "stays")]
    if not retried:
        out.say("nothing to retry")
    if stuck:
        raise typer.Exit(_DATA)


def _tell(out: Output, shard: Retried) -> None:
    path = shard.path_in_repo or shard.name
    if out.as_json:
        out.json(
            {"path_in_repo": path, "reason": shard.reason, "outcome": shard.outcome or "would move"}
        )
        return
    out.line(f"{path}\t{shard.reason or 'no reason is known'}")
    if shard.outcome == "exists":
        out.warn(f"{path} stays in failed/: pending/ holds other content under its name")
    if shard.outcome == "stays":
        out.warn(f"{path} stays in failed/: it cannot be moved")
