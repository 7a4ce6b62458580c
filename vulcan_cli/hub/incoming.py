"""Content on its way into a directory repo: received aside, then given its place in the tree."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack

from vulcan_cli.files.folder import DAY, Folder
from vulcan_cli.files.open_files import write_all
from vulcan_cli.hub.commit_log import HIDDEN, Record, RecordedFile, RemovedFile
from vulcan_cli.hub.paths import parents
from vulcan_cli.hub.repo import Addition
from vulcan_cli.hub.tree import NOT_THERE, read_file

_CHUNK = 1 << 22


def give_places(root: Folder, incoming: Folder, record: Record) -> None:
    """Give the files of a commit their places; may be done again, and by several at once.

    Where something else took the place meanwhile, the content stays in the incoming folder, and
    what a file replaces must still be there.
    """
    with ExitStack() as stack:
        folders = {"": root}
        try:
            waiting = stack.enter_context(incoming.child(record.incoming))
        except FileNotFoundError:
            return
        blocked = False
        for file in record.files:
            blocked |= not _place_one(stack, folders, waiting, file)
        for number, removed in enumerate(record.removed):
            _take_out(stack, folders, waiting, removed, f"removed{number}")
        for folder in folders.values():
            folder.sync()
    if not blocked:
        remove_tree(incoming, record.incoming)


def _opened(
    stack: ExitStack, folders: dict[str, Folder], path: str, step: Callable[[Folder, str], Folder]
) -> tuple[Folder, str]:
    """The folder that a file is in, and its name there; each folder on the way is opened once."""
    for each in parents(path):
        if each not in folders:
            above, _, name = each.rpartition("/")
            folders[each] = stack.enter_context(step(folders[above], name))
    above, _, name = path.rpartition("/")
    return folders[above], name


def _place_one(
    stack: ExitStack, folders: dict[str, Folder], waiting: Folder, file: RecordedFile
) -> bool:
    """Give one file its place; False where another thing holds it."""
    try:
        folder, name = _opened(stack, folders, file.path, Folder.make_child)
        if file.replaces is not None:
            return _replace(waiting, file, folder, name)
        if waiting.link_exclusive(file.part, folder, name):
            return True
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise
        # Gone from here: another process that carries out the same commit was quicker.
        return waiting.status(file.part) is None
    there = read_file(folder, {}, name)
    return there is not None and there.sha256 == file.sha256


def _take_out(
    stack: ExitStack, folders: dict[str, Folder], waiting: Folder, file: RemovedFile, part: str
) -> None:
    """Take a file out of its place, unless that holds something else by now.

    It is moved to the incoming folder, which goes: who comes late finds that folder gone, and so
    cannot take out what a later commit has placed.
    """
    try:
        folder, name = _opened(stack, folders, file.path, Folder.child)
        there = read_file(folder, {}, name)
        if there is not None and there.sha256 == file.sha256:
            folder.rename_over(name, waiting, part)
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise


def _replace(waiting: Folder, file: RecordedFile, folder: Folder, name: str) -> bool:
    """Put a file where its predecessor stands; False where that is something else.

    The waiting file itself is moved: who comes late finds it gone, and so cannot put it over what
    a later commit has placed.
    """
    there = read_file(folder, {}, name)
    if there is not None and there.sha256 == file.sha256:
        return True
    if there is None and folder.status(name) is not None:
        return False
    if there is not None and there.sha256 != file.replaces:
        # Moved away by another process, which may even have replaced it once more since.
        return waiting.status(file.part) is None
    waiting.rename_over(file.part, folder, name)
    return True


def receive(addition: Addition, folder: Folder, part: str) -> bool:
    """Copy content in, durably; False where it is not what was checked."""
    try:
        source = os.open(addition.local, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    # O_DSYNC: each write is on the disk when it returns, as after fsync.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DSYNC
    try:
        target = os.open(part, flags, 0o666, dir_fd=folder.fd)
        try:
            digest, size = hashlib.sha256(), 0
            while data := os.read(source, _CHUNK):
                digest.update(data)
                size += len(data)
                write_all(target, data)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return (digest.hexdigest(), size) == (addition.sha256, addition.size)


def tidy(incoming: Folder, newest: str) -> None:
    """Drop content of writers that died, once it is a day old by the server's clock."""
    status = incoming.status(newest)
    assert status is not None
    for entry in list(incoming.scan()):
        found = incoming.status(entry.name)
        # Others take theirs away meanwhile.
        if found is not None and status.st_mtime - found.st_mtime > DAY:
            remove_tree(incoming, entry.name)


def remove_tree(above: Folder, name: str) -> None:
    """Remove a folder that holds only files; what goes wrong leaves debris and nothing worse."""
    with contextlib.suppress(OSError):
        with above.child(name) as folder:
            for entry in list(folder.scan()):
                folder.discard(entry.name)
        os.rmdir(name, dir_fd=above.fd)


def places_of(record: Record, file: RecordedFile) -> tuple[str, ...]:
    """Where a file of the newest commit is: in its place, or where it waits; it may be moved."""
    waiting = f"{HIDDEN}/incoming/{record.incoming}/{file.part}"
    if file.replaces is not None:
        # Its predecessor may still stand in its place.
        return waiting, file.path
    return file.path, waiting, file.path
