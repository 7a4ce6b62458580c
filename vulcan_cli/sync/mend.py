"""Mending what `verify` found, as far as nothing can be lost by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vulcan_cli.dataset.local_catalog import keep
from vulcan_cli.errors import DiskTrouble
from vulcan_cli.staging.area import STATES, StagingArea
from vulcan_cli.staging.aside import set_aside
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import Moving, move
from vulcan_cli.staging.tidy import tidy
from vulcan_cli.sync.verify import Finding
from vulcan_cli.vacua.geometry import file_name
from vulcan_cli.vacua.shard import sidecar_of


def mend(
    area: StagingArea,
    findings: Iterable[Finding],
    *,
    watching: Callable[[str], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> frozenset[Finding]:
    """Do what loses nothing about these findings; the rest is for a person.

    Pairs are joined again, missing sidecars rebuilt from footers, entries of `pending/` that are no
    sound shards are set aside with the reason, and of a shard that is in `pending/` and `failed/`
    with the same bytes one is kept.

    Args:
        area: The staging directory.
        findings: What `verify` found.
        watching: As for `SyncLock`.
        stopping: Likewise, and asked after each finding; True ends the run in good order.

    Returns:
        The findings that are no more.

    Raises:
        SyncAtWork: A sync holds the lock.
        DiskTrouble: A folder cannot be read or written.
    """
    found = list(findings)
    with SyncLock(area, watching=watching, stopping=stopping) as lock:
        tidy(area, sidecar_of=sidecar_of, check=lock.check)
        mended = {each for each in found if each.kind == "orphaned" and not _is_alone(area, each)}
        for each in found:
            if stopping():
                break
            lock.check()
            if _mend_one(area, each, lock):
                mended.add(each)
        keep(area)
    return frozenset(mended)


def _mend_one(area: StagingArea, finding: Finding, lock: SyncLock) -> bool:
    """Whether a finding is no more, by what can be done about it alone."""
    if finding.where == "pending" and finding.kind in ("bad", "altered"):
        return _put_aside(area, finding)
    if finding.where == "failed" and finding.kind == "two-states":
        moving = [Moving(_name(finding))]
        (moved,) = move(area, moving, "failed", "pending", check=lock.check)
        return moved.outcome in ("moved", "gone")
    return False


def _put_aside(area: StagingArea, finding: Finding) -> bool:
    try:
        set_aside(area, _name(finding), into="rejected", why=finding.why)
    except DiskTrouble:
        return False
    return True


def _is_alone(area: StagingArea, finding: Finding) -> bool:
    """Whether a half of a pair is still without the other, where it was found."""
    state = next(state for state in STATES if state == finding.where)
    return any(
        entry.name == _name(finding) and entry.has_parquet != entry.has_sidecar
        for entry in area.scan(state).entries
    )


def _name(finding: Finding) -> str:
    """The file name that a finding is about."""
    return file_name(finding.name)
