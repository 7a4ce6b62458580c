"""Is what a parquet file holds a shard, and may it be published? Its bytes are not trusted.

What the file says of itself is held against its own columns, counts and rows, within limits, and
searched for what looks like a token. All of it through pyarrow: its errors on hostile bytes are
exceptions that can be caught, and the peer's readers see what it sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vulcan_cli.errors import BadShard
from vulcan_cli.vacua import arrow_ipc, secrets
from vulcan_cli.vacua.schema import DTYPES, IDENTITY, REQUIRED
from vulcan_cli.vacua.shard import PROVENANCE_KEY, Footer, parse_footer

MOST_UNPACKED = 16 << 30
"""A shard may claim so many bytes unpacked."""

MOST_UNPACKED_RATIO = 1000
"""Unpacked to packed: real vacua stay far below, a bomb far above."""

SMALL = 64 << 20
"""Below this many unpacked bytes, the ratio says nothing: equal rows pack very well."""

LEAST_ROW = 128
"""Bytes that a row takes in memory at least, however well it is encoded in the file."""

MOST_ROWS = 100_000_000

MARKS = (b"hf_", b"bearer", b"://")
"""In lower case, what text holds that `secrets.PATTERN` finds; one for each of its cases."""

_ROWS_AT_ONCE = 1 << 17
_ARROW_SCHEMA = arrow_ipc.KEY.encode()
_LONGEST_REASON = 200
_UNREADABLE = (
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    RecursionError,
    MemoryError,
)


def check_contents(source: pa.NativeFile, size: int, path: Path) -> Footer:
    """Check a whole parquet file.

    Args:
        source: Its bytes.
        size: Their number.
        path: What to call it in an error.

    Returns:
        What the file says of itself, now known to be true of its rows.

    Raises:
        BadShard: It is no shard, or none that may be published.
    """
    try:
        # No page index, no buffering ahead: less for hostile bytes to play with.
        with pq.ParquetFile(source, pre_buffer=False) as parquet:
            return _checked(parquet, size, path)
    except _UNREADABLE as error:
        words = (str(error).splitlines() or [type(error).__name__])[0][:_LONGEST_REASON]
        raise BadShard(path, secrets.scrub(words)) from error


def _checked(parquet: pq.ParquetFile, size: int, path: Path) -> Footer:
    schema, metadata = parquet.schema_arrow, parquet.metadata
    pairs = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    footer = parse_footer(pairs)
    if _has_secret([pa.array(_said(schema, metadata, pairs), pa.large_string())]):
        raise BadShard(path, "its metadata holds what looks like a token")
    _within_limits(metadata, footer, size, path)
    texts = _text_columns(schema.remove_metadata().serialize().to_pybytes())
    columns = list(dict.fromkeys([*IDENTITY, *texts]))
    for rows in parquet.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False):
        _check_rows(rows, texts, footer, path)
    return footer


def _check_rows(rows: pa.RecordBatch, texts: tuple[str, ...], footer: Footer, path: Path) -> None:
    """Every row has the footer's identity, and no text looks like a token."""
    wanted = {
        "run_id": footer.run_id,
        "geometry_id": footer.geometry.geometry_id,
        **footer.geometry.as_dict(),
    }
    if not all(_all_are(rows.column(name), value) for name, value in wanted.items()):
        raise BadShard(path, "its rows are not of the run and geometry that its footer names")
    for name in texts:
        if _has_secret(_texts(rows.column(name))):
            where = secrets.scrub(name)
            raise BadShard(path, f"column {where} holds what looks like a token")


def _said(schema: pa.Schema, metadata: pq.FileMetaData, pairs: Mapping[str, str]) -> list[str]:
    """All text that stands outside the rows; the provenance also without its JSON escapes."""
    outside = {
        key: value for key, value in (metadata.metadata or {}).items() if key != _ARROW_SCHEMA
    }
    return [
        *pairs,
        *pairs.values(),
        json.dumps(json.loads(pairs[PROVENANCE_KEY]), ensure_ascii=False),
        schema.to_string(show_field_metadata=True, show_schema_metadata=False),
        metadata.created_by or "",
        *(text.decode(errors="replace") for pair in outside.items() for text in pair),
    ]


def _within_limits(metadata: pq.FileMetaData, footer: Footer, size: int, path: Path) -> None:
    rows = metadata.num_rows
    if rows != footer.n_rows or not 0 < rows <= MOST_ROWS:
        raise BadShard(path, f"{rows} rows where its footer says {footer.n_rows}")
    claimed = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    unpacked = max(claimed, rows * LEAST_ROW)
    if unpacked > MOST_UNPACKED or unpacked > max(SMALL, MOST_UNPACKED_RATIO * size):
        raise BadShard(path, f"it would unpack to {unpacked} bytes")


@lru_cache(maxsize=64)
def _text_columns(serialized: bytes) -> tuple[str, ...]:
    """The columns that hold text, if those that every shard has are there with their types.

    Raises:
        ValueError: They are not.
    """
    schema = pa.ipc.read_schema(pa.BufferReader(serialized))
    for name in (*REQUIRED, *IDENTITY):
        indices = schema.get_all_field_indices(name)
        if len(indices) != 1:
            raise ValueError(f"{len(indices)} columns {name}")
        found = schema.field(indices[0]).type
        if not any(found.equals(known) for known in _arrow_types(name)):
            raise ValueError(f"column {name} is {found}")
    return tuple(field.name for field in schema if _holds_text(field.type))


def _arrow_types(name: str) -> tuple[pa.DataType, ...]:
    """What a column's Polars type may be in a file: lists and text come in two sizes."""
    large = pl.DataFrame(schema={name: DTYPES[name]}).to_arrow().field(name).type
    if pa.types.is_large_list(large):
        return large, pa.list_(large.value_type)
    return (large, pa.string()) if pa.types.is_large_string(large) else (large,)


def _holds_text(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_text(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    return _is_text(kind) or any(map(_holds_text, inner))


def _is_text(kind: pa.DataType) -> bool:
    # NumPy's fixed-size text comes as bytes.
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _all_are(cells: pa.Array, value: object) -> bool:
    return bool(cells.equals(pa.repeat(pa.scalar(value, cells.type), len(cells))))


def _texts(cells: pa.Array) -> Iterator[pa.Array]:
    """All text in a column, at whatever depth, without types around it."""
    kind = cells.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _texts(cells.storage)
    elif pa.types.is_dictionary(kind):
        yield from _texts(cells.dictionary)
    elif pa.types.is_struct(kind):
        for part in cells.flatten():
            yield from _texts(part)
    elif pa.types.is_run_end_encoded(kind):
        yield from _texts(cells.values)
    elif pa.types.is_map(kind):
        yield from _texts(cells.keys)
        yield from _texts(cells.items)
    elif pa.types.is_nested(kind):
        yield from _texts(cells.flatten())
    elif _is_text(kind):
        yield cells


def _has_secret(texts: Iterable[pa.Array]) -> bool:
    """Whether some text looks like a token."""
    for text in texts:
        plain = _plain(text)
        if _has_mark(plain) and _matches(plain):
            return True
    return False


def _plain(text: pa.Array) -> pa.Array:
    """The different texts of an array, all in one type; most text repeats from row to row."""
    kind = text.type
    if pa.types.is_fixed_size_binary(kind):
        text = text.cast(pa.binary())
    return text.unique().cast(pa.large_binary())


def _has_mark(text: pa.Array) -> bool:
    """Whether the bytes of all texts together hold what every token holds, found in no time."""
    data = text.buffers()[2]
    if data is None:
        return False
    lower = data.to_pybytes().lower()
    return any(mark in lower for mark in MARKS)


def _matches(text: pa.Array) -> bool:
    # Arrow's regular expressions take linear time, whatever the text.
    return pc.any(pc.match_substring_regex(text, secrets.PATTERN)).as_py() is True
