"""Rows of a lazy frame in batches: all of them, or an error."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event, Semaphore, Thread

import polars as pl

# Batches that wait while the one before is used.
_AHEAD = 2


def in_batches(rows: pl.LazyFrame, n_rows: int) -> Iterator[pl.DataFrame]:
    """Batches of so many rows, in order, as they are read.

    `collect_batches` of Polars 2.1 ends as if all rows had come where Ctrl-C stops it; a sink
    raises KeyboardInterrupt, so a thread runs one.

    Args:
        rows: The rows.
        n_rows: The rows of a batch; the engine may make some smaller.

    Raises:
        Exception: Whatever reading raises, also KeyboardInterrupt.
    """
    sink = _Sink()
    Thread(target=sink.run, args=(rows, n_rows), daemon=True).start()
    try:
        while isinstance(batch := sink.coming.get(), pl.DataFrame):
            yield batch
            sink.room.release()
    finally:
        sink.stopped.set()
        sink.room.release()
    if batch is not None:
        raise batch


class _Sink:
    """Hands batches over to another thread, and at the end what went wrong, or None."""

    def __init__(self) -> None:
        self.coming: SimpleQueue[pl.DataFrame | BaseException | None] = SimpleQueue()
        self.room = Semaphore(_AHEAD)
        self.stopped = Event()

    def run(self, rows: pl.LazyFrame, n_rows: int) -> None:
        """Read everything; never raises."""
        ended: BaseException | None = None
        try:
            rows.sink_batches(self._take, chunk_size=n_rows, engine="streaming")
        except BaseException as error:
            ended = error
        self.coming.put(ended)

    def _take(self, batch: pl.DataFrame) -> bool:
        self.room.acquire()
        self.coming.put(batch)
        return self.stopped.is_set()
