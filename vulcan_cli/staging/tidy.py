"""Tidying after crashes: what died halfway is finished, what nobody needs is dropped.

Nothing here touches a parquet. Run it under the sync lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp
from vulcan_cli.files.folder import DAY, Folder, is_temporary
from vulcan_cli.files.open_files import path_of, sha256_of
from vulcan_cli.staging.area import LARGEST_SHARD, PRIVATE, SHARD_MODE, STATES, StagingArea, State
from vulcan_cli.staging.aside import HEAPS
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.moves import sha256_in
from vulcan_cli.staging.records import RECORD_LIMIT, RecordError, render_record
from vulcan_cli.staging.sidecar import Sidecar, parse_sidecar

MAKING_S = 60.0
"""Seconds for which one of a pair may be there without the other: its writer is at work."""

SidecarOf = Callable[[Path], Mapping[str, object] | None]
"""Reads the peer's four keys from a shard's footer; None where the file is no shard."""

_PLACES: tuple[tuple[str, ...], ...] = (
    *((state,) for state in STATES),
    (PRIVATE,),
    *((PRIVATE, name) for name in (*HEAPS, "journal", "review", "outgoing", "budget", "reasons")),
)


class Tidied(NamedTuple):
    """What was done.

    Attributes:
        temporaries: Hidden temporaries dropped.
        joined: Sidecars moved to the folder where their parquet is.
        rebuilt: Sidecars written anew from a footer.
        debris: Lone sidecars of ours dropped, a day after their writer died.
    """

    temporaries: int = 0
    joined: int = 0
    rebuilt: int = 0
    debris: int = 0


def tidy(
    area: StagingArea, *, sidecar_of: SidecarOf, check: Callable[[], None] = lambda: None
) -> Tidied:
    """Finish split pairs, rebuild missing sidecars, drop old temporaries and lone sidecars.

    What cannot be read or changed is left as it is.

    Args:
        area: The staging directory.
        sidecar_of: Reads a footer.
        check: Called before each change; what it raises (`LeaseLost`) ends the work.

    Raises:
        NotSetUp: A state folder is missing or a link.
        DiskTrouble: A state folder cannot be listed.
    """
    temporaries = sum(_drop_temporaries(area, names, check) for names in _PLACES)
    lone: list[tuple[State, str]] = []
    bare: dict[tuple[State, str], None] = {}
    for state in STATES:
        for entry in area.scan(state).entries:
            if not entry.has_parquet:
                lone.append((state, entry.name))
            elif not entry.has_sidecar:
                bare[state, entry.name] = None
    joined = rebuilt = debris = 0
    for state, name in lone:
        check()
        targets = [there for there in STATES if (there, name) in bare]
        joined += any(_join(area, name, state, there) for there in targets)
        debris += not targets and _drop_debris(area, name, state)
    for state, name in bare:
        check()
        rebuilt += _rebuild(area, name, state, sidecar_of)
    return Tidied(temporaries, joined, rebuilt, debris)


def _drop_temporaries(area: StagingArea, names: tuple[str, ...], check: Callable[[], None]) -> int:
    dropped = 0
    with contextlib.suppress(NotSetUp, DiskTrouble, OSError), area.folder(*names) as folder:
        found = [entry.name for entry in folder.scan() if is_temporary(entry.name)]
        now = folder.server_time() if found else 0.0
        for name in found:
            check()
            with contextlib.suppress(OSError):
                if _age(folder, name, now) > DAY:
                    dropped += folder.remove(name)
    return dropped


def _join(area: StagingArea, name: str, lone: State, bare: State) -> bool:
    """Move a sidecar to its parquet, where it says that it is that parquet's."""
    meta = f"{name}{SIDECAR_SUFFIX}"
    with contextlib.suppress(OSError), area.folder(lone) as here, area.folder(bare) as there:
        sidecar = _sidecar_in(here, meta)
        if sidecar is None:
            return False
        if sidecar.sha256 is None:
            # The peer's: it names no bytes, so let whoever may be at work finish first.
            if _age(here, meta, here.server_time()) < MAKING_S:
                return False
        elif sha256_in(there, name) != sidecar.sha256:
            return False
        if here.rename_exclusive(meta, there, meta):
            there.sync()
            here.sync()
            return True
    return False


def _drop_debris(area: StagingArea, name: str, state: State) -> bool:
    """Drop a sidecar that we wrote and whose parquet is in no state, once it is a day old."""
    meta = f"{name}{SIDECAR_SUFFIX}"
    with contextlib.suppress(OSError), area.folder(state) as folder:
        sidecar = _sidecar_in(folder, meta)
        if sidecar is None or sidecar.staged_by is None:
            return False
        if _age(folder, meta, folder.server_time()) > DAY and folder.status(name) is None:
            return folder.remove(meta)
    return False


def _rebuild(area: StagingArea, name: str, state: State, sidecar_of: SidecarOf) -> bool:
    meta = f"{name}{SIDECAR_SUFFIX}"
    with contextlib.suppress(OSError, BadShard), area.folder(state) as folder:
        if _age(folder, name, folder.server_time()) < MAKING_S:
            return False
        fd = folder.open_regular(name)
        try:
            record = sidecar_of(path_of(fd))
            if record is None:
                return False
            sha256, size = sha256_of(fd, limit=min(os.fstat(fd).st_size, LARGEST_SHARD))
        finally:
            os.close(fd)
        data = render_record({**record, "sha256": sha256, "size": size}, indent=2)
        return len(data) <= RECORD_LIMIT and folder.create(meta, data, SHARD_MODE)
    return False


def _sidecar_in(folder: Folder, meta: str) -> Sidecar | None:
    with contextlib.suppress(OSError, BadShard, RecordError):
        return parse_sidecar(folder.read(meta, RECORD_LIMIT))
    return None


def _age(folder: Folder, name: str, now: float) -> float:
    status = folder.status(name)
    return 0.0 if status is None else now - status.st_mtime
