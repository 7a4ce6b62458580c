"""Which file system a path is on, by the kernel's own table (proc(5), `/proc/PID/mountinfo`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_TABLE = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")

_NETWORK = {"nfs", "nfs4", "lustre", "beegfs", "gpfs", "cifs", "smb3", "ceph", "9p", "afs", "panfs"}
_MEMORY = {"tmpfs", "ramfs"}


class Mount(NamedTuple):
    """A mounted file system.

    Attributes:
        point: Where it is mounted.
        kind: Its type, such as `ext4`, `nfs4`, `lustre`.
        source: What is mounted: a device, `server:/export`.
        options: Of the mount and of the file system, such as `rw`, `vers=4.2`, `flock`.
    """

    point: Path
    kind: str
    source: str
    options: frozenset[str]

    @property
    def is_network(self) -> bool:
        """Whether other nodes may see it too."""
        return self.kind in _NETWORK or self.kind.startswith("fuse.")

    @property
    def is_memory(self) -> bool:
        """Whether a reboot empties it."""
        return self.kind in _MEMORY


def mount_of(path: Path, table: Path = _TABLE) -> Mount | None:
    """The mount that a path is on; None where the kernel tells of none.

    Args:
        path: It need not be there.
        table: The kernel's table, or a file that looks like it.
    """
    try:
        lines = table.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = path.resolve()
    mounts = [mount for mount in map(_parse, lines) if mount is not None]
    holding = [mount for mount in mounts if real.is_relative_to(mount.point)]
    # Of several at one place the last one hides the others.
    return max(reversed(holding), key=lambda mount: len(mount.point.parts), default=None)


def _parse(line: str) -> Mount | None:
    head, dash, tail = line.partition(" - ")
    fields, more = head.split(" "), tail.split(" ")
    if not dash or len(fields) < 6 or len(more) < 3:
        return None
    options = frozenset(f"{fields[5]},{more[2]}".split(","))
    return Mount(Path(_unescaped(fields[4])), more[0], _unescaped(more[1]), options)


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
