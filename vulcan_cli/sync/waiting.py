"""When a run goes on: with a free slot, and after trouble that may pass; how long it waits."""

from __future__ import annotations

import logging
from collections.abc import Callable

from vulcan_cli.errors import TryLater
from vulcan_cli.quantities import format_moment
from vulcan_cli.staging.budget import Budget
from vulcan_cli.sync.commit import NoSlotError, StopAskedError
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.timing import PATIENCE_S, Clock, Patience

_logger = logging.getLogger(__name__)

_BACKOFF_S = 2.0


class Waiting:
    """The waits of one run."""

    def __init__(
        self,
        options: SyncOptions,
        clock: Clock,
        *,
        budget: Callable[[], Budget],
        stopping: Callable[[], bool],
    ) -> None:
        """Bind it.

        Args:
            options: How long, and how often.
            clock: Time.
            budget: Gives the commit budget of the repo.
            stopping: As for `sync`.
        """
        self._options = options
        self._clock = clock
        self._budget = budget
        self._stopping = stopping
        self._troubles = 0
        patience_s = None if options.wait else PATIENCE_S
        self._patience = Patience(clock, patience_s, options.window_s, stopping)

    def for_slots(self, wanted: int) -> bool:
        """Make sure of free slots, waiting for one where this run waits.

        Where the repo said that it takes no commit yet, each run waits, within its patience.

        Returns:
            Whether it waited, so that everything known of the repo is old.

        Raises:
            NoSlotError: There are too few, and this run does not wait.
            RateLimited: The repo takes no commit for longer than this run waits.
            StopAskedError: The run was asked to end.
        """
        waited = False
        closed = None
        while not self._stopping():
            budget = self._budget()
            # Asked first: what opens between the two questions is free.
            closed = budget.closed()
            free = budget.remaining()
            if free >= (1 if self._options.wait else wanted):
                return waited
            if free == 0:
                budget.repair()
            moment = budget.next_slot_at() if closed is None else closed.retry_at
            if moment is None or (closed is None and not self._options.wait):
                raise NoSlotError
            _logger.info("waits for a commit slot until %s", format_moment(moment))
            waited = self._patience.wait_until(moment)
            if closed is not None and not waited and not self._stopping():
                raise closed
        raise StopAskedError(closed)

    def for_an_answer(self, ask: Callable[[], None]) -> None:
        """Ask until there is an answer, or patience ends.

        Raises:
            TryLater, StopAskedError: As `until_it_passes`.
        """
        troubles = self._troubles
        while True:
            try:
                ask()
            except TryLater as later:
                self.until_it_passes(later)
            else:
                # An answer to this question ends no other trouble.
                self._troubles = troubles
                return

    def until_it_passes(self, later: TryLater) -> None:
        """Wait until it makes sense to come back.

        Raises:
            TryLater: The same, where that is beyond this run's retries or patience.
            StopAskedError: The run was asked to end while it waited.
        """
        try:
            self.count(later)
            moment = self._next_try(later)
            _logger.info("tries again at %s: %s", format_moment(moment), later)
            if not self._patience.wait_until(moment):
                raise later
        except TryLater:
            if self._stopping():
                raise StopAskedError(later) from later
            raise

    def count(self, trouble: TryLater) -> None:
        """Count one more trouble in a row.

        Raises:
            TryLater: The same, where those are more than this run's retries.
        """
        self._troubles += 1
        if self._troubles > self._options.max_retries:
            raise trouble

    def forget(self) -> None:
        """Something landed: the next trouble is the first again."""
        self._troubles = 0

    def _next_try(self, later: TryLater) -> float:
        """When to try again: when the server says, else later each time."""
        now = self._clock.now()
        backoff = now + _BACKOFF_S * 2.0 ** (self._troubles - 1)
        return max(backoff, min(later.retry_at or 0.0, now + self._options.window_s))
