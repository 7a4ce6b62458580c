"""Making a staging directory that several accounts share, and bringing an old one into order."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.errors import DiskTrouble, NotSetUp, UsageError
from vulcan_cli.staging.area import SHARED_MODES, STATES, StagingArea, disk_trouble

# What stands in a folder that nobody has used yet: of mkfs, of file servers, and our settings.
_HARMLESS = {"lost+found", ".snapshot", ".snapshots", ".zfs", "vulcan.toml"}
_SHOWN = 3


class Changed(NamedTuple):
    """A folder whose permissions were changed.

    Attributes:
        path: The folder.
        mode: Its mode before and now, without the kind.
        group: Its group id before and now.
    """

    path: Path
    mode: tuple[int, int]
    group: tuple[int, int]


class Founded(NamedTuple):
    """What was done for a staging directory.

    Attributes:
        root: The staging directory, absolute.
        made: Folders that were missing.
        changed: Folders that were there with other permissions or another group.
        group: Group id of `pending/`: whose accounts may stage.
    """

    root: Path
    made: tuple[Path, ...]
    changed: tuple[Changed, ...]
    group: int


def found_area(root: Path, *, group: int | None = None) -> Founded:
    """Make a staging directory with the modes in `SHARED_MODES`, or give an old one these modes.

    Workers of the group may put files into `pending/` and touch no file of another there; all the
    rest belongs to the account that calls this, the head node's. Running it again changes nothing.

    Args:
        root: The staging directory; folders above it are made too.
        group: Group id of all folders; None leaves it to the system.

    Raises:
        UsageError: There is a folder that holds other things.
        NotSetUp: A link or a file stands where a folder should, or this account may not set the
            modes or the group.
        DiskTrouble: The file system refuses.
    """
    area = StagingArea(root.absolute())
    _must_be_ours_to_use(area)
    before = _modes(area)
    try:
        area.create(shared=True, group=group)
    except DiskTrouble as error:
        if error.errno not in {errno.EPERM, errno.EACCES}:
            raise
        raise NotSetUp("permission", _refusal(error, group)) from error
    after = _modes(area)
    return Founded(
        root=area.root,
        made=tuple(area.path(name) for name in after if name not in before),
        changed=tuple(
            Changed(
                area.path(name),
                mode=(before[name][0], after[name][0]),
                group=(before[name][1], after[name][1]),
            )
            for name in after
            if name in before and before[name] != after[name]
        ),
        group=after["pending"][1],
    )


def _must_be_ours_to_use(area: StagingArea) -> None:
    """Refuse a folder that somebody uses for something else: its modes would be changed."""
    try:
        folder = area.folder()
    except NotSetUp as missing:
        if area.root.is_symlink() or area.root.exists():
            raise UsageError(f"{area.root} is no folder") from missing
        return
    with folder, disk_trouble(area.root):
        names = sorted({entry.name for entry in folder.scan()} - _HARMLESS)
    if names and not set(STATES) & set(names):
        more = ", ..." if len(names) > _SHOWN else ""
        found = ", ".join(names[:_SHOWN]) + more
        raise UsageError(f"{area.root} is no staging directory and not empty: it holds {found}")


def _modes(area: StagingArea) -> dict[str, tuple[int, int]]:
    """Mode and group of each folder that is there; the root's name is empty."""
    found = {}
    for name in SHARED_MODES:
        try:
            folder = area.folder(*filter(None, [name]))
        except NotSetUp:
            continue
        with folder:
            status = os.fstat(folder.fd)
            found[name] = (stat.S_IMODE(status.st_mode), status.st_gid)
    return found


def _refusal(error: DiskTrouble, group: int | None) -> str:
    if error.errno == errno.EPERM and group is not None:
        return (
            f"this account may not give {error.path} to group {group}: "
            "its owner, as a member of that group, or root can"
        )
    return f"this account may not make {error.path} a staging directory: its owner or root can"
