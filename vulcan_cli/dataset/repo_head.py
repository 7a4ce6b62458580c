"""The two files of the catalog that stands in a repo.

They are ours, and brought up to date by each commit of `sync`, with that commit: `HEAD_PATH` holds
the rows that came last and names the commit that it was made on; `BASE_PATH` holds all others, and
is written anew only when those have become many.

The catalog is a cache of the footers. Whoever may write to the repo may have written it: a shard
that is read is held to its row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from vulcan_cli.dataset.catalog import Catalog, frame_of
from vulcan_cli.dataset.catalog_text import decode, encode
from vulcan_cli.errors import BadShard
from vulcan_cli.hub.repo import Repo, Snapshot

HEAD_PATH = "_vulcan/catalog/head"
BASE_PATH = "_vulcan/catalog/base"

_LARGEST = 256 << 20


class Base(NamedTuple):
    """What the head says of the base file.

    Attributes:
        sha256: Its SHA-256.
        n_shards: How many shards it has rows of.
    """

    sha256: str
    n_shards: int


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The head file of a repo.

    Attributes:
        parent: The commit that it was made on.
        base: The base file; None where all rows are here.
        recent: Rows that came since, which count before those of the base.
        sha256: What the file is.
    """

    parent: str
    base: Base | None
    recent: Catalog
    sha256: str

    def is_of(self, snapshot: Snapshot) -> bool:
        """Whether it tells all that there is at this commit, as far as can be known."""
        # What only the Hub's client brought here has no parent that anybody saw.
        unknown = snapshot.is_cached and snapshot.parent is None
        return unknown or self.parent == snapshot.parent


def read_head(repo: Repo, commit: str) -> Head | None:
    """The head file at a commit; None where there is none, or none that can be read.

    Raises:
        VulcanError: The repo cannot be read.
    """
    return parse_head(read_own(repo, HEAD_PATH, commit))


def parse_head(data: bytes | None) -> Head | None:
    """The head file out of its bytes; None for what is none."""
    try:
        return None if data is None else _parse_head(data)
    except (ValueError, TypeError, KeyError):
        return None


def read_own(repo: Repo, path: str, commit: str, sha256: str | None = None) -> bytes | None:
    """A file of ours at a commit; None where it is not there, too large, or another than expected.

    Raises:
        VulcanError: The repo cannot be read.
    """
    try:
        file = repo.fetch(path, commit, sha256=sha256)
        data = file.read_bytes() if file.stat().st_size <= _LARGEST else None
    except (OSError, BadShard):
        return None
    wanted = data is not None and sha256 in (None, hashlib.sha256(data).hexdigest())
    return data if wanted else None


def read_base(repo: Repo, commit: str, base: Base | None) -> Catalog | None:
    """The rows of the base file of a head, none without one; None where it is not what that says.

    Raises:
        VulcanError: The repo cannot be read.
    """
    if base is None:
        return Catalog(frame_of([]))
    data = read_own(repo, BASE_PATH, commit, base.sha256)
    try:
        return None if data is None else decode(data)[1]
    except ValueError:
        return None


def encode_head(parent: str, base: Base | None, recent: Catalog) -> bytes:
    """The head file."""
    told = None if base is None else {"sha256": base.sha256, "n_shards": base.n_shards}
    return encode(recent, {"parent": parent, "base": told})


def _parse_head(data: bytes) -> Head:
    header, recent = decode(data)
    parent, told = header.get("parent"), header.get("base")
    if not isinstance(parent, str):
        raise TypeError("it names no parent")
    base = None if told is None else _parse_base(told)
    return Head(parent, base, recent, hashlib.sha256(data).hexdigest())


def _parse_base(told: Any) -> Base:  # noqa: ANN401 (JSON of a stranger)
    sha256, n_shards = told["sha256"], told["n_shards"]
    if not isinstance(sha256, str) or not isinstance(n_shards, int):
        raise TypeError("what it says of the base makes no sense")
    return Base(sha256, n_shards)
