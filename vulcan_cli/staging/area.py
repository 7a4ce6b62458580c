"""The staging directory: its folders, who may write to them, and what stands in them.

Every access goes through a folder held open without following links, so nothing is read or written
outside the staging directory, whatever links it holds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp, StagingMissing
from vulcan_cli.files.folder import Folder, is_temporary
from vulcan_cli.staging.listing import SIDECAR_SUFFIX, Counts, Listing, count_names, list_names
from vulcan_cli.staging.records import RECORD_LIMIT, RecordError
from vulcan_cli.staging.sidecar import Sidecar, parse_sidecar

State = Literal["pending", "synced", "failed"]
"""Where a shard stands; each state is a folder."""

STATES: tuple[State, ...] = ("pending", "synced", "failed")

PRIVATE = "_vulcan"
"""The folder of the staging directory that belongs to the head node."""

LARGEST_SHARD = 2 << 30
"""A shard may have so many bytes in its file."""

SHARD_MODE = 0o440
"""Nobody changes a staged shard, and its group may read it."""

SHARED_MODES: Mapping[str, int] = {
    "": 0o2750,
    "pending": 0o3770,
    "synced": 0o2750,
    "failed": 0o2750,
    PRIVATE: 0o2750,
}
"""Modes of a staging directory that several people share: workers write to `pending` alone."""


@contextmanager
def disk_trouble(path: Path) -> Iterator[None]:
    """Turn an `OSError` in a block into `DiskTrouble`.

    Args:
        path: A file, or an open folder, where the error says which of its names it is about.
    """
    try:
        yield
    except OSError as error:
        raise DiskTrouble(_place_of(error, path), error) from error


def _place_of(error: OSError, path: Path) -> Path:
    # Where a name was looked up in an open folder, the system tells no more than the name.
    name = error.filename
    if not isinstance(name, str) or "/" in name or is_temporary(name) or name == path.name:
        return path
    return path / name


class StagingArea:
    """A staging directory.

    Attributes:
        root: Its path, as the person gave it; the only part where links are followed.
    """

    __slots__ = ("root",)

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"StagingArea({self.root!r})"

    def path(self, *names: str) -> Path:
        """A path in the staging directory, for messages and for reading: `path("pending")`."""
        return self.root.joinpath(*names)

    @property
    def pending(self) -> Path:
        """Where shards wait for sync."""
        return self.root / "pending"

    @property
    def synced(self) -> Path:
        """Where shards stand that the repo has confirmed."""
        return self.root / "synced"

    @property
    def failed(self) -> Path:
        """Where shards stand that the repo refused."""
        return self.root / "failed"

    @property
    def private(self) -> Path:
        """What belongs to the head node: lock, journal, budget, ledger, shards set aside."""
        return self.root / PRIVATE

    def create(self, *, shared: bool = False, group: int | None = None) -> None:
        """Make the folders that are missing, durably.

        Args:
            shared: Also give all folders, old and new, the modes in `SHARED_MODES`. Only then is
                `_vulcan` made here; else it is made by whoever first writes there, the head node.
            group: Group id for all of them.

        Raises:
            NotSetUp: A link or a file stands where a folder should.
            DiskTrouble: The file system refuses.
        """
        with disk_trouble(self.root):
            _make_path(self.root)
        names = [*STATES, PRIVATE] if shared or group is not None else STATES
        with self.folder() as root:
            for name in names:
                with self._folder_trouble(name), root.make_child(name) as folder:
                    _give(folder, SHARED_MODES[name] if shared else None, group)
            with disk_trouble(self.root):
                _give(root, SHARED_MODES[""] if shared else None, group)

    def exists(self) -> bool:
        """Whether there is a folder for each state."""
        try:
            self.require()
        except NotSetUp:
            return False
        return True

    def require(self) -> None:
        """Make sure that there is a folder for each state.

        Raises:
            NotSetUp: One is missing, or a link or a file stands in its place.
            DiskTrouble: One cannot be opened.
        """
        for state in STATES:
            self.folder(state).close()

    def folder(self, *names: str, create: bool = False) -> Folder:
        """Open a folder of the staging directory, such as `pending` or `_vulcan`, `journal`.

        Args:
            names: One step down each, none of them a link.
            create: Make what is missing below the root.

        Raises:
            NotSetUp: It is missing, or a link or a file stands in its place.
            DiskTrouble: It cannot be opened or made.
        """
        with self._folder_trouble():
            folder = Folder.open(self.root)
        for index, name in enumerate(names, 1):
            with folder, self._folder_trouble(*names[:index]):
                folder = folder.make_child(name) if create else folder.child(name)
        return folder

    @contextmanager
    def _folder_trouble(self, *names: str) -> Iterator[None]:
        path = self.root.joinpath(*names)
        try:
            yield
        except FileNotFoundError as error:
            raise StagingMissing(self.root, path) from error
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                message = f"{path} is no folder but a link or a file; vulcan goes nowhere else"
                raise NotSetUp("staging_dir", message) from error
            raise DiskTrouble(path, error) from error

    def scan(self, state: State) -> Listing:
        """List a state folder: one pass, nothing opened, nothing asked of the files.

        Raises:
            NotSetUp: There is no such folder.
            DiskTrouble: It cannot be read.
        """
        with self.folder(state) as folder, disk_trouble(folder.path):
            return list_names(folder)

    def counts(self, state: State) -> Counts:
        """Count a state folder without keeping any of its names.

        Raises:
            NotSetUp: There is no such folder.
            DiskTrouble: It cannot be read.
        """
        with self.folder(state) as folder, disk_trouble(folder.path):
            return count_names(folder)

    def open_shard(self, state: State, name: str) -> int:
        """Open the parquet of an entry for reading; the caller closes the descriptor.

        Raises:
            BadShard: It is not a regular file.
            DiskTrouble: It is not there or cannot be read; `errno` says which.
        """
        with self.folder(state) as folder, disk_trouble(folder.path / name):
            return folder.open_regular(name)

    def read_sidecar(self, state: State, name: str) -> Sidecar | None:
        """The sidecar of an entry, by the name of its parquet; None where there is none.

        Raises:
            BadShard: It is no regular file, too large, or not what a sidecar holds.
            DiskTrouble: It cannot be read.
        """
        sidecar = f"{name}{SIDECAR_SUFFIX}"
        with self.folder(state) as folder, disk_trouble(folder.path / sidecar):
            try:
                data = folder.read(sidecar, RECORD_LIMIT)
            except FileNotFoundError:
                return None
        try:
            return parse_sidecar(data)
        except RecordError as error:
            raise BadShard(self.path(state, sidecar), f"its sidecar: {error}") from error

    def server_time(self) -> float:
        """Now by the clock that stamps files in `pending/`, unix seconds.

        Raises:
            DiskTrouble: No file can be made there.
        """
        with self.folder("pending") as folder, disk_trouble(folder.path):
            return folder.server_time()

    def wider_than_needed(self) -> tuple[Path, ...]:
        """Folders that more accounts may write to than staging needs.

        All but `pending` are the head node's alone; in `pending` its group may write, where nobody
        may remove another's files (sticky).
        """
        wide = []
        for names in ((), *((state,) for state in STATES), (PRIVATE,)):
            with contextlib.suppress(NotSetUp, DiskTrouble), self.folder(*names) as folder:
                mode = os.fstat(folder.fd).st_mode
                shared = names == ("pending",) and mode & stat.S_ISVTX
                if mode & (stat.S_IWOTH if shared else stat.S_IWOTH | stat.S_IWGRP):
                    wide.append(folder.path)
        return tuple(wide)


def _make_path(path: Path) -> None:
    """Make a folder and those above it, each durable before anything is put in it."""
    if path.is_dir():
        return
    _make_path(path.parent)
    with Folder.open(path.parent) as parent, contextlib.suppress(FileExistsError):
        os.mkdir(path.name, dir_fd=parent.fd)
        parent.sync()


def _give(folder: Folder, mode: int | None, group: int | None) -> None:
    if group is not None:
        os.fchown(folder.fd, -1, group)
    # Last: changing the group takes the set-group-id bit away.
    if mode is not None:
        os.fchmod(folder.fd, mode)
