"""Which files a reader that trusts their bytes may be given.

Polars ends the process over some pages, and checks no limits. Sync has looked at all that stands in
`synced/`; but who wrote a file there may still change it, since a move leaves it its owner. And
whoever may write to a repo may have written anything there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

from vulcan_cli.errors import BadShard
from vulcan_cli.files.open_files import open_regular, sha256_within
from vulcan_cli.files.paths import append_durably
from vulcan_cli.staging.area import LARGEST_SHARD

SOUND = "sound"
"""The file in `Repo.notes` that names content found sound, one a line."""


def readable(file: Path, state: str, sha256: str | None) -> Path | BadShard:
    """The file, where it stands now, if Polars may read it; what is wrong with it otherwise.

    Args:
        file: A shard in a state folder.
        state: Which; in `pending` nobody has looked at anything yet, nor for a token.
        sha256: What it was when it was confirmed by the repo, where that is known.
    """
    try:
        if state == "pending":
            _decode(file, search=True)
        elif _others_may_change(file):
            _compare(file, sha256)
    except BadShard as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            return error
    except FileNotFoundError:
        pass
    except OSError as error:
        return BadShard(file, f"unreadable: {error.strerror or error}")
    else:
        return file
    # Where it was trimmed a moment ago, say, that is for its reader to find.
    moved = moved_on(file)
    return file if moved is None else readable(moved, "synced", sha256)


def moved_on(file: Path) -> Path | None:
    """Where sync has moved a shard that was listed in `pending/`; None where it is not there."""
    there = file.parent.parent / "synced" / file.name
    return there if file.parent.name == "pending" and there.is_file() else None


class Sound:
    """What of a repo's content was found sound: it is looked at once, and noted by its SHA-256."""

    def __init__(self, notes: Path | None) -> None:
        """Bind; the notes are read when the first content is checked.

        Args:
            notes: `Repo.notes`.
        """
        self._notes = notes
        self._known: set[str] | None = None
        self._new: list[str] = []

    def check(
        self, file: Path, content: str | None, columns: Collection[str] | None = None
    ) -> None:
        """Make sure that a file can be decoded by a reader that trusts it.

        Args:
            file: The file; a link is followed, as the Hub client's cache is made of links.
            content: A name that no other content has; None where it has none.
            columns: Its columns that will be read; None for all.

        Raises:
            BadShard: It cannot.
        """
        if self._known is None:
            self._known = self._read()
        if content in self._known:
            return
        _decode(file.resolve(), columns)
        if content is not None:
            self._new.append(content)

    def keep(self) -> None:
        """Note what was found sound since; where that cannot be noted, it is found once more."""
        if self._notes is None or not self._new:
            return
        lines = "".join(f"{content}\n" for content in self._new)
        self._known = {*(self._known or ()), *self._new}
        self._new = []
        with contextlib.suppress(OSError, BadShard):
            self._notes.mkdir(parents=True, exist_ok=True)
            append_durably(self._notes / SOUND, lines.encode())

    def _read(self) -> set[str]:
        if self._notes is None:
            return set()
        try:
            return set((self._notes / SOUND).read_text().split())
        except (OSError, ValueError):
            return set()


def check_unless_ours(file: Path) -> None:
    """Make sure that a file of a folder can be decoded, where others may have written it.

    Raises:
        BadShard: It cannot.
        OSError: It cannot be looked at.
    """
    if _others_may_change(file):
        _decode(file)


def _others_may_change(file: Path) -> bool:
    """Whether an account could that is neither ours nor the one that keeps the folder."""
    status = file.lstat()
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    return status.st_uid != os.geteuid() and status.st_uid != file.parent.stat().st_uid


def _compare(file: Path, sha256: str | None) -> None:
    """Make sure that it is what the repo has; where that is not known, that it can be decoded.

    Raises:
        BadShard: It is not.
        OSError: It cannot be read.
    """
    if sha256 is None:
        _decode(file)
        return
    fd = open_regular(file)
    try:
        found = sha256_within(fd, LARGEST_SHARD)
    finally:
        os.close(fd)
    if found != sha256:
        raise BadShard(file, "it was changed after it was synced")


def _decode(file: Path, columns: Collection[str] | None = None, *, search: bool = False) -> None:
    from vulcan_cli.vacua.unpacked import check_file  # noqa: PLC0415 - loads pyarrow

    check_file(file, columns, search=search)
