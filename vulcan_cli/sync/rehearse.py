"""A rehearsal: what a sync would commit, found without network and without moving anything."""

from __future__ import annotations

from vulcan_cli.errors import TryLater
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.budget import Budget
from vulcan_cli.sync.check import Checked, check_all
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.plan import batches
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.review import names_in_review
from vulcan_cli.sync.share import Share
from vulcan_cli.sync.timing import Clock


def rehearse(
    area: StagingArea,
    options: SyncOptions,
    *,
    repo_key: str,
    reserve: bool = True,
    clock: Clock | None = None,
    share: Share | None = None,
) -> SyncReport:
    """Count what a sync would commit.

    Args:
        area: The staging directory.
        options: How the sync would be.
        repo_key: The key of the repo, for its budget.
        reserve: Spend slots as a real run would, so that a rehearsal is conservative; False
            writes nothing at all.
        clock: Time.
        share: Which entries of `pending/` this is about; None for all.
    """
    report = SyncReport()
    share = share or Share()
    now = (clock or Clock()).now
    budget = Budget(
        area, repo_key, options.budget, options.window_s, now, with_peer=options.with_peer
    )
    listed = area.scan("pending").entries
    entries = [entry for entry in listed if entry.has_parquet and share.takes(entry)]
    in_review = names_in_review(area, repo_key)
    due = [entry for entry in entries if entry.name not in in_review]
    left = budget.remaining()
    for batch in batches(due, options.max_batch):
        good = 0
        for result in check_all(area, batch, now=now(), copy=False):
            if isinstance(result, Checked):
                result.close()
                good += 1
            else:
                result.note(report, rejected="would be rejected")
        if good and left > 0 and (not reserve or _spent(budget)):
            left -= 1
            report.n_committed += good
            report.n_commits += 1
            report.commit_oids.append(None)
    report.n_in_review = len(entries) - len(due)
    report.n_remaining = len(entries) - report.n_committed - report.n_rejected
    report.next_slot_at = budget.next_slot_at()
    return report


def _spent(budget: Budget) -> bool:
    """Whether there was a slot to spend: another process may have been quicker."""
    try:
        budget.spend()
    except TryLater:
        return False
    return True
