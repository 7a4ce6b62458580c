"""Whether a shard is staged already: the same rows under its name, in whatever state."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from vulcan_cli.errors import BadShard, Conflict, DiskTrouble
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import GONE, path_of, sha256_of
from vulcan_cli.staging.area import LARGEST_SHARD, PRIVATE, SHARD_MODE, StagingArea, State
from vulcan_cli.staging.aside import HEAPS, entries_aside
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.records import RECORD_LIMIT, RecordError, parse_record, render_record
from vulcan_cli.staging.sidecar import Sidecar, parse_sidecar

# In this order: a shard that sync moves while we look is seen in one folder or the next.
_ORDER: tuple[State, ...] = ("pending", "failed", "synced")

DigestOf = Callable[[Path], str | None]
"""Computes a shard's content digest from its rows; None where the file is no shard."""


class Published(NamedTuple):
    """What became of a shard.

    Attributes:
        path_in_repo: The shard's name.
        status: `staged`, or `already-staged` where the same rows were there under that name.
        where: The folder they are in, or `repo` where only the ledger knows them.
        path: The file; None where only the ledger knows it.
        sha256: Of the bytes we wrote; for `already-staged`, bytes that were dropped again.
        size: Their number.
        digest: The content digest.
    """

    path_in_repo: str
    status: Literal["staged", "already-staged"]
    where: str
    path: Path | None
    sha256: str
    size: int
    digest: str


class Prepared(NamedTuple):
    """A shard that is complete on disk and has no name yet.

    Attributes:
        path_in_repo: The shard's name.
        name: The file name that it is to have.
        digest: The content digest.
        parquet: The temporary that holds it.
        sidecar: The temporary that holds its sidecar.
        sha256: Of the parquet.
        size: Its bytes.
    """

    path_in_repo: str
    name: str
    digest: str
    parquet: str
    sidecar: str
    sha256: str
    size: int


class Already:
    """What stands under the names of shards that are to be published, in whatever state."""

    def __init__(self, area: StagingArea, pending: Folder, digest_of: DigestOf) -> None:
        """Prepare to look.

        Args:
            area: The staging directory.
            pending: Its folder of that name, open as long as this is used.
            digest_of: Computes the content digest of a shard that is there.
        """
        self._area = area
        self._pending = pending
        self._digest_of = digest_of

    def find(self, shard: Prepared) -> Published | None:
        """Where this shard is already, in whatever state; None where it is nowhere.

        Raises:
            Conflict: Other rows are there under its name.
            OSError: The file system refuses.
        """
        for state in _ORDER:
            with _if_we_may(), self._area.folder(state) as folder:
                if folder.status(shard.name) is not None:
                    result = self._compare(shard, folder, state)
                    if isinstance(result, Conflict):
                        raise result
                    if result is not None:
                        return result
        with _if_we_may():
            known = Ledger(self._area).find(shard.path_in_repo)
            if known is not None:
                if shard.digest == known.digest or shard.sha256 == known.sha256:
                    return _already(shard, "repo", None)
                raise Conflict(shard.path_in_repo, "the repo, as the ledger says")
        with _if_we_may():
            return self._find_aside(shard)
        return None

    def in_pending(self, shard: Prepared) -> Published | Conflict | None:
        """Success or conflict, by what stands in `pending/`; None where it is gone again.

        Raises:
            OSError: The file system refuses.
        """
        return self._compare(shard, self._pending, "pending")

    def _find_aside(self, shard: Prepared) -> Published | None:
        """Whether the same rows were set aside; other rows there are in nobody's way."""
        for heap in HEAPS:
            for aside in entries_aside(self._area, heap, name=shard.name):
                with self._area.folder(PRIVATE, heap) as folder, contextlib.suppress(OSError):
                    if self._digest_in(folder, aside.id) == shard.digest:
                        return _already(shard, heap, aside.path)
        return None

    def _compare(
        self, shard: Prepared, folder: Folder, state: State
    ) -> Published | Conflict | None:
        """Success or conflict, by what stands under our name; None where it is gone again."""
        try:
            digest = self._digest_in(folder, shard.name)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return None
        if digest != shard.digest:
            return Conflict(shard.path_in_repo, f"{state}/")
        if state == "pending":
            self._mend_sidecar(shard)
        return _already(shard, state, folder.path / shard.name)

    def _digest_in(self, folder: Folder, name: str) -> str | None:
        """The content digest of a file that is there, durable now; None where it is no shard."""
        try:
            fd = folder.open_regular(name)
        except BadShard:
            return None
        try:
            # The peer publishes without fsync, and another worker may have died before its own.
            os.fsync(fd)
            with contextlib.suppress(BadShard):
                return self._digest_of(path_of(fd))
            return None
        finally:
            os.close(fd)

    def _mend_sidecar(self, shard: Prepared) -> None:
        """Put a true sidecar beside the same rows, where writers died before they had done so."""
        pending, meta = self._pending, f"{shard.name}{SIDECAR_SUFFIX}"
        with contextlib.suppress(OSError, BadShard):
            fd = pending.open_regular(shard.name)
            try:
                sha256, size = sha256_of(fd, limit=LARGEST_SHARD)
            finally:
                os.close(fd)
            ours = parse_record(pending.read(shard.sidecar, RECORD_LIMIT))
            true = render_record({**ours, "sha256": sha256, "size": size}, indent=2)
            if not _says(pending, meta, parse_sidecar(true)):
                pending.replace(meta, true, SHARD_MODE)


def _says(pending: Folder, meta: str, true: Sidecar) -> bool:
    """Whether a sidecar says what is true; the peer's says nothing of the bytes."""
    try:
        beside = parse_sidecar(pending.read(meta, RECORD_LIMIT))
    except (FileNotFoundError, BadShard, RecordError):
        return False
    is_of_these_bytes = (beside.sha256, beside.size) in {(None, None), (true.sha256, true.size)}
    identity = (beside.path_in_repo, beside.run_id, beside.n_rows)
    return is_of_these_bytes and identity == (true.path_in_repo, true.run_id, true.n_rows)


@contextmanager
def _if_we_may() -> Iterator[None]:
    """Pass over a folder that this account may not look into: `pending` alone is a worker's."""
    try:
        yield
    except DiskTrouble as error:
        if error.errno != errno.EACCES:
            raise


def _already(shard: Prepared, where: str, path: Path | None) -> Published:
    return Published(
        path_in_repo=shard.path_in_repo,
        status="already-staged",
        where=where,
        path=path,
        sha256=shard.sha256,
        size=shard.size,
        digest=shard.digest,
    )
