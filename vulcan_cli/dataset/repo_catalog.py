"""The catalog that stands in a repo, and what a reader makes of it: one row for each shard there.

Two files of ours, brought up to date by each commit of `sync`, with that commit: `HEAD_PATH` holds
the rows that came last and names the commit that it was made on; `BASE_PATH` holds all others, and
is written anew only when those have become many. Where the commit before the newest is the one
that the head names, nobody else has committed since, and the two files are all there is to read.
Else the repo is listed, and rows whose shard is still there count. Of all other shards, as of those
that the head names without knowing more, the footers are read, over HTTP ranges. What was learned
so stays in the repo's `notes`, also where the reading was broken off: a Hub allows so many
requests at a time, and the next reader goes on from there.

The catalog is a cache of the footers. Whoever may write to the repo may have written it: a shard
that is read is held to its row.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import polars as pl

from vulcan_cli.dataset.away import AT_ONCE, Away
from vulcan_cli.dataset.catalog import (
    COLUMNS,
    SCHEMA,
    Catalog,
    Progress,
    Source,
    frame_of,
    row_of,
    untold,
)
from vulcan_cli.dataset.catalog_text import decode, encode
from vulcan_cli.dataset.footers import FooterReader, Seen
from vulcan_cli.dataset.ranges import FIRST_GUESS, Listed, read_footer
from vulcan_cli.errors import BadShard, TryLater, VulcanError
from vulcan_cli.files.paths import replace_durably
from vulcan_cli.hub.repo import MAIN, RemoteFile, Repo, Snapshot
from vulcan_cli.vacua.geometry import SHARD_PATH

HEAD_PATH = "_vulcan/catalog/head"
BASE_PATH = "_vulcan/catalog/base"

NOTES_NAME = "catalog"
"""The file in `Repo.notes`: all rows of the newest commit of which footers had to be read."""

_LARGEST = 256 << 20
_STATE = "repo"
# A footer that is longer than those before by less than this part of them takes one request, too.
_SPARE = 4


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


def read_repo(
    repo: Repo,
    revision: str = MAIN,
    progress: Progress = untold,
    *,
    only: Set[str] | None = None,
) -> Catalog:
    """The shards of a repo, none of them downloaded.

    Args:
        repo: The repo.
        revision: What of it.
        progress: Told of footers that must be read.
        only: Paths in the repo; None for all shards.

    Returns:
        The catalog, with `Catalog.away` to bring the shards.

    Raises:
        VulcanError: The repo cannot be read.
    """
    snapshot = repo.snapshot(revision)
    away = Away(repo, snapshot.head, is_cached=snapshot.is_cached)
    noted = _read_notes(repo, snapshot.head)
    if noted is not None and not unread(noted):
        return _complete(_among(noted, only), away, progress)
    if noted is not None:
        return _noting(noted, _listed_in(noted), only, away, progress)
    head = read_head(repo, snapshot.head)
    known = None if head is None else _all_rows(repo, snapshot.head, head)
    told = known if head is not None and repo.is_remote and head.is_of(snapshot) else None
    if told is not None and not unread(wanted := _among(told, only)):
        return _complete(wanted, away, progress)
    if snapshot.is_cached:
        raise TryLater(f"offline, and the list of shards of {repo.name} is not here")
    listed = list_shards(repo, snapshot.head) if told is None else _listed_in(told)
    earlier = [each for each in (known, _read_notes(repo)) if each is not None]
    return _noting(matching(earlier, listed), listed, only, away, progress)


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


def list_shards(repo: Repo, commit: str) -> list[Listed]:
    """The shards that a repo lists at a commit, by their paths alone, sorted.

    Raises:
        VulcanError: The repo cannot be read.
    """
    files: Iterable[RemoteFile] = repo.files(commit)
    found = [
        Listed(file.path, file.size, file.sha256)
        for file in files
        if SHARD_PATH.fullmatch(file.path)
    ]
    return sorted(found, key=lambda shard: shard.path)


def matching(known: Sequence[Catalog], listed: Sequence[Listed]) -> Catalog:
    """A row for each listed shard: what is known of this very content, else path and size alone."""
    there = pl.DataFrame(
        [(shard.path, shard.size, shard.sha256) for shard in listed],
        schema={"path_in_repo": pl.String, "bytes": pl.Int64, "listed": pl.String},
        orient="row",
    )
    frames = [
        Catalog(
            each.rows.join(there, on=["path_in_repo", "bytes"])
            .filter(pl.col("listed").is_null() | (pl.col("listed") == pl.col("sha256")))
            .drop("listed"),
            each.schemas,
        )
        for each in known
    ]
    unread = there.rename({"listed": "sha256"}).with_columns(
        pl.lit(None, dtype).alias(name)
        for name, dtype in {**COLUMNS, SCHEMA: pl.UInt32()}.items()
        if name not in {"path_in_repo", "bytes", "sha256"}
    )
    blank = Catalog(unread.select(*COLUMNS, SCHEMA))
    return Catalog.joined([*(read_only(frame) for frame in frames), blank])


def unread(catalog: Catalog) -> list[Listed]:
    """The shards of which only path, size and perhaps SHA-256 are known."""
    return _listed_in(catalog.where(pl.col("n_rows").is_null()))


def read_footers(
    away: Away,
    shards: Sequence[Listed],
    progress: Progress = untold,
    keep: Callable[[Catalog], None] = lambda _: None,
) -> Catalog:
    """Rows of shards by their footers, over HTTP ranges; what are no shards are in `bad`.

    Args:
        away: Where they stand.
        shards: The shards.
        progress: Told of each.
        keep: Given what was read until then, where the reading is broken off.

    Raises:
        VulcanError: The repo cannot be read.
    """
    reader = _RangeReader(away, len(shards), progress)
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            tails = dict(zip(shards, pool.map(reader.tail_of, shards), strict=True))
    except (VulcanError, KeyboardInterrupt):
        keep(_parsed(away, reader.tails))
        raise
    return _parsed(away, tails)


def _parsed(away: Away, tails: Mapping[Listed, bytes | BadShard]) -> Catalog:
    """Rows of shards by their footers; what are no shards are in `bad`."""
    footers = FooterReader()
    rows: list[tuple[object, ...]] = []
    bad: list[BadShard] = []
    for shard, tail in tails.items():
        try:
            if isinstance(tail, BadShard):
                raise tail
            seen: Seen = footers.parse(Path(shard.path), tail, shard.size, 0)
            source = Source(shard.path, Path(shard.path), _STATE)
            rows.append(row_of(seen, source, away.file_of(shard.path), shard.sha256))
        except BadShard as error:
            bad.append(error)
    frame = frame_of(rows).with_columns(time=pl.lit(None, COLUMNS["time"]))
    return Catalog(frame, tuple(footers.schemas), tuple(bad), {away.name: away})


def encode_head(parent: str, base: Base | None, recent: Catalog) -> bytes:
    """The head file."""
    told = None if base is None else {"sha256": base.sha256, "n_shards": base.n_shards}
    return encode(recent, {"parent": parent, "base": told})


class _RangeReader:
    """Reads the ends of files; learns how long the footers of this repo are.

    Attributes:
        tails: What was read, by `tail_of`.
    """

    def __init__(self, away: Away, total: int, progress: Progress) -> None:
        self.tails: dict[Listed, bytes | BadShard] = {}
        self._away = away
        self._guess = FIRST_GUESS
        self._longest = 0
        self._total = total
        self._progress = progress
        self._lock = Lock()

    def tail_of(self, shard: Listed) -> bytes | BadShard:
        """The footer of a file, with its length and magic number."""
        tail = self._read(shard)
        with self._lock:
            self.tails[shard] = tail
            done = len(self.tails)
            if isinstance(tail, bytes):
                self._longest = max(self._longest, len(tail))
                self._guess = self._longest + self._longest // _SPARE
        self._progress(done, self._total)
        return tail

    def _read(self, shard: Listed) -> bytes | BadShard:
        try:
            return read_footer(self._away.repo, self._away.commit, shard, self._guess)
        except BadShard as error:
            return error
        except FileNotFoundError as error:
            gone = BadShard(Path(shard.path), "it is gone since it was listed")
            gone.__cause__ = error
            return gone


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


def _all_rows(repo: Repo, commit: str, head: Head) -> Catalog | None:
    """The rows of head and base; None where the base is not what the head says."""
    base = read_base(repo, commit, head.base)
    return None if base is None else Catalog.joined((head.recent, base))


def _noting(
    known: Catalog,
    listed: Sequence[Listed],
    only: Set[str] | None,
    away: Away,
    progress: Progress,
) -> Catalog:
    """As `_complete`, of some paths; what was learned of all of them is kept, done or not."""
    if only is not None:
        return _complete(_among(known, only), away, progress)

    def keep(found: Catalog) -> None:
        _write_notes(away.repo, away.commit, found, listed)

    found = _complete(known, away, progress, keep)
    keep(found)
    return found


def _complete(
    known: Catalog,
    away: Away,
    progress: Progress,
    keep: Callable[[Catalog], None] = lambda _: None,
) -> Catalog:
    """All rows, footers read where they are not known; `keep` as in `read_footers`."""
    missing = unread(known)
    found = _placed(read_only(known), away)
    if not missing:
        return found

    def keep_so_far(read: Catalog) -> None:
        keep(Catalog.joined((found, read)))

    return Catalog.joined((found, read_footers(away, missing, progress, keep_so_far)))


def _listed_in(catalog: Catalog) -> list[Listed]:
    """Path, size and SHA-256 of each row."""
    rows = catalog.rows.select("path_in_repo", "bytes", "sha256")
    return [Listed(*row) for row in rows.iter_rows()]


def _among(catalog: Catalog, paths: Set[str] | None) -> Catalog:
    """The shards at some paths, all of them for None."""
    if paths is None:
        return catalog
    bad = tuple(shard for shard in catalog.bad if os.fspath(shard.path) in paths)
    return replace(catalog.where(pl.col("path_in_repo").is_in(sorted(paths))), bad=bad)


def read_only(catalog: Catalog) -> Catalog:
    """The shards whose footers were read."""
    return catalog.where(pl.col("n_rows").is_not_null())


def _placed(catalog: Catalog, away: Away) -> Catalog:
    """The same rows, to be brought from there."""
    file = pl.concat_str(pl.lit(f"{away.name}:"), pl.col("path_in_repo"))
    rows = catalog.rows.with_columns(file=file, state=pl.lit(_STATE)).sort("path_in_repo")
    return Catalog(rows, catalog.schemas, catalog.bad, {away.name: away})


def _read_notes(repo: Repo, commit: str | None = None) -> Catalog | None:
    """What was learned of this commit; of whichever was last, where None is given."""
    if repo.notes is None:
        return None
    try:
        header, rows = decode((repo.notes / NOTES_NAME).read_bytes())
        bad = tuple(BadShard(Path(path), reason) for path, reason in header.get("bad", ()))
    except (OSError, ValueError, TypeError):
        return None
    if commit is not None and header.get("commit") != commit:
        return None
    return Catalog(rows.rows, rows.schemas, bad)


def _write_notes(repo: Repo, commit: str, catalog: Catalog, listed: Sequence[Listed]) -> None:
    """Keep what was learned; that it cannot be kept is no harm."""
    if repo.notes is None:
        return
    # What could not be read may be readable soon, without a new commit.
    lasting = {
        os.fspath(shard.path): shard.reason
        for shard in catalog.bad
        if not isinstance(shard.__cause__, OSError)
    }
    rest = matching([], [shard for shard in listed if shard.path not in lasting])
    try:
        repo.notes.mkdir(parents=True, exist_ok=True)
        told = {"commit": commit, "bad": [*lasting.items()]}
        data = encode(Catalog.joined((catalog, rest)), told)
        replace_durably(repo.notes / NOTES_NAME, data)
    except (OSError, VulcanError):
        return


def describe(found: Mapping[str, Away]) -> str:
    """Which repos at which commits, in words."""
    return " and ".join(
        f"{away.repo.name} at {away.commit[:12]}"
        + (", as last seen from this machine" if away.is_cached else "")
        for away in found.values()
    )
