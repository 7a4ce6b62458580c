"""The tree of a directory repo: what stands where, through no link, and what a commit changes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from vulcan_cli.errors import BadShard
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import sha256_of
from vulcan_cli.hub.commit_log import RemovedFile
from vulcan_cli.hub.repo import Addition, RemoteFile, Removal

NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
"""What the system says where no file can be, for want of a folder on the way to it."""


def is_free(root: Folder, path: str) -> bool:
    """Whether nothing stands at a path, nor anything but folders on the way to it."""
    with ExitStack() as stack:
        folder = root
        for part in path.split("/")[:-1]:
            if folder.status(part) is None:
                return True
            try:
                folder = stack.enter_context(folder.child(part))
            except OSError as error:
                if error.errno not in NOT_THERE:
                    raise
                return False
        return folder.status(path.rpartition("/")[2]) is None


def read_file(root: Folder, waiting: Mapping[str, tuple[str, ...]], path: str) -> RemoteFile | None:
    """What stands at a path, by reading it.

    Args:
        root: The folder of the repo.
        waiting: Where to look for a file, in turn, that may not be in its place yet.
        path: Its path in the repo.
    """
    for place in waiting.get(path, (path,)):
        fd = open_file(root, place)
        if fd is not None:
            try:
                sha256, size = sha256_of(fd)
            finally:
                os.close(fd)
            return RemoteFile(path, size, sha256)
    return None


def open_file(root: Folder, path: str) -> int | None:
    """Open a regular file for reading, through no link; None where there is none."""
    *above, name = path.split("/")
    with ExitStack() as stack:
        folder = root
        try:
            for part in above:
                folder = stack.enter_context(folder.child(part))
            return folder.open_regular(name)
        except BadShard:
            return None
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            return None


def walk(folder: Folder, prefix: str) -> Iterator[tuple[str, int]]:
    """All regular files below a folder, hidden ones left out: path and size."""
    for entry in sorted(folder.scan(), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            with folder.child(entry.name) as below:
                yield from walk(below, f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield prefix + entry.name, entry.stat(follow_symlinks=False).st_size


def to_remove(
    root: Folder, removals: Sequence[Removal]
) -> tuple[tuple[str, ...], tuple[RemovedFile, ...]]:
    """Paths that hold other content than is to be taken out, and files that are there to be."""
    altered, gone = [], []
    for removal in removals:
        file = read_file(root, {}, removal.path_in_repo)
        if file is not None and file.sha256 == removal.sha256:
            gone.append(RemovedFile(removal.path_in_repo, removal.sha256))
        elif file is not None or not is_free(root, removal.path_in_repo):
            altered.append(removal.path_in_repo)
    return tuple(altered), tuple(gone)


def to_add(root: Folder, additions: Sequence[Addition]) -> tuple[tuple[str, ...], list[Addition]]:
    """Paths that are taken, and additions that are not there yet."""
    taken, new = [], []
    for addition in additions:
        file = read_file(root, {}, addition.path_in_repo)
        if file is not None and file.sha256 == addition.sha256:
            continue
        replaced = file is not None and file.sha256 == addition.replaces
        if not replaced and (file is not None or not is_free(root, addition.path_in_repo)):
            taken.append(addition.path_in_repo)
        else:
            new.append(addition)
    return tuple(taken), new
