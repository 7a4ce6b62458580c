"""The catalog of a state folder as a file: whole, byte for byte, or not there at all."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl
import xxhash

from vulcan_cli.dataset.catalog import COLUMNS, SCHEMA
from vulcan_cli.errors import BadShard
from vulcan_cli.files import Folder

IDENTITY = ("name", "bytes", "mtime_ns", "inode")
"""What makes a file the one whose footer was read. No device: nodes number those differently."""

# Worked out anew for whoever asks.
_DERIVED = {"time", "state", "file"}

ROWS: dict[str, pl.DataType] = {
    "name": pl.String(),
    **{name: dtype for name, dtype in COLUMNS.items() if name not in _DERIVED},
    SCHEMA: pl.UInt32(),
    "mtime_ns": pl.Int64(),
    "inode": pl.UInt64(),
}
"""Columns that are stored of each shard."""

BAD: dict[str, pl.DataType] = {**{name: ROWS[name] for name in IDENTITY}, "reason": pl.String()}
"""Columns that are stored of each file that is no shard."""

_MAGIC = b"vulcan catalog 1\n"
_HEAD = len(_MAGIC) + 16
_LENGTH = 8
# 100,000 shards take 5 MB.
_LARGEST = 1 << 30


TRIMMED: dict[str, pl.DataType] = {"path_in_repo": pl.String(), "repo": pl.String()}
"""Columns that are stored of each shard that the ledger knows and the folder lacks."""


def _none_of(schema: dict[str, pl.DataType]) -> Callable[[], pl.DataFrame]:
    return lambda: pl.DataFrame(schema=schema)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """What was known of a state folder at some moment.

    Attributes:
        stamp: Inode and modification time of the folder while nothing in it has changed since;
            None where they prove nothing.
        ledger: Bytes of the ledger that were taken in.
        rows: One row for each shard, columns `ROWS`, in the order of paths in the repo.
        bad: What is no shard and will not become one, columns `BAD`, by name.
        trimmed: Shards that the ledger knows and the folder lacks, columns `TRIMMED`, by path.
        schemas: As `Catalog.schemas`.
    """

    stamp: tuple[int, int] | None = None
    ledger: int = 0
    rows: pl.DataFrame = field(default_factory=_none_of(ROWS))
    bad: pl.DataFrame = field(default_factory=_none_of(BAD))
    trimmed: pl.DataFrame = field(default_factory=_none_of(TRIMMED))
    schemas: tuple[pl.Schema, ...] = ()


def load(folder: Folder, name: str) -> Stored:
    """What is stored; nothing where that is absent, damaged, or of another version.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        data = folder.read(name, _LARGEST)
    except (FileNotFoundError, BadShard):
        return Stored()
    whole = data[len(_MAGIC) : _HEAD] == xxhash.xxh3_128_digest(data[_HEAD:])
    if not whole or not data.startswith(_MAGIC):
        return Stored()
    try:
        return _decode(memoryview(data)[_HEAD:])
    except (ValueError, TypeError, KeyError, pl.exceptions.PolarsError):
        return Stored()


def store(folder: Folder, name: str, stored: Stored) -> None:
    """Replace what is stored, durably.

    Raises:
        OSError: The file system refuses; what was there is as it was.
    """
    body = _encode(stored)
    folder.replace(name, _MAGIC + xxhash.xxh3_128_digest(body) + body)


def _encode(stored: Stored) -> bytes:
    frames = [_ipc(frame) for frame in (stored.rows, stored.bad, stored.trimmed)]
    header = {
        "stamp": stored.stamp,
        "ledger": stored.ledger,
        "schemas": [
            base64.b64encode(_ipc(pl.DataFrame(schema=s))).decode() for s in stored.schemas
        ],
        "sizes": [len(frame) for frame in frames],
    }
    head = json.dumps(header).encode()
    return b"".join([len(head).to_bytes(_LENGTH, "big"), head, *frames])


def _decode(body: memoryview) -> Stored:
    start = _LENGTH + int.from_bytes(body[:_LENGTH], "big")
    header = json.loads(bytes(body[_LENGTH:start]))
    frames = []
    for size, schema in zip(header["sizes"], (ROWS, BAD, TRIMMED), strict=True):
        frames.append(pl.read_ipc(io.BytesIO(body[start : start + size])))
        start += size
        if dict(frames[-1].schema) != schema:
            raise ValueError("columns of another version")
    rows, bad, trimmed = frames
    stamp = header["stamp"]
    return Stored(
        stamp=None if stamp is None else (int(stamp[0]), int(stamp[1])),
        ledger=int(header["ledger"]),
        rows=rows,
        bad=bad,
        trimmed=trimmed,
        schemas=_schemas(header["schemas"]),
    )


def _schemas(texts: Sequence[str]) -> tuple[pl.Schema, ...]:
    return tuple(pl.read_ipc(io.BytesIO(base64.b64decode(text))).schema for text in texts)


def _ipc(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_ipc(stream, compression="zstd")
    return stream.getvalue()
