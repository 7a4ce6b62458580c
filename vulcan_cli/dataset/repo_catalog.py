"""What a reader makes of the catalog that stands in a repo: one row for each shard there.

Where the commit before the newest is the one that the head names (see `repo_head`), nobody else has
committed since, and the two files are all there is to read. Else the repo is listed, and rows whose
shard is still there count. Of all other shards, as of those that the head names without knowing
more, the footers are read, over HTTP ranges. What was learned so stays in the repo's `notes`, also
where the reading was broken off: a Hub allows so many requests at a time, and the next reader goes
on from there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock

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
from vulcan_cli.dataset.repo_head import Head, read_base, read_head
from vulcan_cli.errors import BadShard, TryLater, VulcanError
from vulcan_cli.files.paths import replace_durably
from vulcan_cli.hub.repo import MAIN, RemoteFile, Repo
from vulcan_cli.quantities import counted
from vulcan_cli.vacua.geometry import SHARD_PATH

_logger = logging.getLogger(__name__)

NOTES_NAME = "catalog"
"""The file in `Repo.notes`: all rows of the newest commit of which footers had to be read."""

_STATE = "repo"
# A footer that is longer than those before by less than this part of them takes one request, too.
_SPARE = 4


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
    return Catalog.joined([*(frame.already_read() for frame in frames), blank])


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
    found = _placed(known.already_read(), away)
    if not missing:
        return found
    shards = counted(len(missing), "shard")
    _logger.info("reads the footers of %s in %s", shards, away.repo.name)

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
