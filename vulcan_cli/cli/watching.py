"""What is told while the holder of the sync lock is watched, which takes minutes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vulcan_cli.cli.output import Output
from vulcan_cli.cli.typed import here
from vulcan_cli.quantities import format_duration


def teller(out: Output, typed: Sequence[str]) -> Callable[[str], None]:
    """What tells that somebody's lock is watched.

    Args:
        out: Where it is told.
        typed: The command line.
    """

    def tell(owner: str) -> None:
        from vulcan_cli.staging.lock import PATIENCE_S  # noqa: PLC0415

        patience = format_duration(PATIENCE_S)
        out.say(f"the sync lock is held by {owner}, watched for {patience}: it may be dead")
        out.say("  safe: nothing was changed, and workers stage all the same")
        out.say(f"  next: {here('vulcan unlock', typed)}  # where it is known to be dead")

    return tell
