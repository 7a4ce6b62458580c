"""Is this entry a shard that we may publish? What is sent is the descriptor that was checked.

Whoever writes to `pending/` is not trusted: everything a file says of itself is held against its
name, its sidecar and its own columns, and read within limits.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa

from vulcan_cli.errors import BadShard, DiskTrouble
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import GONE, Identity, path_of, sha256_of
from vulcan_cli.staging.area import LARGEST_SHARD, StagingArea, State
from vulcan_cli.staging.carry import outgoing_copy
from vulcan_cli.staging.listing import SIDECAR_SUFFIX, Entry
from vulcan_cli.staging.records import RECORD_LIMIT, RecordError
from vulcan_cli.staging.sidecar import Sidecar, parse_sidecar
from vulcan_cli.sync.contents import check_contents
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.vacua.shard import Footer
from vulcan_cli.vacua.tail import footer_length

GRACE_S = 60.0
"""A file younger than this may still be on its way here, over NFS or from the peer's writer."""

_AT_ONCE = 16 << 20
"""A file of so many bytes is read once, hashed and parsed in memory."""

_MOST_THREADS = 4
_FEW = 8


class Checked(NamedTuple):
    """A shard that may be published. Close it when it was sent.

    Attributes:
        entry: The entry in the staging directory.
        path_in_repo: Where it goes, by its own footer.
        identity: The file's own, also where a copy of it is sent.
        fd: Descriptor of the bytes that were checked: the file, or a private copy of it.
        sha256: SHA-256 of those bytes, 64 hex digits.
        size: Their number.
        footer: What it says of itself.
        stray_sidecar: Another account put the sidecar beside it, so nobody looked into that.
    """

    entry: Entry
    path_in_repo: str
    identity: Identity
    fd: int
    sha256: str
    size: int
    footer: Footer
    stray_sidecar: bool = False

    @property
    def local(self) -> Path:
        """A path that reads exactly the checked bytes, whatever happens to the name."""
        return path_of(self.fd)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.fd)


class NotChecked(NamedTuple):
    """An entry that is not published in this run.

    Attributes:
        entry: The entry.
        verdict: `rejected`, to be set aside; `young`, too young to judge; `wait`, gone;
            `unreadable`.
        why: The reason, in words.
    """

    entry: Entry
    verdict: Literal["rejected", "young", "wait", "unreadable"]
    why: str

    def note(self, report: SyncReport, *, rejected: str) -> None:
        """Count the entry in a report, and say why; one that is gone is no fault.

        Args:
            report: Takes it.
            rejected: How to say that it is rejected, such as `is rejected`.
        """
        if self.verdict == "rejected":
            report.n_rejected += 1
            report.errors.append(f"{self.entry.name} {rejected}: {self.why}")
        elif self.verdict == "young":
            report.n_young += 1
        elif self.verdict == "unreadable":
            report.n_unreadable += 1
            report.errors.append(f"{self.entry.name}: {self.why}")


Result = Checked | NotChecked

Known = Mapping[str, Footer]
"""SHA-256 of whole shards to what each says of itself."""

_NONE: Known = {}


def check_all(
    area: StagingArea,
    entries: Sequence[Entry],
    *,
    now: float,
    state: State = "pending",
    copy: bool = True,
    known: Known = _NONE,
) -> list[Result]:
    """Check entries of a state folder, a few at the same time; results in their order.

    Args:
        area: The staging directory.
        entries: The entries, as they were listed.
        now: The file server's time, unix seconds.
        state: The folder they are in.
        copy: Send private copies of what another account may still change; False where nothing
            is sent and nothing may be written.
        known: Contents that were found to be shards before.

    Raises:
        NotSetUp, DiskTrouble: The folder itself cannot be opened.
    """
    with area.folder(state) as folder:
        check = _Check(area, folder, now, copy=copy, known=known)
        if len(entries) < _FEW:
            return [check.entry(entry) for entry in entries]
        # Parquet is decoded without holding Python's lock.
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
            return list(pool.map(check.entry, entries))


class _Check:
    """Checks entries of one open folder; used by several threads."""

    def __init__(
        self, area: StagingArea, folder: Folder, now: float, *, copy: bool, known: Known
    ) -> None:
        self._area = area
        self._folder = folder
        self._now = now
        self._copy = copy
        self._known = known
        self._me = os.geteuid()

    def entry(self, entry: Entry) -> Result:
        """Check one entry. What is wrong with it is in the result, never raised."""
        try:
            fd = self._folder.open_regular(entry.name)
        except BadShard as error:
            return NotChecked(entry, "rejected", error.reason)
        except OSError as error:
            return _not_now(entry, error)
        status = os.fstat(fd)
        try:
            _is_worth_reading(fd, status.st_size, entry.parquet)
            if self._copy and self._may_change(status):
                fd = _replaced(fd, outgoing_copy(self._area, fd, limit=LARGEST_SHARD))
            return self._checked(entry, fd, status)
        except BadShard as error:
            os.close(fd)
            # Also from the future: that is a clock, not an age.
            young = abs(self._now - status.st_mtime) < GRACE_S
            return NotChecked(entry, "young" if young else "rejected", error.reason)
        except (OSError, DiskTrouble) as error:
            os.close(fd)
            return _not_now(entry, error)
        except BaseException:
            os.close(fd)
            raise

    def _may_change(self, status: os.stat_result) -> bool:
        """Whether another account may still change these bytes."""
        return status.st_uid != self._me or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))

    def _checked(self, entry: Entry, fd: int, status: os.stat_result) -> Checked:
        path = entry.parquet
        footer, sha256, _, size = read_checked(fd, path, self._known)
        if footer.path_in_repo != entry.path_in_repo:
            raise BadShard(path, f"it says of itself that it is {footer.path_in_repo}")
        entry.check_room()
        stray = self._is_stray(entry, status.st_uid)
        sidecar = None if stray else self._sidecar(entry)
        if sidecar is not None:
            _agree(path, sidecar, footer, sha256, size)
        return Checked(
            entry, footer.path_in_repo, Identity.of(status), fd, sha256, size, footer, stray
        )

    def _is_stray(self, entry: Entry, owner: int) -> bool:
        """Whether the sidecar is of an account that is neither the shard's nor ours.

        In a sticky folder nobody else can take the name once the shard's own sidecar has it, but
        anybody can be first.
        """
        status = self._folder.status(f"{entry.name}{SIDECAR_SUFFIX}")
        return status is not None and status.st_uid not in {owner, self._me}

    def _sidecar(self, entry: Entry) -> Sidecar | None:
        try:
            return parse_sidecar(self._folder.read(f"{entry.name}{SIDECAR_SUFFIX}", RECORD_LIMIT))
        except FileNotFoundError:
            return None
        except BadShard as error:
            raise BadShard(entry.parquet, f"its sidecar: {error.reason}") from error
        except RecordError as error:
            raise BadShard(entry.parquet, f"its sidecar: {error}") from error


def _not_now(entry: Entry, error: OSError | DiskTrouble) -> NotChecked:
    """What it means that the file system refuses."""
    if error.errno == errno.EFBIG:
        # It has grown since it was looked at.
        return NotChecked(entry, "rejected", f"larger than {LARGEST_SHARD} bytes")
    words = str(error) if isinstance(error, DiskTrouble) else (error.strerror or str(error))
    return NotChecked(entry, "wait" if error.errno in GONE else "unreadable", words)


def _replaced(old: int, new: int) -> int:
    os.close(old)
    return new


def _is_worth_reading(fd: int, size: int, path: Path) -> None:
    """Look at the last bytes, before gigabytes are copied and hashed for nothing."""
    if size > LARGEST_SHARD:
        raise BadShard(path, f"larger than {LARGEST_SHARD} bytes")
    try:
        footer_length(os.pread(fd, 8, max(0, size - 8)), size)
    except ValueError as error:
        raise BadShard(path, str(error)) from error


def read_checked(
    fd: int, path: Path, known: Known = _NONE
) -> tuple[Footer, str, pa.NativeFile, int]:
    """Check what an open file holds, and hash it if it is a shard.

    Args:
        fd: Its descriptor.
        path: What to call it in an error.
        known: As for `check_all`; asked for files that are read at once.

    Returns:
        What it says of itself, its SHA-256, its bytes for a reader, and their number.

    Raises:
        BadShard: It is no shard.
        OSError: The system cannot read it, or has too little memory.
    """
    size = os.fstat(fd).st_size
    if size <= _AT_ONCE:
        # The very bytes that are hashed; one more than there are shows a file that grows.
        data = os.pread(fd, size + 1, 0)
        source = pa.BufferReader(data)
        sha256 = hashlib.sha256(data).hexdigest()
        footer = known.get(sha256) or check_contents(source, len(data), path)
        return footer, sha256, source, len(data)
    source = pa.OSFile(str(path_of(fd)))
    footer = check_contents(source, size, path)
    return footer, sha256_of(fd, limit=LARGEST_SHARD)[0], source, size


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
