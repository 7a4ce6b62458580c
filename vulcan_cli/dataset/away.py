"""Shards that are not here: brought from a repo when somebody reads them, and held to the catalog.

What was brought once stays on this machine, so that it is asked for once.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import polars as pl

from vulcan_cli.dataset.footers import FooterReader, Seen
from vulcan_cli.dataset.parts import Parts
from vulcan_cli.dataset.ranges import Listed, Wanted
from vulcan_cli.dataset.trust import Sound, check_unless_ours
from vulcan_cli.errors import BadShard, TryLater
from vulcan_cli.hub.repo import Repo
from vulcan_cli.vacua.geometry import KEYS

AT_ONCE = 8
"""Files that are brought at the same time."""


SMALLEST_IN_PARTS = 4 << 20
"""Shards of fewer bytes are always brought whole."""


class Away:
    """The shards of a repo at one commit.

    Attributes:
        repo: The repo.
        commit: The id of the commit.
        is_cached: Only what is on this machine can be read, as it was last seen.
    """

    def __init__(self, repo: Repo, commit: str, *, is_cached: bool = False) -> None:
        """Bind; nothing is asked.

        Args:
            repo: The repo.
            commit: The id of the commit.
            is_cached: Only what is on this machine can be read, as it was last seen.
        """
        self.repo = repo
        self.commit = commit
        self.is_cached = is_cached
        self._sound = Sound(repo.notes)

    @property
    def name(self) -> str:
        """What the column `file` of the catalog begins with."""
        return f"{self.repo.name}@{self.commit}"

    def file_of(self, path_in_repo: str) -> str:
        """The column `file` of a shard."""
        return f"{self.name}:{path_in_repo}"

    def bring(self, shards: pl.DataFrame, wanted: Wanted | None = None) -> list[Path | BadShard]:
        """A local file for each of some rows of the catalog, or why there is none.

        Args:
            shards: The rows.
            wanted: What of large shards is enough; None for whole files.

        Raises:
            VulcanError: The repo cannot be read, or no longer has one of them.
        """
        rows = [_Row(*row) for row in shards.select(_Row._fields).iter_rows()]
        readers = _Readers()
        try:
            if len(rows) < 2:
                return [self._bring(row, wanted, readers) for row in rows]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                return list(pool.map(lambda row: self._bring(row, wanted, readers), rows))
        finally:
            self._sound.keep()

    def _bring(self, row: _Row, wanted: Wanted | None, readers: _Readers) -> Path | BadShard:
        path = row.path_in_repo
        try:
            part = None if wanted is None else self._part_of(row, wanted)
            return self._whole(row, readers.footers) if part is None else part
        except BadShard as error:
            return BadShard(Path(path), error.reason)
        except FileNotFoundError as error:
            why = "is not on this machine" if self.is_cached else "is gone since it was listed"
            raise TryLater(f"{path} of {self.repo.name} {why}") from error

    def _whole(self, row: _Row, footers: FooterReader) -> Path:
        # What stands in a folder is the truth there, whoever put it.
        wanted = row.sha256 if self.repo.is_remote else None
        file = self.repo.fetch(row.path_in_repo, self.commit, sha256=wanted)
        _check(footers.read(file), row)
        if self.repo.is_remote:
            self._sound.check(file, row.sha256)
        else:
            check_unless_ours(file)
        return file

    def _part_of(self, row: _Row, wanted: Wanted) -> Path | None:
        """A file with what is wanted of a large shard that is not here, where that is less."""
        notes, path = self.repo.notes, row.path_in_repo
        if notes is None or row.sha256 is None or row.bytes < SMALLEST_IN_PARTS:
            return None
        if self.repo.find(path, self.commit, sha256=row.sha256) is not None:
            return None
        shard = Listed(path, row.bytes, row.sha256)
        held = Parts(self.repo, self.commit, shard, notes / "parts")
        footer = held.footer(ask=not self.is_cached)
        if footer is None:
            return None
        reader = FooterReader()
        seen = reader.parse(Path(path), footer, row.bytes, 0)
        _check(seen, row)
        part = held.bring(footer, reader.schemas[seen.schema], wanted, ask=not self.is_cached)
        if part is not None:
            self._sound.check(part, f"{row.sha256}/{part.name}", wanted.columns)
        return part


class _Readers(threading.local):
    """A reader of footers for each thread: it knows again the schemas that it has seen."""

    def __init__(self) -> None:
        self.footers = FooterReader()


class _Row(NamedTuple):
    """A row of the catalog, as far as a shard is held to it."""

    path_in_repo: str
    sha256: str | None
    bytes: int
    n_rows: int
    h11: int
    h12: int
    ks_id: int
    triang_id: int
    conifold_id: int
    cicy_id: int


def _check(seen: Seen, row: _Row) -> None:
    """Raise BadShard where a shard is another than its row says."""
    path = Path(row.path_in_repo)
    if seen.said.path_in_repo != row.path_in_repo:
        raise BadShard(path, f"its footer says that it is {seen.said.path_in_repo}")
    told = (row.n_rows, *(getattr(row, key) for key in KEYS))
    if (seen.n_rows, *seen.said.keys) != told:
        raise BadShard(path, "the catalog of its repo says something else of it")
