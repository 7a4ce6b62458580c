"""The operations of `Folder` for whole paths, whose parent folders may be links."""

from __future__ import annotations

from pathlib import Path

from vulcan_cli.files.folder import Folder


def fsync_dir(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    with Folder.open(path) as folder:
        folder.sync()


def replace_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """As `Folder.replace`, for a path; a link under that name is replaced, not followed."""
    with Folder.open(path.parent) as folder:
        folder.replace(path.name, data, mode)


def append_durably(path: Path, lines: bytes, mode: int = 0o644) -> None:
    """As `Folder.append`, for a path."""
    with Folder.open(path.parent) as folder:
        folder.append(path.name, lines, mode)
