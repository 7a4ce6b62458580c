"""The catalog: one row per shard, from footers. A cache of what the folders hold, never the truth.

`Catalog.read` is a function of a listing, so a stored catalog can stand in for footers that were
read before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

import polars as pl

from vulcan_cli.dataset.away import Away
from vulcan_cli.dataset.footers import MEASURED, FooterReader, Seen
from vulcan_cli.dataset.ranges import Wanted
from vulcan_cli.dataset.trust import readable
from vulcan_cli.errors import BadShard
from vulcan_cli.vacua.geometry import KEYS

Progress = Callable[[int, int], None]
"""Told how many are done, of footers, shards or parts, and of how many; 0 where it begins."""


def untold(_done: int, _total: int) -> None:
    """Progress that nobody looks at."""


COLUMNS: dict[str, pl.DataType] = {
    "path_in_repo": pl.String(),
    "run_id": pl.String(),
    "geometry_id": pl.String(),
    **dict.fromkeys(KEYS, pl.Int64()),
    "n_rows": pl.Int64(),
    "schema_version": pl.Int64(),
    "digest": pl.String(),
    "bytes": pl.Int64(),
    "sha256": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "state": pl.String(),
    "file": pl.String(),
    **{f"{end}_{name}": pl.Float64() for name in MEASURED for end in ("min", "max")},
}
"""Columns of the catalog in their order: those of the peer's catalog, then ours.

`digest` is null where another program wrote the shard, `sha256` where the ledger does not know the
shard. `time` is when the file was written. `min_` and `max_` bound the values of a column that are
neither null nor NaN, true as 1; null where nothing is known of them. `file` is a path, or
`<away>:<path in the repo>` for a shard that is to be brought from one of `Catalog.away`.
"""

SCHEMA = "schema"
"""One further column: the number of the shard's schema in `Catalog.schemas`."""

_EVERY = pl.lit(value=True)

# What a footer of ours takes, about.
_FOOTER_BYTES = 8_192


class Source(NamedTuple):
    """Where one shard is found.

    Attributes:
        path_in_repo: Its path in the repo, which its footer must confirm.
        file: The file to read.
        state: `pending`, `synced`, `failed`, or `repo`.
    """

    path_in_repo: str
    file: Path
    state: str


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """One row per shard, in the order of paths in the repo.

    Attributes:
        rows: Columns `COLUMNS` and `SCHEMA`. `n_rows` is the file's own count, `bytes` its size.
        schemas: The distinct schemas of the shards.
        bad: What should have been shards and are none, in the order of the listing.
        away: Where shards are that are not here, by name.
    """

    rows: pl.DataFrame
    schemas: tuple[pl.Schema, ...] = ()
    bad: tuple[BadShard, ...] = ()
    away: Mapping[str, Away] = field(default_factory=dict)

    @classmethod
    def read(cls, sources: Iterable[Source], progress: Progress = untold) -> Self:
        """Read the footers of all sources.

        Of several sources of one path the first that is a shard counts. Nothing that is wrong
        with a file is raised: it is listed in `bad`.

        Args:
            sources: The shards.
            progress: Told of footers read.
        """
        reader = FooterReader()
        rows: dict[str, tuple[object, ...]] = {}
        bad: list[BadShard] = []
        listed = list(sources)
        found = reader.read_all([source.file for source in listed])
        for done, (source, seen) in enumerate(zip(listed, found, strict=True), start=1):
            progress(done, len(listed))
            if isinstance(seen, BadShard):
                bad.append(seen)
            elif source.path_in_repo not in rows:
                try:
                    rows[source.path_in_repo] = row_of(seen, source, str(source.file))
                except BadShard as error:
                    bad.append(error)
        frame = frame_of([rows[path] for path in sorted(rows)])
        return cls(frame, tuple(reader.schemas), tuple(bad))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several catalogs as one; of several rows of one path the first counts."""
        schemas: list[pl.Schema] = []
        frames = []
        for part in parts:
            schemas += [schema for schema in part.schemas if schema not in schemas]
            numbers = pl.Series([schemas.index(schema) for schema in part.schemas], dtype=pl.UInt32)
            frames.append(part.rows.with_columns(numbers.gather(part.rows[SCHEMA]).alias(SCHEMA)))
        rows = pl.concat(frames) if frames else frame_of([])
        if len(frames) > 1:
            rows = rows.unique("path_in_repo", keep="first", maintain_order=True)
            rows = rows.sort("path_in_repo")
        away = {name: each for part in parts for name, each in part.away.items()}
        return cls(rows, tuple(schemas), tuple(bad for part in parts for bad in part.bad), away)

    @property
    def row_bytes(self) -> int:
        """Bytes that a row takes in its file, on average and without the footers."""
        n_rows = int(self.rows["n_rows"].sum())
        values = (self.rows["bytes"] - _FOOTER_BYTES).clip(lower_bound=0)
        return int(values.sum()) // max(1, n_rows)

    def where(self, condition: pl.Expr) -> Self:
        """The shards whose catalog rows meet a condition; schemas and bad shards are kept."""
        # Polars would take 0.1 ms to filter by it.
        if condition.meta.eq(_EVERY):
            return self
        return replace(self, rows=self.rows.filter(condition))

    def already_read(self) -> Self:
        """The shards whose footers were read; of others only path, bytes and SHA-256 are known."""
        return self.where(pl.col("n_rows").is_not_null())

    def with_columns(self, names: Set[str]) -> Self:
        """The shards that have all these columns."""
        having = [number for number, schema in enumerate(self.schemas) if names <= schema.keys()]
        if len(having) == len(self.schemas):
            return self
        return self.where(pl.col(SCHEMA).is_in(pl.Series(having, dtype=pl.UInt32).implode()))

    def files(self, wanted: Wanted | None = None) -> list[Path | BadShard]:
        """A local file for each row; those that are away are brought.

        What came and is not what the catalog says is a `BadShard` in its place; so is what stands
        here and must not be given to a reader that trusts its bytes, see `trust.readable`.

        Args:
            wanted: What of a large shard that is away is enough; None for whole files.

        Raises:
            VulcanError: What is away cannot be reached.
        """
        found: list[Path | BadShard | None] = [None] * self.rows.height
        of_away: dict[str, list[int]] = {}
        told = self.rows.select("path_in_repo", "file", "state", "sha256").iter_rows()
        for number, (path, file, state, sha256) in enumerate(told):
            name = file[: -len(path) - 1]
            if name in self.away:
                of_away.setdefault(name, []).append(number)
            else:
                found[number] = readable(Path(file), state, sha256)
        for name, numbers in of_away.items():
            brought = self.away[name].bring(self.rows[numbers], wanted)
            for number, file in zip(numbers, brought, strict=True):
                found[number] = file
        return [file for file in found if file is not None]

    def examples(self) -> dict[str, pl.Schema]:
        """For each schema among these shards the first shard that has it, by path in the repo."""
        # For few shards this is faster than a query of Polars, for 100,000 it takes 5 ms.
        first: dict[int, int] = {}
        for row, number in enumerate(self.rows[SCHEMA].to_list()):
            first.setdefault(number, row)
        paths = self.rows["path_in_repo"]
        return {paths[row]: self.schemas[number] for number, row in first.items()}


def frame_of(rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    """Rows that `row_of` made as a frame; a column at a time, which is faster."""
    types = {**COLUMNS, SCHEMA: pl.UInt32()}
    columns = zip(*rows, strict=True) if rows else ([] for _ in types)
    return pl.DataFrame(
        [
            _series(name, values, dtype)
            for (name, dtype), values in zip(types.items(), columns, strict=True)
        ]
    )


def _series(name: str, values: Iterable[object], dtype: pl.DataType) -> pl.Series:
    stored = pl.Int64() if dtype.is_temporal() else dtype
    return pl.Series(name, values, dtype=stored).cast(dtype)


def row_of(seen: Seen, source: Source, file: str, sha256: str | None = None) -> tuple[object, ...]:
    """A row of a catalog, with `SCHEMA` last.

    Args:
        seen: What the shard says of itself.
        source: Where it was found.
        file: The column of this name.
        sha256: The column of this name.

    Raises:
        BadShard: It says that it is another than what it was found as.
    """
    said = seen.said
    if said.path_in_repo != source.path_in_repo:
        raise BadShard(source.file, f"its footer says that it is {said.path_in_repo}")
    return (
        source.path_in_repo,
        said.run_id,
        said.geometry_id,
        *said.keys,
        seen.n_rows,
        said.schema_version,
        said.digest,
        seen.size,
        sha256,
        seen.mtime_ns // 1000,
        source.state,
        file,
        *seen.bounds,
        seen.schema,
    )
