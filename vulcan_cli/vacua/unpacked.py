"""How much a parquet file may unpack to, held before any of it is decoded."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vulcan_cli.errors import BadShard
from vulcan_cli.files.open_files import open_regular, path_of
from vulcan_cli.other_errors import first_line
from vulcan_cli.vacua import secrets
from vulcan_cli.vacua.arrow_leaves import is_text, leaves
from vulcan_cli.vacua.arrow_secrets import check_text
from vulcan_cli.vacua.pages import unpacked
from vulcan_cli.vacua.tail import check_entries, footer_length

MOST = 16 << 30
"""A shard may unpack to so many bytes."""

MOST_RATIO = 1000
"""Unpacked to packed: real vacua stay far below, a bomb far above."""

SMALL = 64 << 20
"""Below this many unpacked bytes, the ratio says nothing: equal rows pack very well."""

LEAST_ROW = 128
"""Bytes that a row takes in memory at least, however well it is encoded in the file."""

MOST_ROWS = 100_000_000

ROWS_AT_ONCE = 1 << 17
"""Rows that are decoded together."""

_LONGEST_REASON = 200
_UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, RecursionError)


def within_limits(
    metadata: pq.FileMetaData,
    source: pa.NativeFile,
    size: int,
    columns: Collection[str] | None = None,
) -> list[str]:
    """Make sure of how much a file holds, whatever its footer claims.

    Args:
        metadata: Its footer.
        source: Its bytes.
        size: Their number.
        columns: Columns to look at; None for all.

    Returns:
        Columns to read as dictionaries: whatever reads them row by row holds the same long text
        once for each row.

    Raises:
        ValueError: It holds too much, or its pages are not what its footer says.
    """
    rows = metadata.num_rows
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if not 0 <= rows <= MOST_ROWS or sum(groups) != rows or min(groups, default=0) < 0:
        raise ValueError(f"its footer says {rows} rows, in groups of other numbers")
    length = footer_length(source.read_at(8, max(0, size - 8)), size)
    found = unpacked(metadata, source.read_at(length, size - length), source, size, columns)
    most = min(MOST, max(SMALL, MOST_RATIO * size))
    certain = max(found.size, rows * LEAST_ROW)
    if certain <= most < found.most:
        repeated = list(found.repeated)
        certain = max(certain, found.size + _text_in(metadata, source, repeated))
    else:
        repeated = []
    if certain > most:
        raise ValueError(f"it would unpack to {certain} bytes")
    return repeated


@contextmanager
def opened(source: pa.NativeFile, path: Path) -> Iterator[pq.ParquetFile]:
    """A parquet file whose bytes are not trusted; whatever is wrong with them is a `BadShard`.

    Raises:
        BadShard: It is not what it should be.
        OSError: The system cannot read it, or has too little memory; that is not its fault.
    """
    try:
        size = source.size()
        length = footer_length(source.read_at(8, max(0, size - 8)), size)
        check_entries(source.read_at(length, size - length))
        # No page index, no buffering ahead: less for hostile bytes to play with.
        with pq.ParquetFile(source, pre_buffer=False) as parquet:
            yield parquet
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error
    except _UNREADABLE as error:
        if is_of_the_system(error):
            raise
        words = first_line(error)[:_LONGEST_REASON]
        raise BadShard(path, secrets.scrub(words)) from error


def is_of_the_system(error: BaseException | None) -> TypeGuard[OSError]:
    """Whether the system could not read a file, rather than Arrow its bytes.

    Arrow gives no number to what is wrong with bytes, and an offset that they make up is an
    invalid argument.
    """
    return isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}


def decoded(
    parquet: pq.ParquetFile,
    source: pa.NativeFile,
    repeated: list[str],
    columns: Collection[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """All rows, some at a time.

    Args:
        parquet: The file.
        source: Its bytes.
        repeated: What `within_limits` returned.
        columns: Which columns; None for all.
    """
    if repeated:
        parquet = pq.ParquetFile(source, metadata=parquet.metadata, read_dictionary=repeated)
    names = None if columns is None else list(columns)
    yield from parquet.iter_batches(ROWS_AT_ONCE, columns=names, use_threads=False)


def check_file(path: Path, columns: Collection[str] | None = None, *, search: bool = False) -> None:
    """Make sure that a file can be decoded by a reader that trusts it.

    Args:
        path: The file.
        columns: Its columns that will be read; None for all.
        search: Whether text in it must not look like a token.

    Raises:
        BadShard: It cannot, or is gone, or holds what looks like a token.
    """
    try:
        fd = open_regular(path)
        try:
            source = pa.OSFile(str(path_of(fd)))
        finally:
            os.close(fd)
        with source, opened(source, path) as parquet:
            repeated = within_limits(parquet.metadata, source, source.size(), columns)
            for rows in decoded(parquet, source, repeated, columns):
                if search:
                    check_text(rows, path)
    except OSError as error:
        raise BadShard(path, f"unreadable: {error.strerror or error}") from error


def _text_in(metadata: pq.FileMetaData, source: pa.NativeFile, paths: list[str]) -> int:
    """Bytes of text in these columns, each as often as a row holds it; none is copied."""
    parquet = pq.ParquetFile(source, metadata=metadata, read_dictionary=paths)
    total = 0
    for rows in parquet.iter_batches(ROWS_AT_ONCE, columns=paths, use_threads=False):
        for leaf in (leaf for column in rows.columns for leaf in leaves(column, is_text)):
            if pa.types.is_dictionary(leaf.type):
                lengths = pc.binary_length(leaf.dictionary.cast(pa.large_binary()))
                total += pc.sum(lengths.take(leaf.indices)).as_py() or 0
    return total
