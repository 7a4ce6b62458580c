"""Footers of many shards, fast: what they share is worked out once.

A catalog of 100,000 shards is 100,000 footers. Shards of one writer begin their footers with the
same bytes, the schema, and right behind it stands the true number of rows; so the schema is parsed
once for each of a few beginnings with the Arrow fields that say what is meant by it, and a footer
costs one read and one look at its provenance.
Whatever looks unusual goes the slow and thorough way of `vacua.shard`, which decides.

Numbers of types and fields follow the Parquet format (`parquet.thrift`, compact protocol).
"""

from __future__ import annotations

import binascii
import os
import stat
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import polars as pl

from vulcan_cli.dataset.bounds import BoundsReader
from vulcan_cli.dataset.said import Said, quick, thorough
from vulcan_cli.errors import BadShard
from vulcan_cli.files.open_files import open_regular
from vulcan_cli.vacua import shard
from vulcan_cli.vacua.arrow_ipc import schema_fields
from vulcan_cli.vacua.held import held_schema
from vulcan_cli.vacua.nesting import arrow_schema_of, end_of_schema, tell_all
from vulcan_cli.vacua.schema import DTYPES
from vulcan_cli.vacua.secrets import looks_secret
from vulcan_cli.vacua.tail import check_entries
from vulcan_cli.vacua.tail import footer_length as length_in
from vulcan_cli.vacua.thrift import LIST, length_of_list, varint, zigzag

MEASURED = (
    "tau_re",
    "tau_im",
    "tadpole_charge",
    "W_re",
    "W_im",
    "g_s",
    "m_gravitino",
    "residual",
    "is_susy",
    "is_isd",
)
"""Columns of shards whose smallest and largest value the catalog tells."""

CODES: dict[pl.DataType, str] = {pl.Float64(): "d", pl.Int32(): "i", pl.Boolean(): "?"}
"""What `struct` calls the types of these columns."""

# Enough for the footer of a shard of one row group, in one read.
_TAIL = 32 * 1024
# What fits the catalog's column.
_MOST_ROWS = 2**63 - 1

# Files that are read at once, and how many a thread takes at a time.
_AT_ONCE = 8
_PART = 32
# Seconds. A file that takes longer comes from a disk or a server, whose waits threads hide; where
# all is in memory, they only cost time.
_SLOW_S = 100e-6

_Tail = tuple[bytes, os.stat_result]

_MAGIC = b"PAR1"


class Seen(NamedTuple):
    """What a file says of itself.

    Attributes:
        said: Its identity.
        n_rows: How many rows the file holds, from parquet's own count.
        schema: Which of the reader's `schemas` it has.
        size: Its bytes.
        mtime_ns: When it was written, unix nanoseconds.
        bounds: Smallest and largest values of the columns `MEASURED`, each after the other.
    """

    said: Said
    n_rows: int
    schema: int
    size: int
    mtime_ns: int
    bounds: list[float | None]


class FooterReader:
    """Reads footers, and collects the distinct schemas that it meets.

    Attributes:
        schemas: Polars schemas by number.
    """

    def __init__(self) -> None:
        self.schemas: list[pl.Schema] = []
        self._known: dict[tuple[bytes, bytes], int] = {}
        self._bounds = BoundsReader((name, CODES[DTYPES[name]]) for name in MEASURED)
        self._trusted: list[frozenset[int]] = []
        self._secret: set[int] = set()

    def read(self, path: Path) -> Seen:
        """Read one footer; a link is followed, as the Hub client's cache is made of links.

        Raises:
            BadShard: The file is gone, unreadable, no regular file, no parquet, or no shard.
        """
        return self._seen(path, _tail_of(path, _open))

    def read_all(self, paths: Sequence[Path]) -> Iterator[Seen | BadShard]:
        """Read footers of a state folder, in the order of the paths, and follow no link.

        What `read` would raise comes in its place.
        """
        for path, tail in zip(paths, _tails(paths), strict=True):
            try:
                yield self._seen(path, tail)
            except BadShard as error:
                yield error

    def _seen(self, path: Path, tail: _Tail | BadShard) -> Seen:
        if isinstance(tail, BadShard):
            raise tail
        footer, status = tail
        return self.parse(path, footer, status.st_size, status.st_mtime_ns)

    def parse(self, path: Path, tail: bytes, size: int, mtime_ns: int) -> Seen:
        """Make sense of a footer that was read.

        Args:
            path: What to call the file in an error.
            tail: The footer with its length and magic number, `footer_length` bytes.
            size: The bytes of the file.
            mtime_ns: When it was written.

        Raises:
            BadShard: It is no parquet, or no shard.
        """
        try:
            check_entries(tail)
        except ValueError as error:
            raise BadShard(path, f"unreadable as parquet: {error}") from error
        message, schema, n_rows, place = self._schema_and_rows(path, tail)
        if schema in self._secret:
            raise BadShard(path, "the name of a column looks like a token")
        said = quick(tail, message) or thorough(shard.footer_of(BytesIO(tail), path))
        # Looked for first, as it is found in no time; a run id holds no other kind of token.
        if "hf_" in said.run_id and looks_secret(said.run_id):
            raise BadShard(path, "its run id looks like a token")
        n_groups = _count_at(tail, place)
        bounds = self._bounds.read(tail, place, n_groups, self._trusted[schema])
        return Seen(said, n_rows, schema, size, mtime_ns, bounds)

    def _schema_and_rows(self, path: Path, tail: bytes) -> tuple[bytes, int, int, int]:
        """The Arrow schema, the number of both schemas, of the rows, and where row groups begin."""
        try:
            message = _arrow_message_of(tail)
            beginning, schema = self._beginning_of(tail, message)
            number, place = varint(tail, len(beginning))
            n_rows = zigzag(number)
        except ValueError as error:
            raise BadShard(path, f"unreadable as parquet: {error}") from error
        except (IndexError, RecursionError, struct.error) as error:
            raise BadShard(path, "unreadable as parquet: its schema") from error
        if not 0 <= n_rows <= _MOST_ROWS:
            raise BadShard(path, f"unreadable as parquet: it holds {n_rows} rows")
        return message, schema, n_rows, place

    def _beginning_of(self, tail: bytes, message: bytes) -> tuple[bytes, int]:
        """The bytes before the number of rows, and the number of the schema they spell."""
        told = schema_fields(message) if message else b""
        for (beginning, fields), number in self._known.items():
            if tail.startswith(beginning) and told == fields:
                return beginning, number
        beginning = tail[: end_of_schema(tail)]
        number = self._number_of(held_schema(tail))
        if tell_all(told, tail):
            self._known[beginning, told] = number
        return beginning, number

    def _number_of(self, schema: pl.Schema) -> int:
        if schema not in self.schemas:
            if looks_secret(str(dict(schema))):
                self._secret.add(len(self.schemas))
            self.schemas.append(schema)
            self._trusted.append(
                frozenset(
                    place for place, name in enumerate(MEASURED) if schema.get(name) == DTYPES[name]
                )
            )
        return self.schemas.index(schema)


def _tails(paths: Sequence[Path]) -> Iterator[_Tail | BadShard]:
    """Tails of many files in their order; several at once where a disk or a server is slow."""
    begun = perf_counter()
    first = [*map(_tail_in_folder, paths[:_PART])]
    slow = perf_counter() - begun > len(first) * _SLOW_S
    yield from first
    if not slow:
        yield from map(_tail_in_folder, paths[_PART:])
        return
    reading: deque[Future[list[_Tail | BadShard]]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(_PART, len(paths), _PART):
            part = paths[start : start + _PART]
            reading.append(pool.submit(lambda part: [*map(_tail_in_folder, part)], part))
            if len(reading) > 2 * _AT_ONCE:
                yield from reading.popleft().result()
        while reading:
            yield from reading.popleft().result()


def _tail_in_folder(path: Path) -> _Tail | BadShard:
    return _tail_of(path, open_regular)


def _tail_of(path: Path, opened: Callable[[Path], int]) -> _Tail | BadShard:
    try:
        return _read_tail(path, opened(path))
    except FileNotFoundError as error:
        return _because(BadShard(path, "it is gone since it was listed"), error)
    except OSError as error:
        return _because(BadShard(path, f"unreadable: {error.strerror or error}"), error)
    except BadShard as error:
        return error


def _because(bad: BadShard, error: OSError) -> BadShard:
    """As `raise bad from error` would leave it."""
    bad.__cause__ = error
    return bad


def _open(path: Path) -> int:
    # Without O_NONBLOCK a FIFO would stop us for good.
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _read_tail(path: Path, fd: int) -> _Tail:
    """The footer with its length and magic number, and what is known of the file; closes it."""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise BadShard(path, "not a regular file")
        size = found.st_size
        tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
        length = footer_length(path, tail, size)
        if length > len(tail):
            tail = os.pread(fd, length, size - length)
    finally:
        os.close(fd)
    return tail[-length:], found


def footer_length(path: Path, tail: bytes, size: int) -> int:
    """The bytes of a footer with its length and magic number, from the last of the file.

    Args:
        path: What to call the file in an error.
        tail: At least its last 8 bytes, where it has so many.
        size: The bytes of the file.

    Raises:
        BadShard: No footer ends there, or one that is too large to be a shard's.
    """
    try:
        # Before the first page, too, stands the magic number.
        return length_in(tail, size - len(_MAGIC))
    except ValueError as error:
        raise BadShard(path, f"unreadable as parquet: {error}") from error


def _arrow_message_of(tail: bytes) -> bytes:
    """The Arrow schema in a footer, decoded; empty where there is none."""
    return binascii.a2b_base64(arrow_schema_of(tail) or b"", strict_mode=True)


def _count_at(metadata: bytes, place: int) -> int:
    """How many row groups there are: field 4, where it follows the number of rows; else none."""
    is_list = metadata[place] == 1 << 4 | LIST
    return length_of_list(metadata, place + 1)[0] if is_list else 0
