"""Reading published shards from Python, with the method names of the peer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from vulcan_cli import arguments
from vulcan_cli.arguments import integer, text, texts, truth
from vulcan_cli.dataset import DEFAULT_CACHE_SIZE
from vulcan_cli.dataset.catalog import COLUMNS, Catalog
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.memory import Memory
from vulcan_cli.dataset.query import query
from vulcan_cli.dataset.sources import Found, locate, open_as_set
from vulcan_cli.errors import BadShard, UsageError
from vulcan_cli.forks import check_threads
from vulcan_cli.hub.repo import MAIN
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.vacua.geometry import KEYS
from vulcan_cli.vacua.secrets import scrub

CATALOG_COLUMNS = tuple(COLUMNS)[: list(COLUMNS).index("schema_version") + 1]
"""What `VulcanReader.catalog` shows: the peer's columns."""

_T = TypeVar("_T")


class VulcanReader:
    """Reads the shards of a staging directory or of a repo, for as many threads as share it.

    The catalog is read once and kept; `catalog(refresh=True)` reads it anew. Where it is pickled,
    for another process, what was read stays behind, and so does `token`: that process reads by
    itself, with the token of its own environment or login.

    Attributes:
        revision: What of the repo is read; None for a staging directory.
    """

    def __init__(
        self,
        *,
        source: Callable[[], Found],
        cache_size: int = DEFAULT_CACHE_SIZE,
        revision: str | None = None,
        described: str | None = None,
    ) -> None:
        """Bind a reader; nothing is read yet.

        Args:
            source: Finds the shards.
            cache_size: How many shards to keep in memory; 0 keeps none.
            revision: What of the repo is read.
            described: The expression that `repr` shows; None for one that names the source.

        Raises:
            UsageError: `cache_size` is negative or no integer (a ValueError).
        """
        self.revision = revision
        self._source = source
        self._described = described
        self._catalog: Catalog | None = None
        self._memory = Memory(cache_size)

    @classmethod
    def from_local(
        cls, staging_dir: Path | str, *, cache_size: int = DEFAULT_CACHE_SIZE
    ) -> VulcanReader:
        """A reader of what is synced in a staging directory."""
        root = Path(staging_dir).absolute()
        return cls(
            source=partial(locate, StagingArea(root), (), "synced"),
            cache_size=cache_size,
            described=f"VulcanReader.from_local({str(root)!r})",
        )

    @classmethod
    def from_hf(
        cls,
        repo: Path | str,
        *,
        revision: str | None = None,
        cache_size: int = DEFAULT_CACHE_SIZE,
        token: str | None = None,
    ) -> VulcanReader:
        """A reader of a repo, on the Hub or a folder.

        Args:
            repo: The repo, as `owner/name`, `file:///folder` or a path.
            revision: The branch or commit.
            cache_size: How many shards to keep in memory; 0 keeps none.
            token: Instead of what the environment or the login says.

        Raises:
            UsageError: The repo or the revision cannot be, or `cache_size` is negative (a
                ValueError).
            TokenUnfit: What should hold the token holds none, or others can read it.
        """
        asked = MAIN if revision is None else text("revision", revision)
        source = _OfRepo(arguments.repo(repo), asked or MAIN, token)
        return cls(
            source=source,
            cache_size=cache_size,
            revision=revision,
            described=f"VulcanReader.from_hf({source.name!r}, revision={revision or MAIN!r})",
        )

    def __repr__(self) -> str:
        kind = type(self._source).__name__
        named = f"VulcanReader(source={getattr(self._source, '__qualname__', kind)})"
        return scrub(self._described or named)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_catalog": None, "_memory": self._memory.emptied()}

    def catalog(self, *, refresh: bool = False, strict: bool = False) -> pl.DataFrame:
        """One row per shard, with the columns of the peer's catalog.

        Args:
            refresh: Look again at what is there.
            strict: Raise for the first file that is no shard, instead of leaving it out.

        Raises:
            BadShard: Only where `strict`.
        """
        found = self.shards(refresh=refresh)
        if strict and found.bad:
            raise found.bad[0]
        return found.rows.select(CATALOG_COLUMNS)

    def query(
        self,
        *,
        run_id: str | None = None,
        geometry_id: str | None = None,
        h11: int | None = None,
        h12: int | None = None,
        ks_id: int | None = None,
        triang_id: int | None = None,
        solver_name: str | None = None,
        is_susy: bool | None = None,
        is_isd: bool | None = None,
        columns: Iterable[str] | None = None,
        **more: Any,  # noqa: ANN401 (checked by Filters)
    ) -> pl.DataFrame:
        """The rows that match all of these.

        Rows of a shard that lacks a column asked for do not match.

        Args:
            run_id: The run.
            geometry_id: The geometry.
            h11: This key of the geometry.
            h12: This key of the geometry.
            ks_id: This key of the geometry.
            triang_id: This key of the geometry.
            solver_name: What the rows say.
            is_susy: What the rows say.
            is_isd: What the rows say.
            columns: Columns of the result.
            more: `conifold_id`, `cicy_id`, and further fields of `Filters`, such as `where`.

        Raises:
            TypeError: There is no such filter.
            UsageError: A value is of another kind, or there is no such column.
        """
        filters = filters_of(
            run_id=run_id,
            geometry_id=geometry_id,
            h11=h11,
            h12=h12,
            ks_id=ks_id,
            triang_id=triang_id,
            solver_name=solver_name,
            is_susy=is_susy,
            is_isd=is_isd,
            columns=columns,
            **more,
        )
        # What is kept needs no threads, so a process may be forked after it was asked.
        answer = self._memory.recall(filters)
        if answer is None:
            catalog = self.shards()
            remember = self._memory.remembering()
            # Whoever reads the catalog anew from here on makes the memory forget what we keep.
            is_last = catalog is self._catalog
            found = query(catalog, filters, memory=self._memory)
            answer = found.rows.collect(engine="streaming")
            if is_last and found.bad == catalog.bad:
                remember(filters, answer)
        # A clone shares the cells, but columns that the caller adds or drops are its own.
        return answer.clone()

    def fetch_run(self, run_id: str) -> pl.DataFrame:
        """All rows of a run; empty where there is none."""
        return self.query(run_id=run_id)

    def fetch_shard(self, path_in_repo: str) -> pl.DataFrame:
        """All rows of one shard.

        Raises:
            FileNotFoundError: There is no such shard.
        """
        rows = self._memory.get(path_in_repo)
        if rows is None:
            shard = self.shards().where(pl.col("path_in_repo") == path_in_repo)
            if shard.rows.is_empty():
                raise FileNotFoundError(f"there is no shard {path_in_repo}")
            (file,) = shard.files()
            if isinstance(file, BadShard):
                raise file
            rows = self._memory.load(path_in_repo, file, shard.rows["bytes"][0])
        # A clone shares the cells, but columns that the caller adds or drops are its own.
        return rows.clone()

    def read_columns(self, path_in_repo: str, columns: Iterable[str]) -> pl.DataFrame:
        """Some columns of one shard, without those that it lacks.

        Raises:
            FileNotFoundError: There is no such shard.
        """
        rows = self.fetch_shard(path_in_repo)
        # Polars would take a name in `select` for a pattern.
        wanted = dict.fromkeys(texts("columns", columns))
        return rows[[name for name in wanted if name in rows.columns]]

    def clear_cache(self) -> None:
        """Forget the catalog and all shards kept in memory."""
        self._memory.clear()
        self._catalog = None

    @property
    def bad(self) -> tuple[BadShard, ...]:
        """Files left out because they are no shards."""
        return self.shards().bad

    def shards(self, *, refresh: bool = False) -> Catalog:
        """The whole catalog, with schemas and bad files; read at the first call, then kept.

        Raises:
            UsageError: This process was forked after Polars had begun threads, for which it would
                wait for ever (a ValueError).
        """
        check_threads()
        # Held from here on: another thread may clear the cache.
        catalog = self._catalog
        if catalog is None or refresh:
            catalog = self._catalog = self._source().catalog
            self._memory.forget_answers()
        return catalog


class _OfRepo:
    """Finds the shards of a repo, which another process opens again, with a token of its own."""

    def __init__(self, repo: str, revision: str, token: str | None = None) -> None:
        self._repo = open_as_set(repo, token)
        self._revision = revision

    @property
    def name(self) -> str:
        """The repo, as people write it."""
        return self._repo.name

    def __call__(self) -> Found:
        return locate(None, [self._repo], "repo", revision=self._revision)

    def __deepcopy__(self, _: object) -> _OfRepo:
        return self

    def __reduce__(self) -> tuple[type[_OfRepo], tuple[str, str]]:
        return _OfRepo, (self._repo.name, self._revision)


def filters_of(
    columns: Iterable[str] | None = None,
    **asked: Any,  # noqa: ANN401 (checked here and by Filters)
) -> Filters:
    """The filters that keywords of the peer's kind stand for: one value each.

    Raises:
        TypeError: There is no such filter.
        UsageError: A value is of another kind.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if columns is not None:
        given["columns"] = columns
    for name in asked.keys() - _READERS.keys():
        raise TypeError(f"there is no filter {name!r}: choose from {', '.join(_READERS)}")
    return Filters(**{name: _READERS[name](name, value) for name, value in given.items()})


def _key(name: str, value: object) -> tuple[range, ...]:
    whole = _one(name, value, integer, int)
    return (range(whole, whole + 1),)


def _name(name: str, value: object) -> tuple[str, ...]:
    return (_one(name, value, text, str),)


def _one(name: str, value: object, read: Callable[[str, object], _T], kind: type[_T]) -> _T:
    """A value; of several the error tells the condition that takes them."""
    try:
        return read(name, value)
    except UsageError as error:
        several = value if isinstance(value, list | tuple) else ()
        if not several or not all(isinstance(each, kind) for each in several):
            raise
        condition = f"{name} IN ({', '.join(map(repr, several))})"
        raise UsageError(f"{error}: where={condition!r} takes several") from None


_READERS: Mapping[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(("run_id", "geometry_id"), _name),
    **dict.fromkeys(KEYS, _key),
    "solver_name": _name,
    **dict.fromkeys(("is_susy", "is_isd"), truth),
    **dict.fromkeys(("where", "columns", "sort"), texts),
    "limit": integer,
}
"""How each filter is read from what a program gives."""
