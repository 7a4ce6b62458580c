"""Shards kept in memory, so that a second lookup opens no file.

Several threads may use one memory. It has no lock: a process may be forked while one is held.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl

from vulcan_cli.arguments import integer
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.columns import under
from vulcan_cli.errors import BadShard, UsageError

_Key = TypeVar("_Key", bound=Hashable)
_Kept = TypeVar("_Kept")

MOST_BYTES = 32 * 1024 * 1024
"""Bytes of files that a memory holds at most; their rows take about four times as much."""


class Memory:
    """The shards that were used last, which never change, and the answers that were given last."""

    def __init__(self, size: int) -> None:
        """Begin with nothing.

        Args:
            size: How many shards to keep; 0 keeps none.

        Raises:
            UsageError: It is negative, or no integer.
        """
        if integer("cache_size", size) < 0:
            raise UsageError(f"cache_size must be at least 0, not {size}")
        self._size = size
        self._held: OrderedDict[str, tuple[pl.DataFrame, int]] = OrderedDict()
        self._answers: OrderedDict[Hashable, pl.DataFrame] = OrderedDict()

    def emptied(self) -> Memory:
        """Another that keeps as much, and begins with nothing."""
        return Memory(self._size)

    def get(self, path_in_repo: str) -> pl.DataFrame | None:
        """All rows of a shard that is in memory; do not change them in place."""
        held = _used(self._held, path_in_repo)
        return None if held is None else held[0]

    def load(self, path_in_repo: str, file: Path, n_bytes: int) -> pl.DataFrame:
        """All rows of a shard; do not change them in place.

        Args:
            path_in_repo: Its name.
            file: Where it is read from, if it is not in memory.
            n_bytes: The size of that file.

        Raises:
            OSError, pl.exceptions.PolarsError: The file cannot be read.
        """
        held = self.get(path_in_repo)
        if held is not None:
            return held
        rows = pl.read_parquet(file, glob=False, hive_partitioning=False)
        if n_bytes <= MOST_BYTES and self._size > 0:
            self._held[path_in_repo] = rows, n_bytes
        while len(self._held) > self._size or self._n_bytes() > MOST_BYTES:
            _push_out(self._held)
        return rows

    def rows(self, shards: Catalog, schema: pl.Schema) -> pl.LazyFrame | None:
        """All rows of the shards under one schema; None where they do not fit, or one is bad."""
        paths = shards.rows["path_in_repo"].to_list()
        if len(paths) > self._size or shards.rows["bytes"].sum() > MOST_BYTES:
            return None
        # Loading one may push out another, so what is wanted is held from here on.
        found = {path: rows for path in paths if (rows := self.get(path)) is not None}
        missing = [path for path in paths if path not in found]
        try:
            if missing:
                found |= self._load_all(shards.where(pl.col("path_in_repo").is_in(missing)))
            parts = [_under(found[path], schema) for path in paths]
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, BadShard):
            return None
        return (pl.concat(parts) if parts else pl.DataFrame(schema=schema)).lazy()

    def recall(self, question: Hashable) -> pl.DataFrame | None:
        """The answer to a question that was asked before; do not change it in place."""
        return _used(self._answers, question)

    def remembering(self) -> Callable[[Hashable, pl.DataFrame], None]:
        """What keeps an answer that is not large, unless answers are forgotten before it comes."""
        return partial(self._remember, self._answers)

    def _remember(
        self, answers: OrderedDict[Hashable, pl.DataFrame], question: Hashable, answer: pl.DataFrame
    ) -> None:
        if answer.estimated_size() * max(self._size, 1) > 2 * MOST_BYTES:
            return
        answers[question] = answer
        while len(answers) > self._size:
            _push_out(answers)

    def _n_bytes(self) -> int:
        """Bytes of all files held; counted anew, as two threads may load one file at once."""
        return sum(n_bytes for _, n_bytes in list(self._held.values()))

    def _load_all(self, shards: Catalog) -> dict[str, pl.DataFrame]:
        """Load shards; those that are away are brought together.

        Raises:
            BadShard: One of them is none.
        """
        told = shards.rows.select("path_in_repo", "bytes").iter_rows()
        loaded = {}
        for file, (path, n_bytes) in zip(shards.files(), told, strict=True):
            if isinstance(file, BadShard):
                raise file
            loaded[path] = self.load(path, file, n_bytes)
        return loaded

    def clear(self) -> None:
        """Forget everything."""
        self.forget_answers()
        self._held.clear()

    def forget_answers(self) -> None:
        """Keep the shards alone: there may be others."""
        # Not emptied: who works on an answer meanwhile may still put it into the old one.
        self._answers = OrderedDict()


def _used(kept: OrderedDict[_Key, _Kept], key: _Key) -> _Kept | None:
    """What is kept under a key, now the last to be pushed out; None where there is none."""
    found = kept.get(key)
    # Another thread may have pushed it out meanwhile.
    with suppress(KeyError):
        kept.move_to_end(key)
    return found


def _push_out(kept: OrderedDict[_Key, _Kept]) -> None:
    """Forget what was not used for longest."""
    # Another thread may have emptied it meanwhile.
    with suppress(KeyError):
        kept.popitem(last=False)


def _under(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The rows with the columns of a schema; those that they lack are null."""
    # Faster than to compare schemas, of which one must be made.
    if rows.columns == list(schema) and rows.dtypes == list(schema.values()):
        return rows
    held = set(rows.columns)
    # By name, as Polars makes up one for a series whose name is empty.
    return pl.DataFrame(
        {
            name: under(rows[name], dtype)
            if name in held
            else pl.repeat(None, rows.height, dtype=dtype, eager=True)
            for name, dtype in schema.items()
        }
    )
