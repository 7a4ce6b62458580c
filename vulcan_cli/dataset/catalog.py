"""The catalog: one row per shard, from footers. A cache of what the folders hold, never the truth.

`Catalog.read` is a function of a listing, so a stored catalog can stand in for footers that were
read before.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from vulcan_cli.dataset.footers import FooterReader
from vulcan_cli.errors import BadShard
from vulcan_cli.vacua.geometry import KEYS

COLUMNS: dict[str, pl.DataType] = {
    "path_in_repo": pl.String(),
    "run_id": pl.String(),
    "geometry_id": pl.String(),
    **dict.fromkeys(KEYS, pl.Int64()),
    "n_rows": pl.Int64(),
    "schema_version": pl.Int64(),
    "digest": pl.String(),
    "bytes": pl.Int64(),
    "state": pl.String(),
    "file": pl.String(),
}
"""Columns of the catalog in their order: those of the peer's catalog, then ours."""

SCHEMA = "schema"
"""One further column: the number of the shard's schema in `Catalog.schemas`."""


@dataclass(frozen=True, slots=True)
class Source:
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
        rows: Columns `COLUMNS` and `SCHEMA`. `n_rows` is the file's own count, `bytes` its size,
            `digest` null where another program wrote the shard.
        schemas: The distinct schemas of the shards.
        bad: What should have been shards and are none, in the order of the listing.
    """

    rows: pl.DataFrame
    schemas: tuple[pl.Schema, ...] = ()
    bad: tuple[BadShard, ...] = ()

    @classmethod
    def read(cls, sources: Iterable[Source]) -> Self:
        """Read the footers of all sources.

        Of several sources of one path the first that is a shard counts. Nothing that is wrong
        with a file is raised: it is listed in `bad`.
        """
        reader = FooterReader()
        rows: dict[str, tuple[object, ...]] = {}
        bad: list[BadShard] = []
        for source in sources:
            if source.path_in_repo not in rows:
                try:
                    rows[source.path_in_repo] = _row(reader, source)
                except BadShard as error:
                    bad.append(error)
        columns = {**COLUMNS, SCHEMA: pl.UInt32()}
        ordered = [rows[path] for path in sorted(rows)]
        frame = pl.DataFrame(ordered, schema=columns, orient="row")
        return cls(frame, tuple(reader.schemas), tuple(bad))

    def where(self, condition: pl.Expr) -> Self:
        """The shards whose catalog rows meet a condition; schemas and bad shards are kept."""
        return type(self)(self.rows.filter(condition), self.schemas, self.bad)

    def with_columns(self, names: Set[str]) -> Self:
        """The shards that have all these columns."""
        if not names:
            return self
        having = [number for number, schema in enumerate(self.schemas) if names <= schema.keys()]
        return self.where(pl.col(SCHEMA).is_in(pl.Series(having, dtype=pl.UInt32).implode()))

    def examples(self) -> dict[str, pl.Schema]:
        """For each schema among these shards the first shard that has it, by path in the repo."""
        first = self.rows.unique(SCHEMA, keep="first", maintain_order=True)
        return {
            path: self.schemas[number]
            for path, number in first.select("path_in_repo", SCHEMA).iter_rows()
        }


def _row(reader: FooterReader, source: Source) -> tuple[object, ...]:
    seen = reader.read(source.file)
    footer = seen.footer
    geometry = footer.geometry
    if footer.path_in_repo != source.path_in_repo:
        raise BadShard(source.file, f"its footer says that it is {footer.path_in_repo}")
    return (
        source.path_in_repo,
        footer.run_id,
        geometry.geometry_id,
        *(getattr(geometry, key) for key in KEYS),
        seen.n_rows,
        footer.schema_version,
        footer.digest,
        seen.size,
        source.state,
        str(source.file),
        seen.schema,
    )
