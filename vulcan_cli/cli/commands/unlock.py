"""`vulcan unlock`: take the sync lock from a holder that is dead."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import Json, Quiet, StagingDir, UnaskedRepos, Verbose
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.tree import Example
from vulcan_cli.cli.watching import document_of
from vulcan_cli.errors import SyncAtWork

if TYPE_CHECKING:
    from vulcan_cli.staging.lease import Lease

EXAMPLES = (
    Example("Who holds the lock, and may it go", "vulcan unlock"),
    Example("When its node is known to be down", "vulcan unlock --force"),
)
EXIT_CODES = (4, 6, 7)

Force = Annotated[
    bool, typer.Option("--force", help="Do not ask, and take it from a live holder too.")
]


def unlock(
    *,
    staging_dir: StagingDir = None,
    repo: UnaskedRepos = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Take the sync lock away from a sync that died on another node.

    Only ever needed in a hurry: a sync follows one that died on its own node at once, and one that
    died elsewhere within five minutes. A holder that is gone loses the lock without a question; of
    one on another node you are asked; one that runs on this node keeps it, unless --force is given.
    A holder that turns out to live notices before its next commit or move, and stops.
    """
    from vulcan_cli.staging import lease  # noqa: PLC0415
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(out, staging_dir=staging_dir, repo=repo)
    area = StagingArea(settings.require_staging_dir())
    seen = lease.read_lease(area)
    if seen is not None:
        if not force:
            _must_be_dead(seen, out)
        lease.break_lease(area, seen)
        after = lease.read_lease(area)
        if after is not None:
            raise SyncAtWork(str(after))
    _tell(out, seen)


def _must_be_dead(lease: Lease, out: Output) -> None:
    """Make sure that the holder is gone, by its process or by a person's word."""
    owner = lease.owner
    if owner is not None and owner.is_gone():
        return
    lives_here = owner is not None and owner.is_here()
    if lives_here or out.as_json or not out.can_ask or not _ask(lease, out):
        raise SyncAtWork(_described(lease))


def _ask(lease: Lease, out: Output) -> bool:
    out.warn(f"the sync lock is held by {_described(lease)}")
    try:
        return typer.confirm("Is it dead, and may the lock go?", err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None


def _described(lease: Lease) -> str:
    from vulcan_cli.quantities import format_moment  # noqa: PLC0415

    # Anyone may have written the lease, and no calendar has every number in it.
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if lease.owner is not None:
            return f"{lease.owner}, since {format_moment(lease.owner.since)}"
    return str(lease)


def _tell(out: Output, lease: Lease | None) -> None:
    if out.as_json:
        removed = None if lease is None or lease.owner is None else document_of(lease.owner)
        out.json({"unlocked": lease is not None, "owner": removed})
    elif lease is None:
        out.say("nobody holds the sync lock")
    else:
        out.line(f"the lock of {_described(lease)} is gone")
