"""The shards of a question, cut into splits: assignments, and the rows of each split."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import polars as pl

from vulcan_cli.dataset.catalog import Catalog, Progress, untold
from vulcan_cli.dataset.columns import under
from vulcan_cli.dataset.features import FeatureSpec
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.groups import torn_polytopes
from vulcan_cli.dataset.query import Query, query
from vulcan_cli.dataset.splits import Splits, assignments
from vulcan_cli.errors import BadShard
from vulcan_cli.vacua.schema import DTYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitView:
    """Rows that match some filters, split by geometry.

    Attributes:
        catalog: All shards.
        filters: Which rows.
        splits: How geometries are split.
        spec: How rows become features; None leaves them as `query` gives them.
        progress: Told, while rows are read, of how many shards, and of how many.
    """

    catalog: Catalog
    filters: Filters
    splits: Splits
    spec: FeatureSpec | None = None
    progress: Progress = untold
    _asked: list[Query] = field(default_factory=list)

    def assigned(self) -> pl.DataFrame:
        """One row per geometry with matching rows: `geometry_id`, `split`, `n_rows`."""
        return assignments(self.counted(), self.splits)

    def counted(self) -> pl.DataFrame:
        """Rows of the catalog with matching rows, `n_rows` saying how many; maybe one a geometry.

        Rows of files are looked at only where the filters say something of them.
        """
        answer = self._ask(self.catalog, ("geometry_id",))
        shards = answer.shards.rows
        if not self._looks_at_rows:
            return shards
        counted = answer.rows.group_by("geometry_id").agg(pl.len().alias("n_rows"))
        of_geometry = shards.drop("n_rows").unique("geometry_id", keep="first")
        return of_geometry.join(counted.collect(engine="streaming"), on="geometry_id")

    def torn(self) -> int:
        """How many polytopes have triangulations in more than one split."""
        shards = self.catalog.where(self.filters.on_shards()).rows
        return torn_polytopes(shards, self.splits.of_shards(shards))

    def rows(self, name: str) -> pl.LazyFrame:
        """The rows of one split, or its features, to be written as they come.

        Raises:
            UsageError: There is no such split, or no such feature.
        """
        self.splits.check_name(name)
        rows = self._rows_of(name, to_write=True)
        return rows if self.spec is None else self.spec.select(rows)

    def features(self, name: str) -> tuple[pl.DataFrame, dict[str, int]]:
        """The features of one split, and how many lists of each column are cut short.

        Raises:
            UsageError: As `rows`.
        """
        self.splits.check_name(name)
        return (self.spec or FeatureSpec()).collect(self._rows_of(name))

    def with_flags(self, name: str) -> tuple[pl.LazyFrame, list[str]]:
        """What `rows` gives, and behind it columns for `take_flags`.

        Raises:
            UsageError: As `rows`.
        """
        self.splits.check_name(name)
        rows = self._rows_of(name, to_write=True)
        return (rows, []) if self.spec is None else self.spec.with_flags(rows)

    @property
    def complex_features(self) -> frozenset[str]:
        """The features that are complex numbers."""
        if self.spec is None:
            return frozenset()
        return self.spec.complex_features({*self._columns, *DTYPES})

    def cut_short(self, name: str) -> dict[str, int]:
        """How many lists of each column are cut short in a split, where any are."""
        if self.spec is None or self.spec.list_max_len is None:
            return {}
        counts = self.spec.truncated(self._rows_of(name)).collect(engine="streaming")
        return {column.name: int(column.sum()) for column in counts if column.sum()}

    @property
    def needed(self) -> Filters:
        """The filters, with the columns that features are made of where those are named."""
        if self.spec is None:
            return self.filters
        if chosen := self.filters.columns:
            # Whoever chooses columns need not know that the geometry is kept beside them.
            kept = ("geometry_id",) if self.spec.keep_geometry_id else ()
            return replace(self.filters, columns=tuple(dict.fromkeys((*chosen, *kept))))
        if self.spec.features is None:
            return self.filters
        available = [*dict.fromkeys((*DTYPES, *sorted(self._columns)))]
        return replace(self.filters, columns=tuple(self.spec.sources(available)))

    @property
    def bad(self) -> tuple[BadShard, ...]:
        """Shards left out of what was read so far, each once."""
        every = {shard.path: shard for answer in self._asked for shard in answer.bad}
        return tuple(every.values())

    @property
    def _looks_at_rows(self) -> bool:
        return self.filters.on_rows(list(self._columns)) is not None

    @property
    def _columns(self) -> set[str]:
        return {name for schema in self.catalog.schemas for name in schema}

    def _rows_of(self, name: str, *, to_write: bool = False) -> pl.LazyFrame:
        """The rows of one split, with the columns and types that every split has."""
        everything = query(self.catalog, self.needed).rows.collect_schema()
        rows = self._matching(name, tuple(everything), to_write=to_write)
        held = rows.collect_schema()
        return rows.with_columns(
            under(pl.col(name), dtype) for name, dtype in everything.items() if held[name] != dtype
        )

    def _matching(self, name: str, columns: tuple[str, ...], *, to_write: bool) -> pl.LazyFrame:
        """The rows of one split that match the filters."""
        of_shard = self.splits.of_shards(self.catalog.rows)
        shards = self.catalog.where(pl.lit(of_shard == name))
        if not self.filters.looks_around:
            return self._ask(shards, columns, to_write=to_write).rows
        # What a row is compared with may be in another split.
        needed = tuple(dict.fromkeys((*columns, "geometry_id")))
        rows = self._ask(self.catalog, needed, to_write=to_write).rows
        ours = shards.rows["geometry_id"].unique()
        return rows.filter(pl.col("geometry_id").is_in(ours.implode())).select(columns)

    def _ask(self, catalog: Catalog, columns: tuple[str, ...], *, to_write: bool = False) -> Query:
        filters = replace(self.filters, columns=columns)
        answer = query(catalog, filters, progress=self.progress, to_write=to_write)
        self._asked.append(answer)
        return answer
