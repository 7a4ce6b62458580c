"""Shards that stand in a repo: what is wanted of them, and their footers over HTTP ranges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from vulcan_cli.dataset.footers import footer_length
from vulcan_cli.errors import BadShard
from vulcan_cli.hub.repo import Repo

FIRST_GUESS = 16 << 10
"""Bytes in which most footers fit."""


class Listed(NamedTuple):
    """A shard as the repo lists it; `sha256` is None where the repo does not tell."""

    path: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What of shards will be read.

    Attributes:
        columns: Names; a shard need not have them all.
        may_match: What the bounds of rows meet, as columns of the catalog, where any is wanted.
        n_rows: Rows from the first on that will be read; None for all.
    """

    columns: tuple[str, ...]
    may_match: pl.Expr
    n_rows: int | None = None


def read_footer(repo: Repo, commit: str, shard: Listed, guess: int = FIRST_GUESS) -> bytes:
    """The footer of a shard with its length and magic number.

    Args:
        repo: The repo.
        commit: The commit that lists the shard.
        shard: The shard.
        guess: How many bytes to ask for at first.

    Raises:
        BadShard: It ends in no footer, or has another size than listed.
        FileNotFoundError: It is not there.
        VulcanError: The repo cannot be read.
    """
    path = Path(shard.path)

    def end(length: int) -> bytes:
        part = repo.read(shard.path, commit, start=-length, length=length)
        if part.size != shard.size:
            raise BadShard(path, "its size is not what the repo lists")
        return part.data

    # The first four bytes are never part of it; so no file is ever read whole.
    # Of an empty file no span can be asked for.
    tail = end(max(8, min(guess, shard.size - 4))) if shard.size else b""
    length = footer_length(path, tail, shard.size)
    return tail[-length:] if length <= len(tail) else end(length)
