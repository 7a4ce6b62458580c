"""The operations of `Folder` for whole paths, whose parent folders may be links; new folders."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from vulcan_cli.files.folder import DAY, Folder


def fsync_dir(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    with Folder.open(path) as folder:
        folder.sync()


def replace_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """As `Folder.replace`, for a path; a link under that name is replaced, not followed."""
    with Folder.open(path.parent) as folder:
        folder.replace(path.name, data, mode)


def append_durably(path: Path, lines: bytes) -> None:
    """As `Folder.append`, for a path."""
    with Folder.open(path.parent) as folder:
        folder.append(path.name, lines)


def is_vacant(path: Path) -> bool:
    """Whether nothing stands at a path but perhaps an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A hidden folder that takes the name of a vacant path, durably, when the block ends well.

    Else it is dropped, with all that is in it. A link at the path would not be replaced.

    Raises:
        OSError: It cannot be made, or cannot take the name.
    """
    making = path.parent / f".{path.name}.v{secrets.token_hex(8)}"
    try:
        making.mkdir(parents=True)
        yield making
        fsync_dir(making)
        with Folder.open(path.parent) as parent:
            parent.rename_over(making.name, parent, path.name)
            parent.sync()
    finally:
        shutil.rmtree(making, ignore_errors=True)


def drop_unfinished(path: Path, now: float) -> None:
    """Remove what killed runs of `new_folder` for this path left a day before `now`.

    Args:
        path: The path.
        now: The time by the clock that stamps files there, unix seconds.
    """
    for left in path.parent.glob(f".{escape(path.name)}.v*"):
        if left.is_dir() and not left.is_symlink() and now - left.stat().st_mtime > DAY:
            shutil.rmtree(left, ignore_errors=True)
