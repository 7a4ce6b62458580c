"""Staging rows while a solver makes them."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vulcan_cli.cli.explain import MOST_PROBLEMS
from vulcan_cli.cli.feed import Feed
from vulcan_cli.cli.output import Output
from vulcan_cli.errors import InputRefused, Problem, RowsRefused, UsageError
from vulcan_cli.quantities import counted

if TYPE_CHECKING:
    from vulcan_cli.staging.area import StagingArea
    from vulcan_cli.staging.intake import Intake, Read
    from vulcan_cli.staging.stream import Sorted
    from vulcan_cli.vacua.inputs import Format
    from vulcan_cli.vacua.prepare import Run
    from vulcan_cli.vacua.stream import Rows, Splitter


_ARROW_FILE = b"ARROW1\0\0"
"""What Arrow's other form begins with, which has its schema at the end too."""

NAME = "standard input"
"""What a pipe is called in messages."""


def whole_or_nothing(kind: str) -> UsageError:
    """What is wrong with `--max-age` where rows of this format cannot be cut while they come."""
    streams = "ndjson, csv and Arrow's stream"
    return UsageError(f"{kind} is whole or nothing: --max-age is for {streams}")


class Streaming:
    """Stages one stream, batch after batch.

    A row that is refused stops nothing: it is kept in a file of the working directory, and the
    exit status tells in the end. A stream of which nothing can be staged, whatever the rows, ends
    at once, so that its solver hears of it.
    """

    def __init__(
        self,
        area: StagingArea,
        run: Run,
        out: Output,
        tell: Callable[[Intake], None],
        *,
        dry_run: bool,
    ) -> None:
        """Prepare to stage.

        Args:
            area: The staging directory.
            run: What is known of the rows, and how many make a shard.
            out: Where to talk.
            tell: Says what became of a batch.
            dry_run: Whether to validate and write nothing.
        """
        self._area = area
        self._run = run
        self._out = out
        self._tell = tell
        self._dry_run = dry_run
        self._problems: list[Problem] = []
        self._kept: list[Path] = []
        self._doubted: set[str] = set()
        self._n_staged = 0
        self._n_refused = 0

    def stage(self, feed: Feed, wanted: Format, max_age_s: float | None) -> None:
        """Stage what comes until the stream ends or a signal asks to stop.

        A format that cannot be cut while it comes is staged as a whole.

        Args:
            feed: The stream.
            wanted: Its format.
            max_age_s: The longest that a row waits, in seconds.

        Raises:
            UsageError: A row may wait so long only, and this format cannot be cut.
            RowsRefused: Some rows, or all; the others are staged.
            InputRefused: There was no row, or the run's description is wrong.
            KeyboardInterrupt: Ctrl-C, after what had come is staged.
        """
        from vulcan_cli.vacua.inputs import format_of  # noqa: PLC0415
        from vulcan_cli.vacua.prepare import check_run  # noqa: PLC0415
        from vulcan_cli.vacua.splitters import STREAMS  # noqa: PLC0415

        if problems := check_run(self._run):
            raise InputRefused(*problems)
        with feed.listening():
            start = feed.start(len(_ARROW_FILE))
            kind = format_of(start, wanted, NAME)
            if kind in STREAMS and start != _ARROW_FILE:
                self._batches(feed, kind, max_age_s)
                return
        if max_age_s is not None:
            raise whole_or_nothing(kind)
        self._whole(feed, wanted)

    def _batches(self, feed: Feed, kind: str, max_age_s: float | None) -> None:
        from vulcan_cli.vacua.splitters import splitter  # noqa: PLC0415
        from vulcan_cli.vacua.stream import batches  # noqa: PLC0415

        if not self._dry_run:
            # Nobody should solve for hours to hear that there is no place to stage.
            self._area.create()
        rows = splitter(kind)
        try:
            for batch in batches(
                feed.read,
                rows,
                max_rows=self._run.max_rows,
                max_age_s=max_age_s,
                clock=time.monotonic,
                cut_short=lambda: feed.asked is not None,
            ):
                self._batch(batch)
        except KeyboardInterrupt:
            raise
        except RowsRefused:
            self._keep_what_is_behind(feed, rows)
            raise self._refusal(()) from None
        except InputRefused as refusal:
            raise self._refusal(refusal.problems) from None
        except BaseException:
            self._keep_what_is_behind(feed, rows)
            raise
        self._end(feed, rows.torn)

    def _keep_what_is_behind(self, feed: Feed, rows: Splitter) -> None:
        """Keep what the solver has written behind the rows that were not staged."""
        from vulcan_cli.vacua.stream import batches  # noqa: PLC0415

        if self._dry_run:
            return
        feed.wait_no_more()
        with contextlib.suppress(InputRefused):
            for behind in batches(
                feed.read,
                rows,
                max_rows=None,
                max_age_s=None,
                clock=time.monotonic,
                cut_short=lambda: not feed.ended,
            ):
                kept = self._keep(behind, range(len(behind)))
                self._out.warn(f"{counted(len(behind), 'more row')} not staged{kept}")
        self._tell_torn(rows.torn)

    def _tell_torn(self, size: int) -> None:
        if size:
            self._out.warn(f"the last row was not whole: its {size} bytes are left out")

    def _whole(self, feed: Feed, wanted: Format) -> None:
        from vulcan_cli.vacua.inputs import read_bytes  # noqa: PLC0415

        if feed.asked is None:
            data = feed.rest()
            self._tell(self._work([(NAME, lambda: read_bytes(data, wanted, name=NAME))], self._run))
        elif feed.asked == signal.SIGINT:
            raise KeyboardInterrupt

    def _batch(self, rows: Rows) -> None:
        from vulcan_cli.staging.stream import stage_good  # noqa: PLC0415

        try:
            run = replace(self._run, max_rows=None)
            found = stage_good(rows, lambda inputs: self._work(inputs, run), NAME)
        except KeyboardInterrupt:
            raise
        except BaseException:
            # The rows came through a pipe: nobody else has them. What Polars raises when it panics
            # is no Exception.
            kept = self._keep(rows, range(len(rows)))
            self._out.warn(f"{counted(len(rows), 'row')} not staged{kept}")
            raise
        if found.intake is not None:
            self._n_staged += len(rows) - len(found.bad)
            self._tell(self._without_known_doubts(found.intake))
        if found.bad:
            self._refuse(rows, found)

    def _work(self, inputs: Sequence[tuple[str, Read]], run: Run) -> Intake:
        from vulcan_cli.staging import intake  # noqa: PLC0415

        work = intake.validate if self._dry_run else intake.stage
        return work(self._area, inputs, run, now=datetime.now(UTC))

    def _refuse(self, rows: Rows, found: Sorted) -> None:
        self._n_refused += len(found.bad)
        room = MOST_PROBLEMS - len(self._problems)
        self._problems += found.problems[: max(0, room)]
        kept = self._keep(rows, found.bad)
        self._out.warn(f"{counted(len(found.bad), 'row')} refused{kept}: {found.problems[0]}")
        if found.in_general and not self._n_staged:
            raise self._refusal(())

    def _keep(self, rows: Rows, places: Sequence[int]) -> str:
        """Write rows to a file, and say which, as the end of a sentence."""
        from vulcan_cli.staging.stream import keep  # noqa: PLC0415

        if self._dry_run:
            return ""
        path = keep(rows, places, Path())
        self._kept.append(path)
        return f" and kept in {path}"

    def _without_known_doubts(self, intake: Intake) -> Intake:
        doubts = tuple(each for each in intake.doubts if str(each) not in self._doubted)
        self._doubted |= {str(each) for each in doubts}
        return intake._replace(doubts=doubts)

    def _refusal(self, more: Sequence[Problem]) -> RowsRefused:
        return RowsRefused(
            *self._problems,
            *more,
            n_staged=self._n_staged,
            n_refused=self._n_refused,
            kept=tuple(self._kept),
        )

    def _end(self, feed: Feed, torn: int) -> None:
        if feed.asked is None and not self._n_staged and not self._n_refused:
            raise InputRefused(Problem("the input is empty", source=NAME))
        if feed.asked is not None:
            name = signal.Signals(feed.asked).name
            self._out.say(f"stopped by {name}: {counted(self._n_staged, 'row')} staged in all")
            self._tell_torn(torn)
        if feed.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self._n_refused:
            raise self._refusal(())
