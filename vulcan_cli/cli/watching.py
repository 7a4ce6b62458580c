"""What is told of the holder of the sync lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vulcan_cli.cli.output import Output
from vulcan_cli.cli.typed import here
from vulcan_cli.quantities import format_duration

if TYPE_CHECKING:
    from vulcan_cli.staging.lease import Owner


def teller(out: Output, typed: Sequence[str]) -> Callable[[str], None]:
    """What tells that somebody's lock is watched, which takes minutes.

    Args:
        out: Where it is told, unless in JSON: an error may follow, and stands alone.
        typed: The command line.
    """

    def tell(owner: str) -> None:
        if out.as_json:
            return
        from vulcan_cli.staging.lock import PATIENCE_S  # noqa: PLC0415

        patience = format_duration(PATIENCE_S)
        out.say(f"the sync lock is held by {owner}, watched for {patience}: it may be dead")
        out.say("  safe: nothing was changed, and workers stage all the same")
        out.say(f"  next: {here('vulcan unlock', typed)}  # where it is known to be dead")

    return tell


def document_of(owner: Owner) -> dict[str, object]:
    """The holder for scripts."""
    return {
        "host": owner.host,
        "pid": owner.pid,
        "since": owner.since,
        "gone": owner.is_gone(),
    }
