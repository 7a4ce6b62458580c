"""The commits of a directory repo: one numbered file each, in `.vulcan/commits/`.

The file is whole before it gets its name, and its name can be taken only once. So the name is the
moment of truth of a commit, and the comparison with the parent: of two that want to be the next,
one finds the name taken.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple

from vulcan_cli.files.folder import Folder
from vulcan_cli.files.json_text import parse_json
from vulcan_cli.hub.repo import NO_COMMIT, Landed, Stale, Trouble, Unknown

HIDDEN = ".vulcan"
"""The folder that is ours. No name in it ends in `.parquet`: readers take all of those."""

NAME = re.compile(r"([0-9]{8})\.json", re.ASCII)
# As the Hub takes them: the id of a commit, or its beginning.
_ID = re.compile(r"[0-9a-f]{7,40}", re.ASCII)
LARGEST = 64 * 1024 * 1024
"""Bytes of a record: 25,000 files need 5 MB."""


class RecordedFile(NamedTuple):
    """One file that a commit adds; `part` is its name in the incoming folder until it is placed.

    `replaces` is the SHA-256 of the content that it takes the place of, None where it is new.
    """

    path: str
    sha256: str
    size: int
    part: str
    replaces: str | None = None


class RemovedFile(NamedTuple):
    """One file that a commit takes out, with the content that it had."""

    path: str
    sha256: str


class Record(NamedTuple):
    """One commit.

    Attributes:
        number: Counted from 1 without gaps.
        parent: Id of the commit before, `NO_COMMIT` for the first.
        message: Its title.
        description: The text below.
        time: Unix seconds, by the writer's clock.
        incoming: Name of the folder in `.vulcan/incoming/` that its content came in.
        files: What it adds.
        removed: What it takes out.
    """

    number: int
    parent: str
    message: str
    description: str
    time: float
    incoming: str
    files: tuple[RecordedFile, ...]
    removed: tuple[RemovedFile, ...] = ()

    @property
    def id(self) -> str:
        """40 hex digits that follow from all of the record, its parent included."""
        return _id_of(self)

    @property
    def file_name(self) -> str:
        """The name in `.vulcan/commits/`."""
        return f"{self.number:08d}.json"

    def as_bytes(self) -> bytes:
        """The content of its file; the id stands first, for people who look."""
        return f'{{"id": "{self.id}", {self.text()[1:]}\n'.encode()

    def text(self) -> str:
        """The record as JSON, without its id."""
        fields = self._asdict()
        fields["files"] = [file._asdict() for file in self.files]
        fields["removed"] = [file._asdict() for file in self.removed]
        # Left out where it says nothing: older records have no such field, and keep their id.
        if not self.removed:
            del fields["removed"]
        for file in fields["files"]:
            if file["replaces"] is None:
                del file["replaces"]
        return json.dumps(fields, ensure_ascii=False)


def _hash_of(record: Record) -> str:
    return hashlib.sha1(record.text().encode(), usedforsecurity=False).hexdigest()


# The newest record is asked for with every file that is read, and has thousands of them.
_id_of = lru_cache(maxsize=1)(_hash_of)


@lru_cache(maxsize=1)
def parse_record(data: bytes) -> Record:
    """Read what `as_bytes` wrote.

    Raises:
        ValueError: It is not that.
    """
    try:
        fields: dict[str, Any] = parse_json(data)
        claimed = fields.pop("id")
        files = tuple(RecordedFile(**file) for file in fields.pop("files"))
        removed = tuple(RemovedFile(**file) for file in fields.pop("removed", ()))
        record = Record(**fields, files=files, removed=removed)
        # Raises TypeError for a list or an object in the place of a text or a number.
        hash(record)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a commit record: {error}") from error
    # Not the remembered id: what equals in Python, as 1 and 1.0, is another text in a record.
    if _hash_of(record) != claimed:
        raise ValueError("a commit record was altered")
    return record


def last_number(commits: Folder) -> int:
    """The number of the newest commit, 0 where there is none."""
    found = (NAME.fullmatch(entry.name) for entry in commits.scan())
    number = max((int(match[1]) for match in found if match), default=0)
    # A listing may lag behind on NFS; a name that is looked up does not.
    while commits.status(f"{number + 1:08d}.json") is not None:
        number += 1
    return number


def read_record(commits: Folder, number: int) -> Record:
    """One commit by its number."""
    return parse_record(commits.read(f"{number:08d}.json", LARGEST))


def newest_record(root: Folder) -> Record | None:
    """The newest commit of the repo in this folder."""
    with ours_to_read(root, "commits") as commits:
        number = 0 if commits is None else last_number(commits)
        return None if commits is None or number == 0 else read_record(commits, number)


def newest_first(commits: Folder) -> Iterator[Record]:
    """All commits, each read when it is asked for."""
    for number in range(last_number(commits), 0, -1):
        yield read_record(commits, number)


@contextmanager
def ours(root: Folder, name: str) -> Iterator[Folder]:
    """A folder of ours, made where it is missing."""
    with root.make_child(HIDDEN) as hidden, hidden.make_child(name) as folder:
        yield folder


@contextmanager
def ours_to_read(root: Folder, name: str) -> Iterator[Folder | None]:
    """A folder of ours, None where it is missing."""
    with ExitStack() as stack:
        folder: Folder | None = root
        for each in (HIDDEN, name):
            if folder is not None:
                there = folder.status(each) is not None
                folder = stack.enter_context(folder.child(each)) if there else None
        yield folder


def number_of(commits: Folder, revision: str) -> int | None:
    """The number of a commit by its id, 0 for `NO_COMMIT`, None where there is no such commit."""
    if revision == NO_COMMIT:
        return 0
    return next((each.number for each in newest_first(commits) if each.id == revision), None)


def full_id(commits: Folder, revision: str) -> str | None:
    """The id of a commit by itself, or by its beginning, 7 digits or more, that no other has."""
    if not _ID.fullmatch(revision):
        return None
    ids = chain((each.id for each in newest_first(commits)), [NO_COMMIT])
    enough = 1 if len(revision) == len(NO_COMMIT) else 2
    found = list(islice((each for each in ids if each.startswith(revision)), enough))
    return found[0] if len(found) == 1 else None


def append_record(incoming: Folder, commits: Folder, record: Record) -> Landed | Stale | Unknown:
    """Give a record its number: the moment of truth."""
    with incoming.child(record.incoming) as folder:
        folder.replace("record", record.as_bytes())
        try:
            won = folder.link_exclusive("record", commits, record.file_name)
            commits.sync()
        except OSError as error:
            return Unknown(f"{commits.path}: {error.strerror}", Trouble.SERVER)
    return Landed(record.id) if won else Stale()


def paths_left_of(commits: Folder, number: int) -> set[str]:
    """Paths that a commit had, and whose content no later one took out or replaced."""
    records = [read_record(commits, each) for each in range(1, last_number(commits) + 1)]
    paths: set[str] = set()
    for record in records[:number]:
        paths |= {file.path for file in record.files}
        paths -= {file.path for file in record.removed}
    for record in records[number:]:
        paths -= {file.path for file in record.removed}
        paths -= {file.path for file in record.files if file.replaces}
    return paths
