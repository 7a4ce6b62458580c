"""Is what a parquet file holds a shard, and may it be published? Its bytes are not trusted.

What the file says of itself is held against its own columns, counts and rows, within limits, and
searched for what looks like a token. All of it through pyarrow: its errors on hostile bytes are
exceptions that can be caught, and the peer's readers see what it sees.
"""

from __future__ import annotations

import base64
import hashlib
import json
from array import array
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vulcan_cli.errors import BadShard
from vulcan_cli.vacua import arrow_ipc, secrets
from vulcan_cli.vacua.arrow_columns import Columns, columns_of, is_of_our_era
from vulcan_cli.vacua.arrow_secrets import check_cells, has_secret
from vulcan_cli.vacua.held import held_schema
from vulcan_cli.vacua.nesting import arrow_schema_of, end_of_schema
from vulcan_cli.vacua.schema import NEVER_NULL
from vulcan_cli.vacua.shard import Footer, parse_footer
from vulcan_cli.vacua.tail import footer_length
from vulcan_cli.vacua.unpacked import decoded, opened, within_limits

_ARROW_SCHEMA = arrow_ipc.KEY.encode()

# Digests of columns that Polars can hold.
_HELD: set[bytes] = set()
_MOST_HELD = 4096


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
        OSError: The system cannot read it, or has too little memory.
    """
    with opened(source, path) as parquet:
        return _checked(parquet, source, size, path)


def _checked(parquet: pq.ParquetFile, source: pa.NativeFile, size: int, path: Path) -> Footer:
    schema, metadata = parquet.schema_arrow, parquet.metadata
    pairs = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    footer = parse_footer(pairs)
    said = [text.encode() for text in _said(schema, metadata, pairs, footer)]
    if has_secret([_as_arrow(said)]):
        raise BadShard(path, "its metadata holds what looks like a token")
    columns = columns_of(schema.remove_metadata().serialize().to_pybytes())
    if metadata.num_rows != footer.n_rows or metadata.num_rows == 0:
        raise BadShard(path, f"{metadata.num_rows} rows where its footer says {footer.n_rows}")
    length = footer_length(source.read_at(8, max(0, size - 8)), size)
    _check_held(source.read_at(length, size - length))
    repeated = within_limits(metadata, source, size)
    # All columns, also those that nobody looks at: what cannot be decoded is no shard.
    for rows in decoded(parquet, source, repeated):
        _check_rows(rows, columns, footer, path)
    return footer


def _check_held(tail: bytes) -> None:
    """Make sure that Polars, by which our readers read, can hold the columns of a footer.

    It takes as long as all else here to find that out, and most shards have the same columns; so
    those that were found good are known again, by all in both schemas that is not one shard's own.
    """
    columns = hashlib.sha256(tail[: end_of_schema(tail)] + _arrow_fields(tail)).digest()
    if columns in _HELD:
        return
    held_schema(tail)
    if len(_HELD) == _MOST_HELD:
        _HELD.clear()
    _HELD.add(columns)


def _arrow_fields(tail: bytes) -> bytes:
    message = arrow_schema_of(tail)
    if message is None:
        return b""
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(message)))
    return bytes(schema.remove_metadata().serialize())


def _check_rows(rows: pa.RecordBatch, columns: Columns, footer: Footer, path: Path) -> None:
    """Every row is whole and has the footer's identity, and no text looks like a token."""
    # Arrow takes any bytes for UTF-8 without a look; Polars does not.
    rows.validate(full=True)
    for name, kind in columns.to_cast:
        rows.column(name).cast(kind)
    for name in columns.of_time:
        if not is_of_our_era(rows.column(name)):
            raise BadShard(path, f"column {secrets.scrub(name)} holds a date of no calendar year")
    wanted: dict[str, str | int] = {
        "run_id": footer.run_id,
        "geometry_id": footer.geometry.geometry_id,
        **footer.geometry.as_dict(),
    }
    for name in NEVER_NULL:
        if rows.column(name).null_count:
            raise BadShard(path, f"column {name} holds nulls")
    if not all(_all_are(rows.column(name), value) for name, value in wanted.items()):
        raise BadShard(path, "its rows are not of the run and geometry that its footer names")
    for name in columns.of_text:
        cells = rows.column(name)
        # Text that is the footer's own was searched there; a dictionary may hold more than that.
        searched = name in wanted and not pa.types.is_dictionary(cells.type)
        if not searched:
            check_cells(name, cells, path)


def _said(
    schema: pa.Schema, metadata: pq.FileMetaData, pairs: Mapping[str, str], footer: Footer
) -> list[str]:
    """All text that stands outside the rows; the provenance also without its JSON escapes."""
    outside = {
        key: value for key, value in (metadata.metadata or {}).items() if key != _ARROW_SCHEMA
    }
    return [
        *pairs,
        *pairs.values(),
        json.dumps(footer.provenance, ensure_ascii=False),
        schema.to_string(show_field_metadata=True, show_schema_metadata=False),
        metadata.created_by or "",
        *(text.decode(errors="replace") for pair in outside.items() for text in pair),
    ]


def _as_arrow(texts: list[bytes]) -> pa.Array:
    """Bytes as Arrow has them."""
    # `pa.array` would load pandas, where it is installed: a quarter of what a small sync takes.
    ends = array("q", accumulate(map(len, texts), initial=0))
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.large_binary(), len(texts), buffers)


def _all_are(cells: pa.Array, value: str | int) -> bool:
    """Whether all cells, which are of a type for such values, hold this one."""
    if not len(cells):
        return True
    # A cell that is there already: `pa.scalar` would load pandas too.
    first = cells[0]
    return first.as_py() == value and bool(cells.equals(pa.repeat(first, len(cells))))
