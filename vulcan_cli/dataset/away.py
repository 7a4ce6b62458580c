"""Shards that are not here: brought from a repo when somebody reads them, and held to the catalog.

What was brought once stays on this machine, so that it is asked for once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from vulcan_cli.dataset.footers import FooterReader
from vulcan_cli.errors import BadShard, TryLater
from vulcan_cli.hub.repo import Repo
from vulcan_cli.vacua.geometry import KEYS

AT_ONCE = 8
"""Files that are brought at the same time."""


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

    @property
    def name(self) -> str:
        """What the column `file` of the catalog begins with."""
        return f"{self.repo.name}@{self.commit}"

    def file_of(self, path_in_repo: str) -> str:
        """The column `file` of a shard."""
        return f"{self.name}:{path_in_repo}"

    def bring(self, shards: pl.DataFrame) -> list[Path | BadShard]:
        """A local file for each of some rows of the catalog, or why there is none.

        Raises:
            VulcanError: The repo cannot be read, or no longer has one of them.
        """
        rows = list(shards.select("path_in_repo", "sha256", "n_rows", *KEYS).iter_rows())
        if len(rows) < 2:
            return [self._bring(*row) for row in rows]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda row: self._bring(*row), rows))

    def _bring(self, path: str, sha256: str | None, n_rows: int, *keys: int) -> Path | BadShard:
        try:
            # What stands in a folder is the truth there, whoever put it.
            wanted = sha256 if self.repo.is_remote else None
            file = self.repo.fetch(path, self.commit, sha256=wanted)
            seen = FooterReader().read(file)
        except BadShard as error:
            return BadShard(Path(path), error.reason)
        except FileNotFoundError as error:
            why = "is not on this machine" if self.is_cached else "is gone since it was listed"
            raise TryLater(f"{path} of {self.repo.name} {why}") from error
        if seen.footer.path_in_repo != path:
            return BadShard(Path(path), f"its footer says that it is {seen.footer.path_in_repo}")
        if (seen.n_rows, *seen.footer.geometry.as_dict().values()) != (n_rows, *keys):
            return BadShard(Path(path), "the catalog of its repo says something else of it")
        return file
