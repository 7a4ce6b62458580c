"""Sifting a batch: its shards are held open, and what is none is set aside or left and counted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from vulcan_cli.errors import DiskTrouble
from vulcan_cli.files.open_files import GONE
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import Unwanted, set_all_aside, set_aside
from vulcan_cli.staging.listing import SIDECAR_SUFFIX, Entry
from vulcan_cli.sync.ahead import Lookahead
from vulcan_cli.sync.check import Checked, NotChecked, check_all
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.vacua.shard import Footer


class Sieve:
    """Sifts the batches of one run; used under the sync lock."""

    def __init__(
        self,
        area: StagingArea,
        report: SyncReport,
        done: set[str],
        *,
        still_ours: Callable[[], None],
    ) -> None:
        """Bind a sieve.

        Args:
            area: The staging directory.
            report: Takes what happens.
            done: File names that need no more looks in this run; this adds to it.
            still_ours: Raises `LeaseLost` where the lock was taken from us.
        """
        self._area = area
        self._report = report
        self._done = done
        self._still_ours = still_ours
        self._ahead = Lookahead(area)
        self._seen: dict[str, Footer] = {}

    @contextmanager
    def shards(self, entries: Sequence[Entry]) -> Iterator[list[Checked]]:
        """The shards among entries, open for the length of a block."""
        # Where there was trouble, it is the same batch again.
        known = self._seen | self._ahead.end()
        now = self._area.server_time()
        with ExitStack() as stack:
            results = check_all(self._area, entries, now=now, known=known)
            shards = [result for result in results if isinstance(result, Checked)]
            for shard in shards:
                stack.callback(shard.close)
            self._seen = {shard.sha256: shard.footer for shard in shards}
            self._take_out([result for result in results if isinstance(result, NotChecked)])
            for shard in shards:
                self._drop_stray_sidecar(shard)
            yield shards

    def look_ahead(self, entries: Sequence[Entry]) -> None:
        """Look at those that come next, while others are sent."""
        self._ahead.begin(entries)

    def close(self) -> None:
        """Look at nothing any more."""
        self._ahead.end()

    def _take_out(self, results: Sequence[NotChecked]) -> None:
        self._done.update(result.entry.name for result in results)
        stays = self._reject([result for result in results if result.verdict == "rejected"])
        for result in results:
            trouble = stays.get(result.entry.name)
            if trouble is None:
                told = result
            elif trouble.errno in GONE:
                # What its writer took away meanwhile is no trouble of the disk.
                continue
            else:
                why = f"{result.why}; it stays: {trouble}"
                told = result._replace(verdict="unreadable", why=why)
            told.note(self._report, rejected="is rejected")

    def _reject(self, results: Sequence[NotChecked]) -> dict[str, DiskTrouble]:
        """Set entries aside; those that the disk does not let go, with its words."""
        if not results:
            return {}
        self._still_ours()
        unwanted = [Unwanted(result.entry.name, result.why) for result in results]
        try:
            made = set_all_aside(self._area, unwanted, into="rejected", check=self._still_ours)
        except DiskTrouble as error:
            return {each.name: error for each in unwanted}
        return {
            each.name: outcome
            for each, outcome in zip(unwanted, made, strict=True)
            if isinstance(outcome, DiskTrouble)
        }

    def _drop_stray_sidecar(self, shard: Checked) -> None:
        """Take a sidecar away that another account put there, so that a true one can be made."""
        if not shard.stray_sidecar:
            return
        self._still_ours()
        why = "another account put a sidecar beside it; nobody read it"
        with contextlib.suppress(DiskTrouble):
            sidecar = f"{shard.entry.name}{SIDECAR_SUFFIX}"
            set_aside(self._area, sidecar, into="rejected", why=why)
        self._report.errors.append(f"{shard.entry.name}: {why}")
