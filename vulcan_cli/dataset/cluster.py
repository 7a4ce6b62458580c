"""A query on many machines: a Dask cluster that is there already reads slices of the shards.

Each task runs the same scan on its slice and writes one part file into a folder that all machines
share. A task that dies with its worker is run again by the scheduler: it writes the same file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import polars as pl

from vulcan_cli.dataset.catalog import Catalog, Progress, untold
from vulcan_cli.dataset.columns import under
from vulcan_cli.dataset.export import write_file
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query
from vulcan_cli.errors import BadShard, DiskTrouble, TryLater, UsageError
from vulcan_cli.extras import require
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.paths import is_vacant, new_folder

PARTS_PER_THREAD = 4
"""Slices for each thread of the cluster, so that a slow one holds up little."""

_ROWS_IN_A_PART = 1_000_000
_RETRIES = 3
_PATIENCE_S = 30

# Dask has types for a part of what it does.
_Client = Any

_Result = TypeVar("_Result")


class Spread(NamedTuple):
    """What came of a query on a cluster.

    Attributes:
        files: Names of the part files, in the order of their rows.
        n_rows: Rows in all of them.
        not_finite: NaN and infinite values that the format cannot hold: null stands there.
        bad: Shards left out.
    """

    files: tuple[str, ...]
    n_rows: int
    not_finite: int
    bad: tuple[BadShard, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """One task of a query: what a worker needs to know."""

    catalog: Catalog
    filters: Filters
    schema: pl.Schema
    file: Path
    file_format: str

    def __call__(self) -> tuple[int, int, list[tuple[str, str]]]:
        """What runs on a worker: rows, values that became null, shards left out."""
        answer = query(self.catalog, self.filters, to_write=True)
        held = answer.rows.collect_schema()
        rows = answer.rows.select(
            under(pl.col(name) if name in held else pl.lit(None), dtype).alias(name)
            for name, dtype in self.schema.items()
        )
        width = answer.shards.row_bytes
        written = write_file(rows, self.file, self.file_format, row_bytes=width)
        return written.n_rows, written.not_finite, told(answer.bad)


def query_on_cluster(
    scheduler: str,
    catalog: Catalog,
    filters: Filters,
    folder: Path,
    *,
    file_format: str = "parquet",
    progress: Progress = untold,
) -> Spread:
    """Write the rows that meet the filters as part files.

    Args:
        scheduler: The address of a Dask scheduler, such as `tcp://10.0.0.1:8786`.
        catalog: The shards there are; their files stand where all workers find them.
        filters: Which rows.
        folder: Where all workers may write; absent or empty. It appears whole or not at all.
        file_format: As for `write_file`.
        progress: Told how many parts are done, and of how many.

    Raises:
        UsageError: The filters sort or limit, or a shard stands in a repo, or the folder holds
            something, or what `query` says.
        NotSetUp: Dask is not installed.
        TryLater: The scheduler does not answer, has no workers, or lost a part for good.
        DiskTrouble: The folder cannot be written.
    """
    if filters.sort or filters.limit is not None:
        raise UsageError("sorting and limiting need one machine; leave them out")
    answer = query(catalog, filters)
    check_for_slices(filters)
    schema = answer.rows.collect_schema()

    def parts(making: Path, wanted: int) -> list[_Part]:
        slices = slices_of(answer.shards, wanted)
        names = (f"part-{n:05}-of-{len(slices):05}.{file_format}" for n in range(len(slices)))
        return [
            _Part(part, filters, schema, making / name, file_format)
            for part, name in zip(slices, names, strict=True)
        ]

    with making_on(scheduler, answer.shards, folder) as (cluster, making):
        tasks = parts(making, cluster.wanted)
        done = cluster.run(tasks, progress)
    return Spread(
        tuple(task.file.name for task in tasks),
        sum(rows for rows, _, _ in done),
        sum(lost for _, lost, _ in done),
        (*answer.shards.bad, *(bad for _, _, left in done for bad in as_bad(left))),
    )


def check_for_slices(filters: Filters) -> None:
    """Make sure that rows of a slice are those of the whole.

    Raises:
        UsageError: A condition compares rows with others, which may be in another slice.
    """
    if filters.looks_around:
        raise UsageError("a condition on all rows, such as max, needs one machine; leave it out")


def told(bad: Iterable[BadShard]) -> list[tuple[str, str]]:
    """Shards that were left out, as they travel."""
    return [(str(each.path), each.reason) for each in bad]


def as_bad(left_out: Iterable[tuple[str, str]]) -> list[BadShard]:
    """What `told` told."""
    return [BadShard(Path(path), reason) for path, reason in left_out]


def slices_of(shards: Catalog, wanted: int) -> list[Catalog]:
    """Consecutive shards, of about as many rows each; at least one slice, if only for its types."""
    rows = shards.rows
    total = int(rows["n_rows"].sum())
    count = max(1, min(rows.height, max(wanted, -(-total // _ROWS_IN_A_PART))))
    before = rows["n_rows"].cum_sum() - rows["n_rows"]
    number = (before * count // max(1, total)).clip(0, count - 1).alias("slice")
    parts = rows.with_columns(number).partition_by("slice", maintain_order=True, include_key=False)
    # What was bad in the catalog is told once, not by every worker.
    return [replace(shards, rows=part, bad=()) for part in parts or [rows]]


class Cluster:
    """A connection to a Dask cluster.

    Attributes:
        wanted: Into how many parts a question is best cut.
    """

    def __init__(self, client: _Client, wanted: int) -> None:
        """Bind a client of Dask's."""
        self.wanted = wanted
        self._client = client

    def run(self, tasks: Sequence[Callable[[], _Result]], progress: Progress) -> list[_Result]:
        """What each task returns, in their order; a task runs again where its worker died.

        Raises:
            TryLater: The cluster lost every worker that tried a task.
        """
        import distributed  # noqa: PLC0415

        as_completed: Callable[..., Iterable[object]] = distributed.as_completed
        # Not pure: the same question asked again is to write its files again.
        futures = self._client.map(_call, tasks, retries=_RETRIES, pure=False)
        try:
            with self._client.as_current():
                for number, _ in enumerate(as_completed(futures), 1):
                    progress(number, len(tasks))
            return list(self._client.gather(futures))
        except distributed.KilledWorker as error:
            raise TryLater(f"the cluster lost every worker that tried a part: {error}") from error
        finally:
            self._client.cancel(futures)


def _call(task: Callable[[], _Result]) -> _Result:
    return task()


@contextmanager
def making_on(scheduler: str, shards: Catalog, folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """A cluster, and a hidden folder that gets its name when the block ends well.

    Raises:
        UsageError, NotSetUp, TryLater, DiskTrouble: As `query_on_cluster`.
    """
    if shards.away:
        raise UsageError("a cluster reads shards in folders that it shares; these are in a repo")
    # A rename replaces no link to a folder.
    folder = Path(os.path.realpath(folder))
    if not is_vacant(folder):
        raise UsageError(f"{folder} is there and not empty; part files go to a new or empty folder")
    with _making(folder) as making, _connected(scheduler) as client:
        yield Cluster(client, PARTS_PER_THREAD * _threads_of(client, scheduler)), making


@contextmanager
def _connected(scheduler: str) -> Iterator[_Client]:
    require("distributed", "dask")
    import distributed  # noqa: PLC0415

    try:
        make: Callable[..., _Client] = distributed.Client
        client = make(scheduler, timeout=_PATIENCE_S, set_as_default=False)
    except ValueError as error:
        raise UsageError(f"{scheduler!r} is no address of a scheduler: {error}") from error
    except OSError as error:
        raise TryLater(f"the scheduler {scheduler} does not answer") from error
    try:
        yield client
    finally:
        client.close()


def _threads_of(client: _Client, scheduler: str) -> int:
    workers: dict[str, int] = client.nthreads()
    if not workers:
        raise TryLater(f"the scheduler {scheduler} has no workers")
    return sum(workers.values())


@contextmanager
def _making(folder: Path) -> Iterator[Path]:
    """As `new_folder`, for files that workers write."""
    try:
        with new_folder(folder) as making:
            yield making
            with Folder.open(making) as made:
                # A worker that was killed left what it had begun.
                for name in [entry.name for entry in made.scan() if entry.name.startswith(".")]:
                    made.discard(name)
    except OSError as error:
        raise DiskTrouble(folder, error) from error
