"""The journal: what a commit in flight holds, written before the request and dropped after.

A sync that finds one asks the repo what became of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vulcan_cli.errors import BadShard, NotSetUp
from vulcan_cli.files.folder import is_temporary
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.records import (
    RecordError,
    optional_text_of,
    parse_record,
    render_record,
    seconds_of,
    sha256_in,
    text_of,
    whole_of,
)
from vulcan_cli.vacua.geometry import file_name, path_of_file_name

_LIMIT = 1 << 26
_BATCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)


class JournalShard(NamedTuple):
    """A shard of a batch.

    Attributes:
        name: File name in `pending/`.
        path_in_repo: Its path in the repo.
        sha256: Of the bytes that are sent.
        size: Their number.
        digest: Its content digest; None where another program wrote it.
        geometry_id: Its geometry; None where nobody said.
    """

    name: str
    path_in_repo: str
    sha256: str
    size: int
    digest: str | None = None
    geometry_id: str | None = None


class BatchRecord(NamedTuple):
    """A commit in flight.

    Attributes:
        batch: Id of the batch; it stands in the commit's description too.
        repo: The repo, as its key.
        revision: The branch.
        parent: The commit that the branch was at.
        shards: What the commit adds.
        created: When its slot was spent, unix seconds: the stamp in the budget.
    """

    batch: str
    repo: str
    revision: str
    parent: str
    shards: tuple[JournalShard, ...]
    created: float


class Journal:
    """The journal of a staging directory; used only under the sync lock.

    Args:
        area: The staging directory.
        folder: Where the records stand in `_vulcan/`.
    """

    __slots__ = ("_area", "_folder")

    def __init__(self, area: StagingArea, folder: str = "journal") -> None:
        self._area = area
        self._folder = folder

    def open(self, record: BatchRecord) -> None:
        """Write a record, durably, before its commit is requested.

        Raises:
            ValueError: The batch id is no plain word of at most 100 letters, digits, `-` and `_`.
            DiskTrouble: It cannot be written.
        """
        if not _BATCH.fullmatch(record.batch):
            raise ValueError(record.batch)
        with (
            self._area.folder(PRIVATE, self._folder, create=True) as folder,
            disk_trouble(folder.path),
        ):
            shards = [shard._asdict() for shard in record.shards]
            told = render_record({**record._asdict(), "shards": shards})
            folder.replace(f"{record.batch}.json", told)

    def pending(self) -> list[BatchRecord]:
        """The records of commits that nobody settled, oldest first.

        What cannot be read as a record is passed over: its shards are still in `pending/`, or in
        the state they were moved to, and the next batch asks the repo about them anyway.

        Raises:
            DiskTrouble: The journal cannot be listed, or a record cannot be read from the disk.
        """
        try:
            folder = self._area.folder(PRIVATE, self._folder)
        except NotSetUp:
            return []
        records = []
        with folder, disk_trouble(folder.path):
            for name in sorted(entry.name for entry in folder.scan()):
                if is_temporary(name):
                    continue
                try:
                    record = _parse(folder.read(name, _LIMIT))
                except (BadShard, RecordError, FileNotFoundError):
                    continue
                if name == f"{record.batch}.json":
                    records.append(record)
        return sorted(records, key=lambda record: (record.created, record.batch))

    def close(self, batch: str) -> None:
        """Drop the record of a settled commit, durably; that it is gone is no error.

        Raises:
            DiskTrouble: It cannot be removed.
        """
        try:
            folder = self._area.folder(PRIVATE, self._folder)
        except NotSetUp:
            return
        with folder, disk_trouble(folder.path):
            if folder.remove(f"{batch}.json"):
                folder.sync()


def _parse(data: bytes) -> BatchRecord:
    record = parse_record(data)
    shards = record.get("shards")
    if not isinstance(shards, list):
        raise RecordError("shards is no list")
    return BatchRecord(
        batch=text_of(record, "batch"),
        repo=text_of(record, "repo"),
        revision=text_of(record, "revision"),
        parent=text_of(record, "parent"),
        shards=tuple(_shard(shard) for shard in shards),
        created=seconds_of(record, "created"),
    )


def _shard(value: object) -> JournalShard:
    if not isinstance(value, dict):
        raise RecordError("a shard is no object")
    shard = JournalShard(
        name=text_of(value, "name"),
        path_in_repo=text_of(value, "path_in_repo"),
        sha256=sha256_in(value),
        size=whole_of(value, "size"),
        digest=optional_text_of(value, "digest"),
        geometry_id=optional_text_of(value, "geometry_id"),
    )
    # The name is used to move files: it must be a shard's, and the one of its path.
    if path_of_file_name(shard.name) != shard.path_in_repo:
        raise RecordError("a shard's name and path differ")
    if file_name(shard.path_in_repo) != shard.name:
        raise RecordError("a shard's name and path differ")
    return shard
