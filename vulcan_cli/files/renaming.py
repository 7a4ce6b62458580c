"""Renames that replace nothing, a system call that Python does not have."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import cache

_RENAME_NOREPLACE = 1


def rename_noreplace(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename a name in an open folder to one in another, where that is free.

    Raises:
        OSError: EEXIST where it is taken; ENOSYS, EINVAL or EOPNOTSUPP where the kernel or the file
            system has no such call.
    """
    renameat2 = _renameat2()
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    failed = renameat2(source_dir, os.fsencode(source), target_dir, os.fsencode(target))
    if failed:
        raise OSError(failed, os.strerror(failed), source, None, target)


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes], int] | None:
    """The C library's renameat2 with `RENAME_NOREPLACE`, returning an errno; None where missing."""
    import ctypes  # noqa: PLC0415 - workers that only stage never need it

    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return None
    function.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )

    def call(source_dir: int, source: bytes, target_dir: int, target: bytes) -> int:
        if function(source_dir, source, target_dir, target, _RENAME_NOREPLACE) == 0:
            return 0
        return ctypes.get_errno()

    return call
