"""Is this entry a shard that we may publish? What is sent is the descriptor that was checked.

Whoever writes to `pending/` is not trusted: everything a file says of itself is held against its
name, its sidecar and its own columns, and read within limits.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from vulcan_cli.errors import BadShard, DiskTrouble
from vulcan_cli.files import Identity, path_of, sha256_of
from vulcan_cli.staging.area import Entry, Sidecar, StagingArea, State
from vulcan_cli.staging.aside import outgoing_copy
from vulcan_cli.vacua import secrets
from vulcan_cli.vacua.schema import DTYPES, IDENTITY, REQUIRED
from vulcan_cli.vacua.shard import PROVENANCE_KEY, Footer, parse_footer
from vulcan_cli.vacua.text_columns import columns_with_secrets, holds_text

MOST_BYTES = 2 << 30
"""A shard may have so many bytes in its file."""

MOST_UNPACKED = 16 << 30
"""A shard may claim so many bytes unpacked."""

MOST_UNPACKED_RATIO = 1000
"""Unpacked to packed: real vacua stay far below, a bomb far above."""

SMALL = 64 << 20
"""Below this many unpacked bytes, the ratio says nothing: equal rows pack very well."""

MOST_ROWS = 100_000_000

GRACE_S = 60.0
"""A file younger than this may still be on its way here, over NFS or from the peer's writer."""

_UNREADABLE = (
    pa.ArrowException,
    pl.exceptions.PolarsError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    RecursionError,
)
_NOT_NOW = {errno.ENOENT, errno.ESTALE}


@dataclass(frozen=True, slots=True)
class Checked:
    """A shard that may be published. Close it when it was sent.

    Attributes:
        entry: The entry in the staging directory.
        path_in_repo: Where it goes, by its own footer.
        identity: The file's own, also where a copy of it is sent.
        fd: Descriptor of the bytes that were checked: the file, or a private copy of it.
        sha256: SHA-256 of those bytes, 64 hex digits.
        size: Their number.
        footer: What it says of itself.
    """

    entry: Entry
    path_in_repo: str
    identity: Identity
    fd: int
    sha256: str
    size: int
    footer: Footer

    @property
    def local(self) -> Path:
        """A path that reads exactly the checked bytes, whatever happens to the name."""
        return path_of(self.fd)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class NotChecked:
    """An entry that is not published in this run.

    Attributes:
        entry: The entry.
        verdict: `rejected`, to be set aside; `wait`, too young to judge or gone; `unreadable`.
        why: The reason, in words.
    """

    entry: Entry
    verdict: Literal["rejected", "wait", "unreadable"]
    why: str


def check(
    area: StagingArea, entry: Entry, *, now: float, state: State = "pending", copy: bool = True
) -> Checked | NotChecked:
    """Check one entry of a state folder.

    Args:
        area: The staging directory.
        entry: The entry, as it was listed.
        now: The file server's time, unix seconds.
        state: The folder it is in.
        copy: Send a private copy of what another account may still change; False where nothing
            is sent and nothing may be written.
    """
    try:
        fd = area.open_shard(state, entry.name)
    except BadShard as error:
        return NotChecked(entry, "rejected", error.reason)
    except DiskTrouble as error:
        return NotChecked(entry, "wait" if error.errno in _NOT_NOW else "unreadable", str(error))
    status = os.fstat(fd)
    young = now - status.st_mtime < GRACE_S
    try:
        if copy and _may_change(status):
            fd = _replaced(fd, outgoing_copy(area, fd, limit=MOST_BYTES))
        return _checked(area, entry, state, fd, Identity.of(status))
    except BadShard as error:
        os.close(fd)
        return NotChecked(entry, "wait" if young else "rejected", error.reason)
    except DiskTrouble as error:
        os.close(fd)
        if error.errno == errno.EFBIG:
            return NotChecked(entry, "rejected", f"larger than {MOST_BYTES} bytes")
        return NotChecked(entry, "wait" if error.errno in _NOT_NOW else "unreadable", str(error))


def _may_change(status: os.stat_result) -> bool:
    """Whether another account may still change these bytes."""
    return status.st_uid != os.geteuid() or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _replaced(old: int, new: int) -> int:
    os.close(old)
    return new


def _checked(area: StagingArea, entry: Entry, state: State, fd: int, identity: Identity) -> Checked:
    path = entry.parquet
    try:
        sha256, size = sha256_of(fd, limit=MOST_BYTES)
    except OSError as error:
        raise DiskTrouble(path, error) from error
    with os.fdopen(os.dup(fd), "rb") as file:
        footer = _contents(file, path)
    if footer.path_in_repo != entry.path_in_repo:
        raise BadShard(path, f"it says of itself that it is {footer.path_in_repo}")
    sidecar = area.read_sidecar(state, entry.name)
    if sidecar is not None:
        _agree(path, sidecar, footer, sha256, size)
    return Checked(entry, footer.path_in_repo, identity, fd, sha256, size, footer)


def _contents(file: BinaryIO, path: Path) -> Footer:
    """The footer of an open parquet file, held against the file's own columns, counts and rows."""
    try:
        parquet = pq.ParquetFile(file)
        schema, metadata = parquet.schema_arrow, parquet.metadata
        pairs = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        footer = parse_footer(pairs)
        _no_secrets(pairs, schema.names, path)
        _within_limits(metadata, footer, os.fstat(file.fileno()).st_size, path)
        _rows(file, pl.DataFrame(schema.empty_table()).schema, footer, path)
    except _UNREADABLE as error:
        raise BadShard(path, (str(error).splitlines() or ["unreadable"])[0][:200]) from error
    return footer


def _within_limits(metadata: pq.FileMetaData, footer: Footer, size: int, path: Path) -> None:
    if metadata.num_rows != footer.n_rows or not 0 < footer.n_rows <= MOST_ROWS:
        raise BadShard(path, f"{metadata.num_rows} rows where its footer says {footer.n_rows}")
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if unpacked > MOST_UNPACKED or unpacked > max(SMALL, MOST_UNPACKED_RATIO * size):
        raise BadShard(path, f"it would unpack to {unpacked} bytes")


def _rows(file: BinaryIO, schema: Mapping[str, pl.DataType], footer: Footer, path: Path) -> None:
    """Known columns have their types, every row its identity, and no text looks like a token."""
    for name in (*REQUIRED, *IDENTITY):
        if schema.get(name) != DTYPES[name]:
            raise BadShard(path, f"column {name} is {schema.get(name, 'missing')}")
    texts = [name for name, dtype in schema.items() if holds_text(dtype)]
    file.seek(0)
    frame = pl.read_parquet(file, columns=list(dict.fromkeys([*IDENTITY, *texts])))
    wanted = {
        "run_id": footer.run_id,
        "geometry_id": footer.geometry.geometry_id,
        **footer.geometry.as_dict(),
    }
    found = frame.select(IDENTITY).unique()
    if found.height != 1 or found.row(0, named=True) != wanted:
        raise BadShard(path, "its rows are not of the run and geometry that its footer names")
    for name in columns_with_secrets(frame.select(texts)):
        raise BadShard(path, f"column {secrets.scrub(name)} holds what looks like a token")


def _no_secrets(pairs: Mapping[str, str], names: Iterable[str], path: Path) -> None:
    said = [*pairs, *pairs.values(), *names, json.dumps(json.loads(pairs[PROVENANCE_KEY]))]
    if any(map(secrets.looks_secret, said)):
        raise BadShard(path, "its metadata holds what looks like a token")


def _agree(path: Path, sidecar: Sidecar, footer: Footer, sha256: str, size: int) -> None:
    """What stands beside the shard says the same as the shard."""
    pairs = {
        "path_in_repo": (sidecar.path_in_repo, footer.path_in_repo),
        "run_id": (sidecar.run_id, footer.run_id),
        "n_rows": (sidecar.n_rows, footer.n_rows),
        "sha256": (sidecar.sha256 or sha256, sha256),
        "size": (sidecar.size if sidecar.size is not None else size, size),
    }
    for name, (said, found) in pairs.items():
        if said != found:
            raise BadShard(path, f"its sidecar says another {name}")
