"""Files of our own that are made for one commit, in memory and under no name."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path

from vulcan_cli.files.open_files import path_of, write_all
from vulcan_cli.hub.repo import Addition
from vulcan_cli.staging.area import disk_trouble


def addition(stack: ExitStack, path: str, data: bytes, replaces: str | None) -> Addition:
    """Bytes as an addition, readable as long as the stack is open.

    Raises:
        DiskTrouble: The system has no room for them, or none for a file so large.
    """
    with disk_trouble(Path(path)):
        fd = os.memfd_create("vulcan", os.MFD_CLOEXEC)
        stack.callback(os.close, fd)
        write_all(fd, data)
    return Addition(path, path_of(fd), hashlib.sha256(data).hexdigest(), len(data), replaces)
