"""The catalog of a state folder as a file: whole, byte for byte, or not there at all."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import polars as pl
import xxhash

from vulcan_cli.dataset.catalog import COLUMNS, SCHEMA
from vulcan_cli.errors import BadShard
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.json_text import parse_json

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

_MAGIC = b"vulcan catalog 4\n"
_HEAD = len(_MAGIC) + 16
_LENGTH = 8
# 100,000 shards take 11 MB.
_LARGEST = 1 << 30
# Rows of a row group: one in which no shard is wanted is not unpacked.
_GROUP_ROWS = 16_384


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


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """What is stored of a state folder, its rows not unpacked yet; by itself nothing.

    Attributes:
        stamp: As of `Stored`.
        ledger: As of `Stored`.
        n_shards: How many rows there are.
    """

    stamp: tuple[int, int] | None = None
    ledger: int = 0
    n_shards: int = 0
    _schemas: tuple[pl.Schema, ...] = ()
    _frames: Sequence[bytes] = ()

    @classmethod
    def of(cls, stored: Stored) -> Self:
        """Pack what is known."""
        frames = [_packed(frame) for frame in (stored.rows, stored.bad, stored.trimmed)]
        return cls(stored.stamp, stored.ledger, stored.rows.height, stored.schemas, frames)

    @classmethod
    def decode(cls, body: memoryview) -> Self:
        """Read what `encode` wrote.

        Raises:
            ValueError, TypeError, KeyError, PolarsError: It did not, or its columns were others.
        """
        start = _LENGTH + int.from_bytes(body[:_LENGTH], "big")
        header = parse_json(bytes(body[_LENGTH:start]))
        frames = []
        for size, schema in zip(header["sizes"], (ROWS, BAD, TRIMMED), strict=True):
            frames.append(bytes(body[start : start + size]))
            start += size
            if pl.read_parquet_schema(io.BytesIO(frames[-1])) != schema:
                raise ValueError("columns of another version")
        stamp = header["stamp"]
        return cls(
            stamp=None if stamp is None else (int(stamp[0]), int(stamp[1])),
            ledger=int(header["ledger"]),
            n_shards=int(header["shards"]),
            _schemas=tuple(map(_schema_of, header["schemas"])),
            _frames=frames,
        )

    def encode(self) -> bytes:
        """It as bytes."""
        header = {
            "stamp": self.stamp,
            "ledger": self.ledger,
            "shards": self.n_shards,
            "schemas": [*map(_text_of, self._schemas)],
            "sizes": [len(frame) for frame in self._frames],
        }
        head = json.dumps(header).encode()
        return b"".join([len(head).to_bytes(_LENGTH, "big"), head, *self._frames])

    def unpack(self, where: pl.Expr | None = None) -> Stored:
        """What is stored.

        Args:
            where: Which of the rows; None for all.
        """
        if not self._frames:
            return Stored()
        rows, bad, trimmed = (pl.scan_parquet(io.BytesIO(frame)) for frame in self._frames)
        return Stored(
            stamp=self.stamp,
            ledger=self.ledger,
            rows=(rows if where is None else rows.filter(where)).collect(),
            bad=bad.collect(),
            trimmed=trimmed.collect(),
            schemas=self._schemas,
        )


def load(folder: Folder, name: str) -> Packed:
    """What is stored; nothing where that is absent, damaged, or of another version.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        data = memoryview(folder.read(name, _LARGEST))
        if data[:_HEAD] != _MAGIC + xxhash.xxh3_128_digest(data[_HEAD:]):
            return Packed()
        return Packed.decode(data[_HEAD:])
    except (
        FileNotFoundError,
        BadShard,
        ValueError,
        TypeError,
        KeyError,
        pl.exceptions.PolarsError,
    ):
        return Packed()


def store(folder: Folder, name: str, stored: Stored) -> None:
    """Replace what is stored, durably.

    Raises:
        OSError: The file system refuses; what was there is as it was.
    """
    body = Packed.of(stored).encode()
    folder.replace(name, _MAGIC + xxhash.xxh3_128_digest(body) + body)


def _packed(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream, compression_level=1, row_group_size=_GROUP_ROWS)
    return stream.getvalue()


def _text_of(schema: pl.Schema) -> str:
    """A schema of any types as text; parquet does not hold them all."""
    stream = io.BytesIO()
    pl.DataFrame(schema=schema).write_ipc(stream)
    return base64.b64encode(stream.getvalue()).decode()


def _schema_of(text: str) -> pl.Schema:
    return pl.read_ipc(io.BytesIO(base64.b64decode(text))).schema
