"""How many files this process may hold open."""

from __future__ import annotations

import contextlib
import resource

_SPARE = 256
"""Descriptors for all else: folders, connections, the lock."""


def room_for_files(wanted: int) -> int:
    """How many of so many files may be open at once, after asking the system for more if need be.

    Checked shards stay open until they are sent, and many systems give a process 1024 descriptors
    at first and half a million for the asking.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted + _SPARE:
        return wanted
    more = wanted + _SPARE if hard == resource.RLIM_INFINITY else min(hard, wanted + _SPARE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
        soft = more
    return max(1, min(wanted, soft - min(_SPARE, soft // 2)))
