"""Is everything there, whole, once, and where it should be? Reads every byte and changes nothing.

Shards are held against their sidecar's SHA-256, their own footer, rows and content digest, and the
ledger; what the repo holds, likewise, and against what the ledger says that it confirmed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl
import pyarrow as pa

from vulcan_cli.errors import BadShard, DiskTrouble
from vulcan_cli.files.open_files import GONE, open_regular, path_of, sha256_of
from vulcan_cli.hub.repo import MAIN, Repo
from vulcan_cli.staging.area import LARGEST_SHARD, STATES, StagingArea, State, disk_trouble
from vulcan_cli.staging.ledger import Ledger, LedgerEntry
from vulcan_cli.staging.listing import Entry, Listing
from vulcan_cli.staging.tidy import MAKING_S
from vulcan_cli.sync.contents import check_contents
from vulcan_cli.vacua.digest import content_digest
from vulcan_cli.vacua.geometry import SHARD_PATH, path_of_file_name
from vulcan_cli.vacua.shard import Footer

Kind = Literal["missing", "altered", "bad", "doubled", "orphaned", "two-states", "unreadable"]
"""`missing`: confirmed once, and not in the repo. `altered`: other bytes or rows than were
recorded. `bad`: no shard, or not the one that its name says. `doubled`: the same rows under several
run ids. `orphaned`: a shard without its sidecar, or a sidecar without its shard. `two-states`: the
same name in two state folders. `unreadable`: the disk refuses."""

_KEYS = ("geometry_id", "flux")


class Finding(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        kind: What sort of thing.
        name: The path in the repo, or the file name where that is no shard's.
        where: The state folder, or the repo's name.
        why: What is wrong, in words.
    """

    kind: Kind
    name: str
    where: str
    why: str


class Verified(NamedTuple):
    """What was found.

    Attributes:
        shards: How many were read, in the staging directory and the repos.
        size: Their bytes.
        vacua: Rows of the sound ones, each content counted once.
        duplicate_vacua: How many of these have the geometry and flux of another.
        findings: In the order of folders and names.
    """

    shards: int
    size: int
    vacua: int
    duplicate_vacua: int
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """The exit status of a command that found this."""
        if any(finding.kind == "unreadable" for finding in self.findings):
            return DiskTrouble.exit_code
        return BadShard.exit_code if self.findings else 0


def verify(
    area: StagingArea,
    repos: Sequence[Repo] = (),
    *,
    now: float,
    revision: str = MAIN,
    download: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> Verified:
    """Read every shard of a staging directory and of some repos.

    A sync may be at work meanwhile: what it moved on is found in the next folder.

    Args:
        area: The staging directory.
        repos: Asked for all that the ledger says of them, and read.
        now: Unix seconds.
        revision: The branch to ask.
        download: Also read what the repos hold and the staging directory does not; else only
            their own SHA-256s are asked for.
        progress: Told of each shard that was read.

    Raises:
        NotSetUp: There is no such staging directory.
        DiskTrouble: A folder or the ledger cannot be read.
        TryLater, Denied, RepoMissing: A repo does not answer.
    """
    verifier = _Verifier(area, now, progress)
    verifier.staging()
    for repo in repos:
        verifier.repo(repo, revision, download=download)
    verifier.synced_unconfirmed([repo.name for repo in repos])
    verifier.doubled()
    return verifier.result()


class _Content(NamedTuple):
    sha256: str
    size: int


class _Verifier:
    """Collects findings of one run."""

    def __init__(self, area: StagingArea, now: float, progress: Callable[[int], None]) -> None:
        self._area = area
        self._now = now
        self._progress = progress
        self._ledger = {entry.path: entry for entry in Ledger(area).entries()}
        self._findings: list[Finding] = []
        self._shards = self._size = 0
        self._local: dict[tuple[State, str], _Content] = {}
        self._sound: set[str] = set()
        self._by_digest: dict[str, dict[str, str]] = {}
        self._vacua: list[pl.DataFrame] = []
        self._confirmed: set[str] = set()

    def result(self) -> Verified:
        rows = pl.concat(self._vacua) if self._vacua else pl.DataFrame()
        return Verified(
            shards=self._shards,
            size=self._size,
            vacua=rows.height,
            duplicate_vacua=rows.height - rows.n_unique() if rows.height else 0,
            findings=tuple(self._findings),
        )

    def staging(self) -> None:
        """All state folders, in the order in which a shard goes through them."""
        listings = {state: self._area.scan(state) for state in STATES}
        for state, listing in listings.items():
            for entry in listing.entries:
                if entry.has_parquet:
                    self._shard(state, entry)
        self._findings += [*self._orphans(listings), *self._in_two_states(listings)]

    def repo(self, repo: Repo, revision: str, *, download: bool) -> None:
        """What a repo holds, and what it should hold."""
        head = repo.head(revision)
        held = [file.path for file in repo.files(head) if file.path.endswith(".parquet")]
        said = {
            path: entry
            for path, entry in self._ledger.items()
            if entry.repo == repo.key and entry.revision == revision
        }
        mine = {_path(name): sha for (state, name), sha in self._local.items() if state == "synced"}
        remote = repo.look_up(sorted({*held, *said, *mine}), head)
        there = {path: file.sha256 or "" for path, file in remote.items()}
        self._confirmed |= there.keys()
        for path, entry in sorted(said.items()):
            self._find_in_repo(repo, path, entry, there.get(path))
        for path, content in sorted(mine.items()):
            if path not in said and there.get(path, content.sha256) != content.sha256:
                self._find("altered", path, repo.name, "synced/ holds other bytes than the repo")
        for path in sorted(held):
            if not SHARD_PATH.fullmatch(path):
                self._find("bad", path, repo.name, "not the path of a shard")
            elif download and there.get(path) not in self._sound:
                self._in_repo(repo, path, head, there.get(path))

    def synced_unconfirmed(self, repos: Sequence[str]) -> None:
        """Shards in `synced/` that none of the repos has."""
        if not repos:
            return
        for state, name in self._local:
            path = _path(name)
            known = self._ledger.get(path)
            if state == "synced" and path not in self._confirmed and known is None:
                where = ", ".join(repos)
                self._find("missing", path, where, "synced/ holds it, and no repo that was asked")

    def doubled(self) -> None:
        """The same rows under several run ids."""
        for paths in self._by_digest.values():
            first, *others = sorted(paths)
            for path in others:
                self._find("doubled", path, paths[path], f"the same rows as {first}")

    def _find(self, kind: Kind, name: str, where: str, why: str) -> None:
        self._findings.append(Finding(kind, name, where, why))

    def _find_in_repo(self, repo: Repo, path: str, entry: LedgerEntry, there: str | None) -> None:
        if there is None:
            self._find("missing", path, repo.name, "the ledger says that the repo confirmed it")
        elif there != entry.sha256:
            self._find("altered", path, repo.name, "other bytes than the ledger says")

    def _shard(self, state: State, entry: Entry) -> None:
        try:
            entry.check_room()
            fd = self._area.open_shard(state, entry.name)
            try:
                content = self._read(fd, entry.parquet)
                self._local[state, entry.name] = content
                self._recorded(state, entry, content)
                self._contents(fd, entry.path_in_repo, entry.parquet, content, state)
            finally:
                os.close(fd)
        except _AlteredError as error:
            self._find("altered", _path(entry.name), state, str(error))
        except BadShard as error:
            self._find("bad", _path(entry.name), state, error.reason)
        except DiskTrouble as error:
            # Moved on since it was listed, or on its way here.
            if error.errno not in GONE:
                self._find("unreadable", _path(entry.name), state, str(error))

    def _in_repo(self, repo: Repo, path: str, revision: str, sha256: str | None) -> None:
        try:
            file = repo.fetch(path, revision)
            fd = _open(file)
            try:
                content = self._read(fd, file)
                if content.sha256 != sha256:
                    raise _AlteredError("its bytes are not those of the SHA-256 that the repo says")
                self._contents(fd, path, file, content, repo.name)
            finally:
                os.close(fd)
        except _AlteredError as error:
            self._find("altered", path, repo.name, str(error))
        except BadShard as error:
            self._find("bad", path, repo.name, error.reason)
        except FileNotFoundError:
            self._find("missing", path, repo.name, "the repo lists it, and does not have it")

    def _read(self, fd: int, path: Path) -> _Content:
        try:
            content = _Content(*sha256_of(fd, limit=LARGEST_SHARD))
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise BadShard(path, f"larger than {LARGEST_SHARD} bytes") from error
            raise DiskTrouble(path, error) from error
        self._shards += 1
        self._size += content.size
        self._progress(1)
        return content

    def _recorded(self, state: State, entry: Entry, content: _Content) -> None:
        """Hold the bytes against what was written down of them."""
        sidecar = self._area.read_sidecar(state, entry.name)
        if sidecar is not None:
            if sidecar.sha256 not in (None, content.sha256):
                raise _AlteredError("other bytes than its sidecar says")
            if sidecar.path_in_repo != entry.path_in_repo:
                raise BadShard(entry.parquet, "its sidecar is another shard's")
        known = self._ledger.get(_path(entry.name))
        if known is not None and known.sha256 != content.sha256:
            raise _AlteredError("other bytes than the ledger says that the repo confirmed")

    def _contents(
        self, fd: int, path_in_repo: str | None, path: Path, content: _Content, where: str
    ) -> None:
        """Hold the bytes against what they say of themselves."""
        if content.sha256 in self._sound:
            return
        with disk_trouble(path):
            footer = check_contents(pa.OSFile(str(path_of(fd))), content.size, path)
        if footer.path_in_repo != path_in_repo:
            raise BadShard(path, f"it says of itself that it is {footer.path_in_repo}")
        self._vacua.append(_rows_of(fd, path, footer))
        self._sound.add(content.sha256)
        if footer.digest is not None:
            self._by_digest.setdefault(footer.digest, {})[footer.path_in_repo] = where

    def _orphans(self, listings: Mapping[State, Listing]) -> Iterator[Finding]:
        bare, lone = {}, []
        for state, listing in listings.items():
            for entry in listing.entries:
                # What has no room for a sidecar was found bad for that.
                if entry.has_parquet and not entry.has_sidecar and entry.has_room:
                    bare[entry.name] = (state, entry)
                elif not entry.has_parquet:
                    lone.append((state, entry))
        for state, entry in lone:
            if not self._is_settled(state, entry):
                continue
            there = bare.pop(entry.name, None)
            why = "a sidecar without its shard"
            if there is not None:
                why = f"a sidecar whose shard is in {there[0]}/"
            yield Finding("orphaned", _path(entry.name), state, why)
        for state, entry in bare.values():
            if self._is_settled(state, entry):
                yield Finding("orphaned", _path(entry.name), state, "a shard without its sidecar")

    def _is_settled(self, state: State, entry: Entry) -> bool:
        """Whether a half of a pair is still alone, and for so long that nobody is at work."""
        meta = entry.sidecar.name
        with self._area.folder(state) as folder:
            halves = {name: folder.status(name) for name in (entry.name, meta)}
            there = [status for status in halves.values() if status is not None]
            return len(there) == 1 and self._now - there[0].st_mtime > MAKING_S

    def _in_two_states(self, listings: Mapping[State, Listing]) -> Iterator[Finding]:
        seen: dict[str, State] = {}
        for state, listing in listings.items():
            for entry in listing.entries:
                if not entry.has_parquet:
                    continue
                first = seen.setdefault(entry.name, state)
                if first != state and self._is_in(first, entry.name):
                    here, there = (self._local.get((each, entry.name)) for each in (state, first))
                    found = "the same bytes are" if here == there else "other bytes are"
                    yield Finding("two-states", _path(entry.name), state, f"{found} in {first}/")

    def _is_in(self, state: State, name: str) -> bool:
        with self._area.folder(state) as folder:
            return folder.status(name) is not None


class _AlteredError(Exception):
    """A file holds something else than was written down of it."""


def _rows_of(fd: int, path: Path, footer: Footer) -> pl.DataFrame:
    """What tells vacua apart, 128 bits a row, after the rows were held against their digest."""
    try:
        rows = pl.read_parquet(path_of(fd), glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise BadShard(path, "its rows cannot be read") from error
    if footer.digest is not None:
        digest = content_digest(rows, footer.geometry, leave_out=footer.circumstances)
        if digest != footer.digest:
            raise _AlteredError("its rows are not those of its content digest")
    keys = rows.select(_KEYS)
    return pl.DataFrame({"a": keys.hash_rows(seed=1), "b": keys.hash_rows(seed=2)})


def _open(file: Path) -> int:
    # The Hub client's cache is made of links.
    return open_regular(file.resolve())


def _path(name: str) -> str:
    """The path in the repo that a file name stands for, or the name itself."""
    return path_of_file_name(name) or name
