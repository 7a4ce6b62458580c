"""Files of our own that are made for one commit, in memory and under no name."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack

from vulcan_cli.files.open_files import path_of, write_all
from vulcan_cli.hub.repo import Addition


def addition(stack: ExitStack, path: str, data: bytes, replaces: str | None) -> Addition:
    """Bytes as an addition, readable as long as the stack is open."""
    fd = os.memfd_create("vulcan", os.MFD_CLOEXEC)
    stack.callback(os.close, fd)
    write_all(fd, data)
    return Addition(path, path_of(fd), hashlib.sha256(data).hexdigest(), len(data), replaces)
