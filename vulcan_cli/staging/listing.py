"""The names in a folder of the staging directory: which are shards, which are not ours to touch."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.errors import BadShard
from vulcan_cli.files.folder import Folder, is_temporary
from vulcan_cli.files.open_files import GONE
from vulcan_cli.vacua.geometry import path_of_file_name

SHARD_SUFFIX = ".parquet"
SIDECAR_SUFFIX = ".meta.json"
LONGEST_NAME = 255
"""Bytes that a file name may have on every file system we know."""

_PARQUET, _SIDECAR = 1, 2


class Entry(NamedTuple):
    """A name in a state folder that should be a shard's.

    Attributes:
        name: File name of the parquet, whether or not it is there.
        folder: The state folder.
        has_parquet: Whether the parquet was listed.
        has_sidecar: Whether its sidecar was listed.
    """

    name: str
    folder: Path
    has_parquet: bool
    has_sidecar: bool

    @property
    def path_in_repo(self) -> str | None:
        """The path in the repo that the name stands for; None where it is no shard's name."""
        return path_of_file_name(self.name)

    @property
    def parquet(self) -> Path:
        """Where the parquet stands."""
        return self.folder / self.name

    @property
    def sidecar(self) -> Path:
        """Where the sidecar stands."""
        return self.folder / f"{self.name}{SIDECAR_SUFFIX}"

    def check_room(self) -> None:
        """Make sure that a sidecar can stand beside the parquet.

        Raises:
            BadShard: Its name would be longer than a file system takes.
        """
        if not self.has_room:
            raise BadShard(self.parquet, "its name leaves no room for that of its sidecar")

    @property
    def has_room(self) -> bool:
        """Whether the sidecar's name is no longer than a file system takes."""
        return len(os.fsencode(self.sidecar.name)) <= LONGEST_NAME


class Listing(NamedTuple):
    """The names in a state folder at one moment.

    Attributes:
        entries: By name, one for each parquet or lone sidecar.
        foreign: How many other names there are, which nobody touches.
        temporaries: How many hidden temporaries of ours there are.
    """

    entries: tuple[Entry, ...]
    foreign: int
    temporaries: int


class Counts(NamedTuple):
    """How much stands in a state folder.

    Attributes:
        shards: Names ending in `.parquet`.
        size: Their bytes, those of regular files.
        oldest: Modification time of the oldest of them, unix seconds; None where there is none.
        foreign: Other names, which nobody touches.
        temporaries: Hidden temporaries of ours.
        folders: How many shards go to each folder of the repo, such as `h12_2/h11_3/bucket_5`.
    """

    shards: int
    size: int
    oldest: float | None
    foreign: int
    temporaries: int
    folders: Mapping[str, int]


def sidecar_beside(parquet: Path) -> Path:
    """Where the sidecar of a shard stands."""
    return parquet.with_name(parquet.name + SIDECAR_SUFFIX)


def list_names(folder: Folder) -> Listing:
    """List a folder in one pass; nothing is opened, and nothing asked of the files.

    Raises:
        OSError: It cannot be read.
    """
    found: dict[str, int] = {}
    foreign = temporaries = 0
    for entry in folder.scan():
        name = entry.name
        if name.endswith(SHARD_SUFFIX):
            found[name] = found.get(name, 0) | _PARQUET
        elif _is_sidecar(name):
            name = name.removesuffix(SIDECAR_SUFFIX)
            found[name] = found.get(name, 0) | _SIDECAR
        elif is_temporary(name):
            temporaries += 1
        else:
            foreign += 1
    entries = tuple(
        Entry(name, folder.path, bool(found[name] & _PARQUET), bool(found[name] & _SIDECAR))
        for name in sorted(found)
    )
    return Listing(entries, foreign, temporaries)


def count_names(folder: Folder) -> Counts:
    """Count what is in a folder without keeping any of its names.

    Raises:
        OSError: It cannot be read.
    """
    shards = size = foreign = temporaries = 0
    oldest: float | None = None
    folders: dict[str, int] = {}
    for entry in folder.scan():
        name = entry.name
        if name.endswith(SHARD_SUFFIX):
            shards += 1
            place = name.partition("__run_")[0]
            folders[place] = folders.get(place, 0) + 1
            status = _status(entry)
            if status is not None and stat.S_ISREG(status.st_mode):
                size += status.st_size
                oldest = status.st_mtime if oldest is None else min(oldest, status.st_mtime)
        elif is_temporary(name):
            temporaries += 1
        elif not _is_sidecar(name):
            foreign += 1
    places = {place.replace("__", "/"): number for place, number in folders.items()}
    return Counts(shards, size, oldest, foreign, temporaries, places)


def _is_sidecar(name: str) -> bool:
    return name.endswith(SHARD_SUFFIX + SIDECAR_SUFFIX)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        # It was listed a moment ago, and moved on.
        if error.errno in GONE:
            return None
        raise
