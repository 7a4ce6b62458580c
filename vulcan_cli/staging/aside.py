"""Entries set aside: taken out of a state folder with a reason, whole, never opened or followed.

They stand in `_vulcan/rejected/` or `_vulcan/conflicts/` under an id, because the old name may be
hostile or as long as a name can be; it stands in `<id>.why.json`.
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
from vulcan_cli.files.open_files import Identity, kind_of
from vulcan_cli.staging.area import PRIVATE, StagingArea, State, disk_trouble
from vulcan_cli.staging.carry import carry
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.records import (
    RECORD_LIMIT,
    RecordError,
    key_of_name,
    parse_record,
    render_record,
    seconds_of,
    text_of,
)

Heap = Literal["rejected", "conflicts"]
"""Why an entry was set aside: it is no shard we may publish, or its name is taken elsewhere."""

HEAPS: tuple[Heap, ...] = ("rejected", "conflicts")

_WHY_SUFFIX = ".why.json"
# So many reasons are written before the entries they are about move.
_TOGETHER = 100


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
    id_ = f"{key_of_name(name)}-{file}"
    return id_ if heap.status(id_) is None else f"{key_of_name(name)}-{secrets.token_hex(4)}"


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
            if _is_entry(entry.name) and (name is None or entry.name.startswith(key_of_name(name)))
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
        return sum(_is_entry(entry.name) for entry in folder.scan())


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


def _is_entry(name: str) -> bool:
    """Whether a name in a heap is that of an entry, neither hidden nor beside one."""
    return not name.startswith(".") and not name.endswith((_WHY_SUFFIX, SIDECAR_SUFFIX))


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
