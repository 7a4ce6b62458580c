"""Entries set aside: taken out of a state folder with a reason, whole, never opened or followed.

They stand in `_vulcan/rejected/` or `_vulcan/conflicts/` under an id, because the old name may be
hostile or as long as a name can be; it stands in `<id>.why.json`. Why a shard is in `failed/`
stands in `_vulcan/reasons/`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import Identity, kind_of, path_of, sha256_of, write_all
from vulcan_cli.staging.area import (
    LARGEST_SHARD,
    PRIVATE,
    SIDECAR_SUFFIX,
    StagingArea,
    State,
    disk_trouble,
)
from vulcan_cli.staging.records import (
    RECORD_LIMIT,
    RecordError,
    parse_record,
    render_record,
    seconds_of,
    text_of,
)

Heap = Literal["rejected", "conflicts"]
"""Why an entry was set aside: it is no shard we may publish, or its name is taken elsewhere."""

HEAPS: tuple[Heap, ...] = ("rejected", "conflicts")

Carried = Literal["renamed", "copied", "taken"]
"""What `carry` did: `taken`, the new name is something else's and nothing changed."""

_WHY_SUFFIX = ".why.json"
# So many reasons are written before the entries they are about move.
_TOGETHER = 100
_CHUNK = 1 << 20


class Aside(NamedTuple):
    """An entry that was set aside. All texts are as hostile as what they came from.

    Attributes:
        id: What it is called in its heap.
        heap: `rejected` or `conflicts`.
        name: The name it had in the state folder.
        state: That folder.
        why: The reason, as the caller gave it.
        time: When, unix seconds.
        path: Where it stands now.
    """

    id: str
    heap: Heap
    name: str
    state: str
    why: str
    time: float
    path: Path


class Unwanted(NamedTuple):
    """An entry to set aside.

    Attributes:
        name: Its name: a parquet's, or any other name in the folder.
        why: The reason, for people.
    """

    name: str
    why: str


def set_aside(
    area: StagingArea,
    name: str,
    *,
    into: Heap,
    why: str,
    state: State = "pending",
    clock: Callable[[], float] = time.time,
) -> Aside:
    """Take an entry of any kind out of a state folder, with its sidecar where it has one.

    The reason is durable before the entry moves. Killed in between, the entry is where it was, and
    doing it again leaves nothing behind.

    Args:
        area: The staging directory.
        name: The entry's name: a parquet's, or any other name in that folder.
        into: The heap.
        why: The reason, for people.
        state: The folder it is in.
        clock: Gives the time for the record.

    Raises:
        DiskTrouble: It is gone or cannot be moved; it is where it was, and the caller goes on.
    """
    (made,) = set_all_aside(area, [Unwanted(name, why)], into=into, state=state, clock=clock)
    if isinstance(made, DiskTrouble):
        raise made
    return made


def set_all_aside(
    area: StagingArea,
    entries: Sequence[Unwanted],
    *,
    into: Heap,
    state: State = "pending",
    check: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.time,
) -> list[Aside | DiskTrouble]:
    """As `set_aside`, for many: a disk that is slow to make things durable is asked less often.

    Args:
        area: The staging directory.
        entries: Which, and why; no name twice.
        into: The heap.
        state: The folder they are in.
        check: Called before each move; what it raises (`LeaseLost`) ends the work, with the entries
            before that one moved.
        clock: Gives the time for the records.

    Returns:
        What became of each: it is aside, or where it was.

    Raises:
        DiskTrouble: A folder cannot be opened or made durable.
    """
    done: list[Aside | DiskTrouble] = []
    with (
        area.folder(state) as here,
        area.folder(PRIVATE, into, create=True) as there,
        disk_trouble(there.path),
    ):
        for start in range(0, len(entries), _TOGETHER):
            wanted = [
                Aside("", into, each.name, state, each.why, clock(), Path())
                for each in entries[start : start + _TOGETHER]
            ]
            done += _set_part_aside(here, there, wanted, check)
    return done


def _set_part_aside(
    here: Folder, there: Folder, wanted: Sequence[Aside], check: Callable[[], None]
) -> list[Aside | DiskTrouble]:
    """All reasons, then all moves: each folder is made durable once for all of them."""
    done = [_explained(here, there, each) for each in wanted]
    there.sync()
    try:
        for number, made in enumerate(done):
            if isinstance(made, Aside):
                check()
                done[number] = _taken(here, there, made)
    finally:
        there.sync()
        here.sync()
    return done


def _explained(here: Folder, there: Folder, made: Aside) -> Aside | DiskTrouble:
    """Give an entry its id, and write down why, durably once the folder is synced."""
    try:
        status = here.status(made.name)
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        id_ = _id_of(made.name, status, there)
        said = {"name": made.name, "state": made.state, "why": made.why, "time": made.time}
        record = render_record(said | {"kind": kind_of(status.st_mode)})
        there.replace_unsynced(f"{id_}{_WHY_SUFFIX}", record)
    except OSError as error:
        return DiskTrouble(here.path / made.name, error)
    return made._replace(id=id_, path=there.path / id_)


def _taken(here: Folder, there: Folder, made: Aside) -> Aside | DiskTrouble:
    """Move an entry whose reason is durable; one that cannot be moved needs no reason."""
    try:
        if carry(here, made.name, there, made.id) == "taken":
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), made.id)
    except OSError as error:
        # Unless another sync, with the lock broken, has moved it there.
        if there.status(made.id) is None:
            there.discard(f"{made.id}{_WHY_SUFFIX}")
        return DiskTrouble(here.path / made.name, error)
    # A sidecar that cannot come along says nothing that the shard does not.
    with contextlib.suppress(OSError):
        carry(here, f"{made.name}{SIDECAR_SUFFIX}", there, f"{made.id}{SIDECAR_SUFFIX}")
    return made


def _id_of(name: str, status: os.stat_result, heap: Folder) -> str:
    """What an entry is called in a heap: the same for the same file, as a run may die halfway."""
    file = hashlib.sha256(repr(Identity.of(status)).encode()).hexdigest()[:8]
    id_ = f"{_prefix(name)}-{file}"
    return id_ if heap.status(id_) is None else f"{_prefix(name)}-{secrets.token_hex(4)}"


def entries_aside(area: StagingArea, heap: Heap, *, name: str | None = None) -> Iterator[Aside]:
    """What stands in a heap, in no order; with `name`, only what had that name.

    Entries whose reason cannot be read come with an empty name and reason, unless `name` is given.

    Raises:
        DiskTrouble: The heap cannot be listed.
    """
    try:
        folder = area.folder(PRIVATE, heap)
    except NotSetUp:
        return
    with folder, disk_trouble(folder.path):
        ids = [
            entry.name
            for entry in folder.scan()
            if not entry.name.startswith(".")
            and not entry.name.endswith((_WHY_SUFFIX, SIDECAR_SUFFIX))
            and (name is None or entry.name.startswith(_prefix(name)))
        ]
        found = [_read_why(folder, heap, id_) for id_ in ids]
    yield from (aside for aside in found if name is None or aside.name == name)


def count_aside(area: StagingArea, heap: Heap) -> int:
    """How many entries stand in a heap, without reading why; 0 where nobody ever set one aside.

    Raises:
        DiskTrouble: The heap cannot be listed.
    """
    try:
        folder = area.folder(PRIVATE, heap)
    except NotSetUp:
        return 0
    with folder, disk_trouble(folder.path):
        return sum(
            not entry.name.startswith(".")
            and not entry.name.endswith((_WHY_SUFFIX, SIDECAR_SUFFIX))
            for entry in folder.scan()
        )


def forget_aside(area: StagingArea, aside: Aside) -> None:
    """Drop what is left of an entry that was moved back: its reason, and a sidecar.

    Raises:
        DiskTrouble: That cannot be removed.
    """
    with area.folder(PRIVATE, aside.heap) as folder, disk_trouble(folder.path):
        if folder.status(aside.id) is None:
            folder.remove(f"{aside.id}{SIDECAR_SUFFIX}")
            folder.remove(f"{aside.id}{_WHY_SUFFIX}")
            folder.sync()


def write_reason(
    area: StagingArea, name: str, why: str, *, clock: Callable[[], float] = time.time
) -> None:
    """Say, durably, why the shard of this file name is in `failed/`.

    Raises:
        DiskTrouble: It cannot be written.
    """
    with area.folder(PRIVATE, "reasons", create=True) as folder, disk_trouble(folder.path):
        folder.replace(_reason(name), render_record({"name": name, "why": why, "time": clock()}))


def read_reason(area: StagingArea, name: str) -> str | None:
    """Why the shard of this file name is in `failed/`; None where nobody said or may read it."""
    with contextlib.suppress(OSError, NotSetUp, DiskTrouble, BadShard, RecordError):
        with area.folder(PRIVATE, "reasons") as folder:
            record = parse_record(folder.read(_reason(name), RECORD_LIMIT))
        if text_of(record, "name") == name:
            return text_of(record, "why")
    return None


def forget_reason(area: StagingArea, name: str) -> None:
    """Drop the reason of a shard that is no longer in `failed/`; never an error."""
    with contextlib.suppress(NotSetUp, DiskTrouble), area.folder(PRIVATE, "reasons") as folder:
        folder.discard(_reason(name))


def carry(
    here: Folder, name: str, there: Folder, new_name: str, *, by_link: bool = False
) -> Carried:
    """Move an entry without replacing anything, by copy where it is another file system.

    Args:
        here: The folder it is in.
        name: Its name there.
        there: The folder it goes to.
        new_name: Its name there.
        by_link: As for `Folder.rename_exclusive`.

    Raises:
        OSError: It cannot be moved; it is still where it was.
    """
    try:
        renamed = here.rename_exclusive(name, there, new_name, by_link=by_link)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return "renamed" if renamed else "taken"
    try:
        return "copied" if _copy_across(here, name, there, new_name) else "taken"
    except BadShard as error:
        raise OSError(errno.EXDEV, f"{error.reason}, and on another file system") from error


def _copy_across(here: Folder, name: str, there: Folder, new_name: str) -> bool:
    """Copy aside, fsync, compare, name, fsync, and only then unlink."""
    fd = here.open_regular(name)
    try:
        status = os.fstat(fd)
        with there.temporary() as (copy, temporary):
            copy_bytes(fd, copy, limit=LARGEST_SHARD)
            with contextlib.suppress(PermissionError):
                os.fchown(copy, -1, status.st_gid)
            os.fchmod(copy, status.st_mode & 0o777)
            os.fsync(copy)
            if sha256_of(copy) != sha256_of(fd):
                raise OSError(errno.EBUSY, "it changed while it was copied")
            if not there.link_exclusive(temporary, there, new_name):
                return False
            there.sync()
        if here.identity(name) == Identity.of(status):
            here.remove(name)
        return True
    finally:
        os.close(fd)


def copy_bytes(source: int, target: int, *, limit: int) -> None:
    """Copy a file from its start, to where the target's descriptor stands.

    Raises:
        OSError: One of them refuses, or the file holds more than `limit` bytes (EFBIG).
    """
    too_large = OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if os.fstat(source).st_size > limit:
        raise too_large
    offset = 0
    while data := os.pread(source, _CHUNK, offset):
        offset += len(data)
        if offset > limit:
            raise too_large
        write_all(target, data)


def outgoing_copy(area: StagingArea, fd: int, *, limit: int) -> int:
    """A private copy of an open file, for bytes that another account may still change.

    The copy has no name, so nothing is left of it when its descriptor is closed; send it by
    `files.path_of(descriptor)`.

    Args:
        area: The staging directory.
        fd: What to copy.
        limit: Bytes after which to give up.

    Raises:
        DiskTrouble: No room, or the file is longer than `limit` (EFBIG).
    """
    with (
        area.folder(PRIVATE, "outgoing", create=True) as folder,
        disk_trouble(folder.path),
        folder.temporary() as (copy, _),
    ):
        copy_bytes(fd, copy, limit=limit)
        return os.open(path_of(copy), os.O_RDONLY | os.O_CLOEXEC)


def _prefix(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _reason(name: str) -> str:
    return f"{_prefix(name)}.json"


def _read_why(folder: Folder, heap: Heap, id_: str) -> Aside:
    path = folder.path / id_
    try:
        record = parse_record(folder.read(f"{id_}{_WHY_SUFFIX}", RECORD_LIMIT))
        return Aside(
            id=id_,
            heap=heap,
            name=text_of(record, "name"),
            state=text_of(record, "state"),
            why=text_of(record, "why"),
            time=seconds_of(record, "time"),
            path=path,
        )
    except (OSError, BadShard, RecordError):
        return Aside(id_, heap, "", "", "", 0.0, path)
