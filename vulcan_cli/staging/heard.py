"""What a repo said of its own commit limit, kept as long as it holds, for every later run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vulcan_cli.staging.records import RecordError, seconds_of, whole_of

HOUR_S = 3600.0
"""The window of the repo's own limit, and so how long what it said of it is believed."""


class Heard(NamedTuple):
    """What a refusal for too many commits said.

    Attributes:
        at: When, unix seconds.
        commits_per_hour: The limit that it named; None where it named none.
        closed_until: Before then no commit makes sense, unix seconds; None where it did not say.
    """

    at: float
    commits_per_hour: int | None = None
    closed_until: float | None = None

    def limit(self, budget: int, window_s: float, now: float) -> int:
        """How many commits a window allows: the budget, or less where the repo takes less."""
        if self.commits_per_hour is None or self.at + HOUR_S <= now:
            return budget
        # At least one: who spends nothing would learn nothing new.
        return min(budget, max(1, int(self.commits_per_hour * window_s / HOUR_S)))

    def opens_at(self, window_s: float, now: float) -> float | None:
        """When commits make sense again; None where they do. Never later than a window."""
        if self.closed_until is None:
            return None
        moment = min(self.closed_until, self.at + window_s)
        return moment if moment > now else None

    def as_record(self) -> dict[str, object]:
        """The inverse of `parse_heard`."""
        return self._asdict()


def parse_heard(record: Mapping[str, object], now: float) -> Heard | None:
    """Read what was kept; None where nothing was, or nothing that can be.

    A moment of hearing in the future is now: it was written by a clock that was wrong.
    """
    found = record.get("heard")
    if not isinstance(found, dict):
        return None
    try:
        limit = (
            None if found.get("commits_per_hour") is None else whole_of(found, "commits_per_hour")
        )
        until = None if found.get("closed_until") is None else seconds_of(found, "closed_until")
        return Heard(min(seconds_of(found, "at"), now), limit, until)
    except RecordError:
        return None
