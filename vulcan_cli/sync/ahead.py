"""A look at the next batch while this one is sent.

It decides nothing: what is learned is which bytes, by their SHA-256, are a shard. Whether a file
has those bytes, and all else about it, is found out at its turn. So nothing is written, moved or
held open for it, and what was learned cannot grow old.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pyarrow as pa

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp
from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.listing import Entry
from vulcan_cli.sync.contents import check_contents
from vulcan_cli.vacua.shard import Footer

MOST_BYTES = 4 << 20
"""A larger file waits for its turn: who stops a run waits for the look that is being taken."""

THREAD = "vulcan-ahead"
"""What the thread is called."""


class Lookahead:
    """Looks at entries of `pending/` in a thread."""

    def __init__(self, area: StagingArea) -> None:
        """Nothing is looked at yet."""
        self._area = area
        self._held = ExitStack()
        self._looks: list[Future[tuple[str, Footer] | None]] = []

    def begin(self, entries: Sequence[Entry]) -> None:
        """Look at these entries, and at no others any more."""
        self.end()
        if not entries:
            return
        with contextlib.suppress(NotSetUp, DiskTrouble), ExitStack() as stack:
            folder = stack.enter_context(self._area.folder("pending"))
            # One, as what is being sent needs the processor too.
            pool = stack.enter_context(ThreadPoolExecutor(1, THREAD))
            self._looks = [pool.submit(_look, folder, entry) for entry in entries]
            self._held = stack.pop_all()

    def end(self) -> dict[str, Footer]:
        """Look no further; waits for the one look that is being taken.

        Returns:
            SHA-256 of the shards that were seen to what each says of itself.
        """
        for look in self._looks:
            look.cancel()
        self._held.close()
        # What a look raised, the check raises again.
        ended = [look for look in self._looks if not look.cancelled() and not look.exception()]
        self._looks = []
        return dict(filter(None, (look.result() for look in ended)))


def _look(folder: Folder, entry: Entry) -> tuple[str, Footer] | None:
    """SHA-256 and footer of a small file that is a shard; None of anything else."""
    with contextlib.suppress(BadShard, OSError):
        fd = folder.open_regular(entry.name)
        try:
            data = os.pread(fd, MOST_BYTES + 1, 0)
        finally:
            os.close(fd)
        if len(data) <= MOST_BYTES:
            footer = check_contents(pa.BufferReader(data), len(data), entry.parquet)
            return hashlib.sha256(data).hexdigest(), footer
    return None
