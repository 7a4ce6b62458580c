"""The operations of `Folder` for whole paths, whose parent folders may be links."""

from __future__ import annotations

from pathlib import Path

from vulcan_cli.files.folder import Folder


def fsync_dir(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    with Folder.open(path) as folder:
        folder.sync()


def new_temporary(directory: Path) -> tuple[int, Path]:
    """As `Folder.new_temporary`: (descriptor, path) of a new hidden file, mode 0600."""
    with Folder.open(directory) as folder:
        fd, name = folder.new_temporary()
    return fd, directory / name


def link_exclusive(source: Path, target: Path) -> bool:
    """As `Folder.link_exclusive`, for paths."""
    with Folder.open(source.parent) as here, Folder.open(target.parent) as there:
        return here.link_exclusive(source.name, there, target.name)


def rename_exclusive(source: Path, target: Path) -> bool:
    """As `Folder.rename_exclusive`, for paths."""
    with Folder.open(source.parent) as here, Folder.open(target.parent) as there:
        return here.rename_exclusive(source.name, there, target.name)


def replace_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """As `Folder.replace`, for a path; a link under that name is replaced, not followed."""
    with Folder.open(path.parent) as folder:
        folder.replace(path.name, data, mode)


def append_durably(path: Path, lines: bytes, mode: int = 0o644) -> None:
    """As `Folder.append`, for a path."""
    with Folder.open(path.parent) as folder:
        folder.append(path.name, lines, mode)


def remove(path: Path) -> bool:
    """As `Folder.remove`, for a path."""
    with Folder.open(path.parent) as folder:
        return folder.remove(path.name)
