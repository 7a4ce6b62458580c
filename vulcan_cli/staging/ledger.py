"""The ledger: every shard that the repo has confirmed, one JSON line each, only ever added to."""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vulcan_cli.errors import BadShard, NotSetUp
from vulcan_cli.staging.area import PRIVATE, StagingArea, disk_trouble
from vulcan_cli.staging.records import (
    RecordError,
    optional_text_of,
    parse_record,
    seconds_of,
    sha256_in,
    text_of,
    whole_of,
)

LEDGER_NAME = "ledger.jsonl"

_LONGEST_LINE = 1 << 16

# As `append` writes them; what a path or a key may hold needs no escape in JSON.
_PLACE = re.compile(
    rb'\{"path": "([\w/-]+)/run_[\w-]+\.parquet", .*"repo": "([a-z0-9-]+)"', re.ASCII
)


class LedgerEntry(NamedTuple):
    """A shard that the repo named with this SHA-256 when it was asked.

    Attributes:
        path: Path in the repo.
        sha256: Of the parquet.
        size: Its bytes.
        repo: The repo, as its key.
        revision: The branch that was asked.
        commit: The commit that the branch was at.
        time: When, unix seconds.
        digest: The content digest; None where nobody knew it.
        geometry_id: The geometry of its rows; likewise.
    """

    path: str
    sha256: str
    size: int
    repo: str
    revision: str
    commit: str
    time: float
    digest: str | None = None
    geometry_id: str | None = None


class Ledger:
    """The ledger of a staging directory."""

    __slots__ = ("_area",)

    def __init__(self, area: StagingArea) -> None:
        self._area = area

    def append(self, entries: Iterable[LedgerEntry]) -> None:
        """Add entries, durably; only under the sync lock.

        Raises:
            DiskTrouble: They cannot be written. A part of them may stand there.
        """
        lines = b"".join(json.dumps(entry._asdict()).encode() + b"\n" for entry in entries)
        with self._area.folder(PRIVATE, create=True) as folder, disk_trouble(folder.path):
            if lines:
                folder.append(LEDGER_NAME, lines)

    def find(self, path: str) -> LedgerEntry | None:
        """The latest entry for a path in the repo, found without reading the others.

        Raises:
            DiskTrouble: The ledger is there and cannot be read.
        """
        needle = json.dumps(path).encode()
        with self._mapped() as ledger:
            # A scan forward of the whole map is faster than one backward that ends early.
            best, at = None, ledger.find(needle)
            while at >= 0:
                start = ledger.rfind(b"\n", 0, at) + 1
                end = ledger.find(b"\n", at)
                end = len(ledger) if end < 0 else end
                if end - start <= _LONGEST_LINE:
                    entry = _parse(ledger[start:end])
                    best = entry if entry is not None and entry.path == path else best
                at = ledger.find(needle, end)
        return best

    def entries(self) -> Iterator[LedgerEntry]:
        """All entries, oldest first; lines that are none are skipped.

        Raises:
            DiskTrouble: The ledger is there and cannot be read.
        """
        for line in self._lines():
            entry = _parse(line)
            if entry is not None:
                yield entry

    def folders(self) -> Iterator[tuple[str, str]]:
        """Repo and folder of each entry, without a look at the rest of it: quick, for counting.

        Raises:
            DiskTrouble: The ledger is there and cannot be read.
        """
        for line in self._lines():
            match = _PLACE.match(line)
            if match is not None:
                yield match[2].decode(), match[1].decode()

    def size(self) -> int:
        """Its bytes; 0 where there is none. It only ever grows."""
        fd = self._open()
        if fd is None:
            return 0
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _lines(self) -> Iterator[bytes]:
        fd = self._open()
        if fd is None:
            return
        with os.fdopen(fd, "rb") as file, disk_trouble(self._area.private / LEDGER_NAME):
            while line := file.readline(_LONGEST_LINE):
                yield line

    def _open(self) -> int | None:
        try:
            folder = self._area.folder(PRIVATE)
        except NotSetUp:
            return None
        with folder, disk_trouble(folder.path / LEDGER_NAME):
            try:
                return folder.open_regular(LEDGER_NAME)
            except (FileNotFoundError, BadShard):
                return None

    def _mapped(self) -> mmap.mmap:
        fd = self._open()
        try:
            # An empty file cannot be mapped.
            if fd is None or os.fstat(fd).st_size == 0:
                return mmap.mmap(-1, 1)
            with disk_trouble(self._area.private / LEDGER_NAME):
                return mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        finally:
            if fd is not None:
                os.close(fd)


def _parse(line: bytes) -> LedgerEntry | None:
    try:
        record = parse_record(line)
        return LedgerEntry(
            path=text_of(record, "path"),
            sha256=sha256_in(record),
            size=whole_of(record, "size"),
            repo=text_of(record, "repo"),
            revision=text_of(record, "revision"),
            commit=text_of(record, "commit"),
            time=seconds_of(record, "time"),
            digest=optional_text_of(record, "digest"),
            geometry_id=optional_text_of(record, "geometry_id"),
        )
    except RecordError:
        return None
