"""Files of one revision: an immutable tree with the folders derived from its paths."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: size, git blob id (of the pointer for LFS), SHA-256, the commit that wrote it."""

    size: int
    blob: str
    sha256: str
    lfs: bool
    commit: str

    @property
    def oid(self) -> str:
        """What `preupload` and `ETag` call the content: sha256 for LFS, git blob id otherwise."""
        return self.sha256 if self.lfs else self.blob


def blob_id(content: bytes) -> str:
    """The git id of a blob with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """The LFS pointer file that git stores in place of the content."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


def parent(path: str) -> str:
    """The folder of a path; the root is the empty string."""
    return path.rpartition("/")[0]


class Tree:
    """Immutable mapping path -> Entry, and folder -> how many entries it holds directly."""

    __slots__ = ("_children", "_ids", "_paths", "files", "folders")

    def __init__(self, files: dict[str, Entry], folders: dict[str, int]) -> None:
        self.files = files
        self.folders = folders
        self._paths: list[str] | None = None
        self._children: dict[str, list[str]] | None = None
        self._ids: dict[str, str] = {}

    def changed(self, writes: Mapping[str, Entry], deletes: Iterable[str]) -> Tree:
        """A new tree: `deletes` (paths of files) removed first, then `writes` put in."""
        files, folders = dict(self.files), dict(self.folders)
        for path in deletes:
            if files.pop(path, None) is not None:
                _leave(folders, path)
        for path, entry in writes.items():
            if path not in files:
                _enter(folders, path)
            files[path] = entry
        return Tree(files, folders)

    def below(self, folder: str, *, recursive: bool) -> list[str]:
        """Sorted paths of files and folders in a folder, at every depth or only directly."""
        if not recursive:
            return self._child_index().get(folder, [])
        paths = self._sorted_paths()
        if not folder:
            return paths
        return paths[bisect_left(paths, folder + "/") : bisect_left(paths, folder + "0")]

    def page(
        self, folder: str, *, recursive: bool, after: str, size: int
    ) -> tuple[list[str], bool]:
        """At most `size` paths that sort after `after`, and whether more follow."""
        paths = self.below(folder, recursive=recursive)
        start = bisect_right(paths, after) if after else 0
        return paths[start : start + size], start + size < len(paths)

    def folder_id(self, folder: str) -> str:
        """An id of the folder's content: equal for equal content."""
        known = self._ids.get(folder)
        if known is None:
            digest = hashlib.sha1()
            for path in self._child_index().get(folder, []):
                entry = self.files.get(path)
                digest.update(f"{path}\0{entry.blob if entry else self.folder_id(path)}\n".encode())
            known = self._ids[folder] = digest.hexdigest()
        return known

    def _sorted_paths(self) -> list[str]:
        if self._paths is None:
            self._paths = sorted([*self.files, *(name for name in self.folders if name)])
        return self._paths

    def _child_index(self) -> dict[str, list[str]]:
        if self._children is None:
            index: dict[str, list[str]] = {}
            for path in self._sorted_paths():
                index.setdefault(parent(path), []).append(path)
            self._children = index
        return self._children


def _enter(folders: dict[str, int], path: str) -> None:
    """Count a new entry in its folder, and a folder that this made in its own folder."""
    while True:
        path = parent(path)
        folders[path] = folders.get(path, 0) + 1
        if not path or folders[path] > 1:
            return


def _leave(folders: dict[str, int], path: str) -> None:
    """Undo `_enter`: a folder that became empty is gone."""
    while True:
        path = parent(path)
        folders[path] -= 1
        if folders[path]:
            return
        del folders[path]
        if not path:
            return


EMPTY = Tree({}, {})
