"""Content out of repos that a reader may be given, which is looked at once.

Polars ends the process over some pages, and whoever may write to a repo may have written them. So
what came from a Hub is decoded before it is read, by means that bear it; what was found sound is
noted beside the downloads, by its SHA-256.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from vulcan_cli.errors import BadShard
from vulcan_cli.files import append_durably

NAME = "sound"
"""The file in `Repo.notes`, a line for each content."""


class Sound:
    """What of a repo's content was found sound."""

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
        from vulcan_cli.vacua.unpacked import check_file  # noqa: PLC0415 - loads pyarrow

        check_file(file.resolve(), columns)
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
            append_durably(self._notes / NAME, lines.encode())

    def _read(self) -> set[str]:
        if self._notes is None:
            return set()
        try:
            return set((self._notes / NAME).read_text().split())
        except (OSError, ValueError):
            return set()
