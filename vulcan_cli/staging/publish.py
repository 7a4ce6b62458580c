"""Putting shards into `pending/`: whole, durable, and never over anything.

Temporaries first, for every shard of a run; then each gets its names by link(2), the sidecar before
the parquet. The parquet's name is the moment of truth, a sidecar alone decides nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Mapping
from typing import BinaryIO, Self

from vulcan_cli.errors import Conflict, InputRefused, Problem, TryLater
from vulcan_cli.files.open_files import Identity, sha256_of
from vulcan_cli.staging.already import Already, DigestOf, Prepared, Published
from vulcan_cli.staging.area import SHARD_MODE, StagingArea, disk_trouble
from vulcan_cli.staging.listing import LONGEST_NAME, SIDECAR_SUFFIX
from vulcan_cli.staging.records import RECORD_LIMIT, render_record
from vulcan_cli.vacua.geometry import file_name, path_of_file_name

# How long an NFS client may take to learn what another has done, and a little more.
_PAUSES = (0.0, 0.1, 1.0, 4.0, 10.0, 20.0)

# What stands under a sidecar's name and is not ours to replace: another's file, or a folder.
_IN_THE_WAY = {errno.EPERM, errno.EACCES, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST}


def publish(
    area: StagingArea,
    *,
    path_in_repo: str,
    write: Callable[[BinaryIO], object],
    sidecar: Mapping[str, object],
    digest: str,
    digest_of: DigestOf,
    staged_by: str,
) -> Published:
    """Publish one shard; see `Publication.add` and `Publication.link_all`."""
    with Publication(area, digest_of=digest_of, staged_by=staged_by) as publication:
        publication.add(path_in_repo=path_in_repo, write=write, sidecar=sidecar, digest=digest)
        (result,) = publication.link_all()
    if isinstance(result, Conflict):
        raise result
    return result


class Publication:
    """Shards that become visible together, after every one of them is complete on disk.

    Use it in a `with` block: `add` each shard, then `link_all` once. Leaving the block drops the
    temporaries. Killed at any point, it leaves hidden temporaries, at most lone sidecars, and no
    shard that is not complete.
    """

    def __init__(
        self,
        area: StagingArea,
        *,
        digest_of: DigestOf,
        staged_by: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare to publish.

        Args:
            area: The staging directory; it must exist.
            digest_of: Computes the content digest of a shard that is there already.
            staged_by: Who stages, such as `uid 1000 on node17`, for the sidecars.
            sleep: Waits where a name is taken and nobody can see by what.
        """
        self._area = area
        self._sleep = sleep
        self._digest_of = digest_of
        self._staged_by = staged_by
        self._temporaries: list[str] = []
        self._prepared: list[Prepared] = []

    def __enter__(self) -> Self:
        self._pending = self._area.folder("pending")
        self._already = Already(self._area, self._pending, self._digest_of)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._temporaries:
            self._pending.discard(name)
        self._pending.close()

    def add(
        self,
        *,
        path_in_repo: str,
        write: Callable[[BinaryIO], object],
        sidecar: Mapping[str, object],
        digest: str,
    ) -> None:
        """Write a shard and its sidecar to temporaries, durably; nothing becomes visible.

        Args:
            path_in_repo: The shard's name.
            write: Writes the parquet to an empty binary file.
            sidecar: The peer's keys: `path_in_repo`, `run_id`, `n_rows`, `provenance`.
            digest: The content digest.

        Raises:
            InputRefused: The name is none of a shard, or longer than a file system takes, or the
                sidecar is larger than readers take.
            DiskTrouble: The file system refuses, or is full.
        """
        name = _checked_name(path_in_repo)
        with disk_trouble(self._pending.path):
            parquet, sha256, size = self._complete(write)
            record = {
                **sidecar,
                "sha256": sha256,
                "size": size,
                "digest": digest,
                "staged_by": self._staged_by,
            }
            text = render_record(record, indent=2)
            if len(text) > RECORD_LIMIT:
                problem = f"provenance and solver take more than {RECORD_LIMIT} bytes as JSON"
                raise InputRefused(Problem(problem))
            meta, _, _ = self._complete(lambda file: file.write(text))
        self._prepared.append(Prepared(path_in_repo, name, digest, parquet, meta, sha256, size))

    def link_all(self) -> tuple[Published | Conflict, ...]:
        """Make all added shards visible, in their order, and durable.

        Returns:
            What became of each. A `Conflict` is returned where another process took the name with
            other rows at this very moment; the other shards are published nevertheless.

        Raises:
            Conflict: Some name is taken by other rows already. No shard was published.
            TryLater: Another process is at the same name.
            DiskTrouble: The file system refuses. Shards before that one are published.
        """
        with disk_trouble(self._pending.path):
            found = [self._already.find(shard) for shard in self._prepared]
            results = [
                there if there is not None else self._link(shard)
                for shard, there in zip(self._prepared, found, strict=True)
            ]
            # Also for what was there: whoever put it there may have died before its own fsync.
            self._pending.sync()
        return tuple(results)

    def _complete(self, write: Callable[[BinaryIO], object]) -> tuple[str, str, int]:
        """A temporary of final content, mode and group, durable: (name, SHA-256, size)."""
        fd, name = self._pending.new_temporary()
        self._temporaries.append(name)
        try:
            with os.fdopen(fd, "w+b", closefd=False) as file:
                write(file)
            sha256, size = sha256_of(fd)
            group = os.fstat(self._pending.fd).st_gid
            if os.fstat(fd).st_gid != group:
                # A folder of a group that is not ours: the file keeps our group.
                with contextlib.suppress(PermissionError):
                    os.fchown(fd, -1, group)
            os.fchmod(fd, SHARD_MODE)
            os.fsync(fd)
        finally:
            os.close(fd)
        return name, sha256, size

    def _link(self, shard: Prepared) -> Published | Conflict:
        pending, meta = self._pending, f"{shard.name}{SIDECAR_SUFFIX}"
        ours = pending.identity(shard.sidecar)
        try:
            named = self._link_sidecar(shard, meta)
            taken = self._link_parquet(shard)
            if taken is not None:
                if named:
                    self._take_back(meta, ours)
                return taken
        except BlockingIOError as error:
            message = f"another process is staging {shard.path_in_repo} just now"
            raise TryLater(message) from error
        if pending.identity(meta) != ours:
            self._make_true(shard.sidecar, meta)
        path = self._area.pending / shard.name
        return Published(
            path_in_repo=shard.path_in_repo,
            status="staged",
            where="pending",
            path=path,
            sha256=shard.sha256,
            size=shard.size,
            digest=shard.digest,
        )

    def _link_sidecar(self, shard: Prepared, meta: str) -> bool:
        try:
            return self._pending.link_exclusive(shard.sidecar, self._pending, meta)
        except BlockingIOError:
            # Of another with the same rows: the parquet decides whose it is.
            return False

    def _link_parquet(self, shard: Prepared) -> Published | Conflict | None:
        """Give the parquet its name; where that is taken, what came of it instead.

        Raises:
            BlockingIOError: It is taken, and nobody can see by what.
        """
        for pause in (*_PAUSES, None):
            try:
                if self._pending.link_exclusive(shard.parquet, self._pending, shard.name):
                    return None
                found = self._already.in_pending(shard) or self._already.find(shard)
            except Conflict as conflict:
                return conflict
            except BlockingIOError:
                # Without hard links a name is reserved for a moment, and then somebody's.
                found = None
            if found is not None:
                return found
            # Gone again: sync took it on between our link and our look, or this NFS client does
            # not know yet what another has put there.
            if pause is not None:
                self._sleep(pause)
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), shard.name)

    def _make_true(self, temporary: str, meta: str) -> None:
        """Put our sidecar beside our parquet, over debris of that name."""
        try:
            self._pending.rename_over(temporary, self._pending, meta)
        except OSError as error:
            # The shard is published all the same: its footer says everything a sidecar does.
            if error.errno not in _IN_THE_WAY:
                raise

    def _take_back(self, meta: str, ours: Identity | None) -> None:
        """Drop our sidecar beside a parquet that is not ours, and no other sidecar."""
        pending = self._pending
        if pending.identity(meta) != ours:
            return
        with pending.temporary() as (_, taken), contextlib.suppress(FileNotFoundError):
            pending.rename_over(meta, pending, taken)
            # Between the look and the rename, the parquet's owner may have put its own there.
            if pending.identity(taken) != ours:
                pending.link_exclusive(taken, pending, meta)


def _checked_name(path_in_repo: str) -> str:
    name = file_name(path_in_repo)
    if path_of_file_name(name) != path_in_repo:
        raise InputRefused(Problem("not the path of a shard in a repo", value=path_in_repo[:200]))
    length = len(os.fsencode(name)) + len(SIDECAR_SUFFIX)
    if length > LONGEST_NAME:
        problem = f"the file name takes {length} bytes with {SIDECAR_SUFFIX}, {LONGEST_NAME} fit"
        raise InputRefused(Problem(problem, value=path_in_repo))
    return name
