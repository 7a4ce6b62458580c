"""Downloads on this machine, in the layout that the Hub's own client keeps and reads.

Below the folder of a repo, `blobs/` holds content under its SHA-256 (as the Hub names what is in
LFS), `snapshots/<commit>/` the files of a commit as links to it, and `refs/` what a branch was
when it was last seen (https://huggingface.co/docs/huggingface_hub/guides/manage-cache). Content
that came with one commit is found for every other that has it, by its SHA-256, without a question.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vulcan_cli.errors import BadShard
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import open_regular, sha256_of
from vulcan_cli.files.paths import replace_durably

SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
COMMIT_ID = re.compile(r"[0-9a-f]{40}", re.ASCII)

_PARENTS = "parents"
# A repo takes 2,400 commits a day.
_MOST_PARENTS = 10_000


class Downloads:
    """The downloads of one dataset repo.

    Attributes:
        notes: A folder beside them for what readers learned.
    """

    def __init__(self, cache: Path, repo_id: str) -> None:
        """Nothing is read or made yet.

        Args:
            cache: The folder that the Hub's client keeps all repos in.
            repo_id: `owner/name`.
        """
        self._root = cache / f"datasets--{repo_id.replace('/', '--')}"
        self.notes = self._root / "vulcan"

    @contextmanager
    def named(self) -> Iterator[None]:
        """Let what the disk refuses name this folder, where it names no file that others find."""
        try:
            yield
        except OSError as error:
            # What went wrong on the way has no number.
            if error.errno is not None and not Path(str(error.filename)).is_absolute():
                error.filename = os.fspath(self._root)
            raise

    def find(self, path: str, revision: str, sha256: str | None) -> Path | None:
        """A file of a commit, or of what a branch was when last seen, if its content is here."""
        commit = revision if COMMIT_ID.fullmatch(revision) else self.last_seen(revision)
        if commit is None:
            return None
        file = self._root / "snapshots" / commit / path
        if not file.is_file() and sha256 is not None and (self._root / "blobs" / sha256).is_file():
            self._link(file, sha256)
        if not file.is_file() or (sha256 is not None and not self._is(file, sha256)):
            return None
        return file

    def keep(self, path: str, commit: str, content: Iterable[bytes], sha256: str | None) -> Path:
        """Keep what is being downloaded.

        Args:
            path: Its path in the repo.
            commit: The commit it is read at.
            content: The bytes.
            sha256: What it must be; None for anything.

        Raises:
            BadShard: It is something else; nothing is kept.
            OSError: It cannot be written.
        """
        file = self._root / "snapshots" / commit / path
        blobs = self._root / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        with Folder.open(blobs) as folder, folder.temporary() as (fd, temporary):
            digest = hashlib.sha256()
            with os.fdopen(fd, "wb", closefd=False) as stream:
                for data in content:
                    digest.update(data)
                    stream.write(data)
            found = digest.hexdigest()
            if found != (sha256 or found):
                raise BadShard(Path(path), "it came with another SHA-256 than it should have")
            os.fchmod(fd, 0o644)
            folder.rename_over(temporary, folder, found)
        self._link(file, found)
        return file

    def last_seen(self, revision: str) -> str | None:
        """The commit that a branch was when it was last seen from here."""
        if COMMIT_ID.fullmatch(revision):
            return revision
        try:
            text = self._ref(revision).read_text("ascii").strip()
        except (OSError, ValueError):
            return None
        return text if COMMIT_ID.fullmatch(text) else None

    def remember(self, revision: str, commit: str) -> None:
        """Write down what a branch is now; that it cannot be written is no harm.

        A branch `a/b` has no file where a branch or tag `a` has one.
        """
        if COMMIT_ID.fullmatch(revision) or self.last_seen(revision) == commit:
            return
        ref = self._ref(revision)
        with contextlib.suppress(OSError):
            ref.parent.mkdir(parents=True, exist_ok=True)
            replace_durably(ref, commit.encode())

    def parent_of(self, commit: str) -> str | None:
        """The commit before one, where that was seen from here."""
        return dict(self._parents()).get(commit)

    def remember_parent(self, commit: str, parent: str) -> None:
        """Write down which commit is before one; that it cannot be written is no harm."""
        known = self._parents()
        if commit in dict(known):
            return
        kept = [*known, (commit, parent)][-_MOST_PARENTS:]
        with contextlib.suppress(OSError):
            self.notes.mkdir(parents=True, exist_ok=True)
            text = "".join(f"{each} {before}\n" for each, before in kept)
            replace_durably(self.notes / _PARENTS, text.encode())

    def _parents(self) -> list[tuple[str, str]]:
        """Commits with those before them, in the order in which they were seen."""
        try:
            lines = (self.notes / _PARENTS).read_text("ascii").splitlines()
        except (OSError, ValueError):
            return []
        pairs = (line.partition(" ") for line in lines)
        return [(commit, parent) for commit, _, parent in pairs if parent]

    def _ref(self, revision: str) -> Path:
        parts = [part for part in revision.split("/") if part not in {"", ".", ".."}]
        return self._root.joinpath("refs", *parts)

    def _link(self, file: Path, blob: str) -> None:
        """Let a file of a snapshot be this content."""
        file.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(self._root / "blobs" / blob, file.parent)
        with Folder.open(file.parent) as folder:
            folder.replace_by_link(file.name, target)

    def _is(self, file: Path, sha256: str) -> bool:
        """Whether a file has this content: by the name of its blob, else by reading it."""
        blob = file.resolve()
        if SHA256.fullmatch(blob.name):
            return blob.name == sha256
        fd = open_regular(blob)
        try:
            return sha256_of(fd)[0] == sha256
        finally:
            os.close(fd)
