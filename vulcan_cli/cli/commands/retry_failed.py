"""`vulcan retry-failed`: from `failed/` back to `pending/`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import DryRun, Json, Quiet, StagingDir, UnaskedRepos, Verbose
from vulcan_cli.cli.options.upkeep import FromConflicts, FromRejected, RunIdPatterns
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.text import printable
from vulcan_cli.cli.tree import Example
from vulcan_cli.cli.watching import teller
from vulcan_cli.errors import UsageError
from vulcan_cli.interrupts import asked_by_sigterm

if TYPE_CHECKING:
    from vulcan_cli.staging.aside import Heap
    from vulcan_cli.sync.retry import Retried

EXAMPLES = (
    Example("All of them", "vulcan retry-failed"),
    Example("Those of one day, only looked at", "vulcan retry-failed '2026-06-01-*' --dry-run"),
    Example("Rows whose name was taken", "vulcan retry-failed --from-conflicts"),
)
EXIT_CODES = (3, 4, 6, 7)

_DATA = 3


def retry_failed(
    context: typer.Context,
    run_ids: RunIdPatterns = None,
    *,
    from_rejected: FromRejected = False,
    from_conflicts: FromConflicts = False,
    staging_dir: StagingDir = None,
    repo: UnaskedRepos = None,
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

    if from_rejected and from_conflicts:
        raise UsageError("--from-rejected and --from-conflicts go one at a time")
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(out, staging_dir=staging_dir, repo=repo)
    area = StagingArea(settings.require_staging_dir())
    heap: Heap | None = "rejected" if from_rejected else "conflicts" if from_conflicts else None
    tell = partial(_tell, out, f"{heap or 'failed'}/")
    bring_back = retry.retry_failed if heap is None else partial(retry.retry_aside, heap=heap)
    asked = asked_by_sigterm()
    retried = bring_back(
        area,
        run_ids or (),
        dry_run=dry_run,
        tell=tell,
        watching=teller(out, context.obj),
        stopping=asked,
    )
    if not retried:
        early = "nothing was brought back: SIGTERM came before the first"
        out.say(early if asked() else "nothing to retry")
    if any(shard.outcome in ("exists", "stays") for shard in retried):
        raise typer.Exit(_DATA)


def _tell(out: Output, place: str, shard: Retried) -> None:
    path = shard.path_in_repo or shard.name
    if out.as_json:
        out.json(
            {
                "path_in_repo": path,
                "reason": shard.reason,
                "outcome": shard.outcome or "would move",
                "new_path": shard.new_path,
            }
        )
    else:
        # One line for each shard, whatever it is called and the repo said.
        reason = shard.reason or "no reason is known"
        out.line(f"{printable(path)}\t{printable(reason)}")
    if shard.new_path is not None:
        out.say(f"its rows wait as {shard.new_path}")
    if shard.outcome == "exists":
        out.warn(f"{path} stays in {place}: pending/ holds other content under its name")
    if shard.outcome == "stays":
        out.warn(f"{path} stays in {place}: it cannot be brought back")
