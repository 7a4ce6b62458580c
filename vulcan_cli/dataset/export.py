"""Rows out, to a file or a stream: parquet, CSV, NDJSON, Arrow IPC and JSON, as they are read.

Arrays of NumPy and safetensors are written once all rows are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Set
from io import RawIOBase
from pathlib import Path
from threading import Lock
from typing import IO, NamedTuple, cast

import polars as pl

from vulcan_cli.dataset import array_files
from vulcan_cli.dataset.columns import may_be_wide
from vulcan_cli.dataset.text_forms import in_cells, in_text
from vulcan_cli.errors import DiskTrouble, UsageError
from vulcan_cli.files.folder import Folder
from vulcan_cli.interrupts import interrupted_once
from vulcan_cli.vacua import arrow_ipc

FORMATS = ("parquet", "csv", "ndjson", "arrow", "json")

# Rows of a row group where a file is made for training.
_GROUP_ROWS = 65_536
# Bytes of a row group, as rows stand in shards: Polars holds three groups of them, unpacked.
_GROUP_BYTES = 32 << 20
# Of so many rows Polars makes a row group by itself.
_USUAL_ROWS = 100_000

_ENDINGS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".json": "json",
    ".npz": "npz",
    ".safetensors": "safetensors",
}

# Formats that have no NaN and no infinities; CSV has none in its cells of JSON.
_NO_NAN = ("ndjson", "json")
TEXTS = (*_NO_NAN, "csv")
"""The formats that people can read."""


class Written(NamedTuple):
    """What was written.

    Attributes:
        n_rows: Rows.
        n_bytes: Bytes.
        not_finite: NaN and infinite values that the format cannot hold: null stands there.
    """

    n_rows: int
    n_bytes: int
    not_finite: int


def format_of(path: Path) -> str:
    """The format that a file name ends in.

    Raises:
        UsageError: It ends in none.
    """
    try:
        return _ENDINGS[path.suffix.lower()]
    except KeyError:
        endings = ", ".join(_ENDINGS)
        raise UsageError(f"{path.name} ends in no known format: choose from {endings}") from None


def write_file(
    rows: pl.LazyFrame,
    path: Path,
    file_format: str,
    complex_columns: Set[str] = frozenset(),
    *,
    row_bytes: int = 0,
) -> Written:
    """Write rows to a file, which appears whole or not at all; one of that name is replaced.

    What is no regular file (a FIFO, `/dev/null`) is written to as it is.

    Args:
        rows: The rows.
        path: The file.
        file_format: One of `FORMATS`, or of arrays.
        complex_columns: Columns that hold `[re, im]`.
        row_bytes: What a row takes where it is read, as `Catalog.row_bytes`: of wide rows a row
            group holds few. 0 where that is not known.

    Raises:
        DiskTrouble: The file system refused.
        BrokenPipeError: The reader of a FIFO is gone.
        UsageError: There is no such format.
    """
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                return write_stream(rows, stream, file_format, complex_columns, row_bytes=row_bytes)
        with Folder.open(target.parent) as folder, folder.temporary() as (fd, name):
            with os.fdopen(fd, "wb", closefd=False) as stream:
                written = write_stream(
                    rows, stream, file_format, complex_columns, row_bytes=row_bytes
                )
            os.fchmod(fd, 0o666 & ~_umask())
            os.fsync(fd)
            folder.rename_over(name, folder, target.name)
            folder.sync()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DiskTrouble(path, error) from error
    return written


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a new parquet file whose bytes hang on nothing but the rows.

    Raises:
        OSError: The file system refused.
    """
    with path.open("wb") as file:
        out = _Stream(file)
        try:
            # Not as a stream: that cuts row groups as rows come.
            frame.rechunk().write_parquet(
                cast("IO[bytes]", out),
                row_group_size=_GROUP_ROWS,
                metadata=_parquet_metadata(frame.schema),
            )
        except Exception:
            if out.error is not None:
                raise out.error from None
            raise
        out.finish()
        os.fsync(file.fileno())


def write_stream(
    rows: pl.LazyFrame,
    stream: IO[bytes],
    file_format: str,
    complex_columns: Set[str] = frozenset(),
    *,
    row_bytes: int = 0,
) -> Written:
    """Write rows to a binary stream, which stays open; arguments are those of `write_file`.

    Raises:
        OSError: The stream refused; `BrokenPipeError` where its reader is gone.
        UsageError: There is no such format.
    """
    return interrupted_once(lambda: _write(rows, stream, file_format, complex_columns, row_bytes))


def _write(
    rows: pl.LazyFrame,
    stream: IO[bytes],
    file_format: str,
    complex_columns: Set[str],
    row_bytes: int,
) -> Written:
    if file_format in array_files.FORMATS:
        out = _Stream(stream)
        frame = rows.collect(engine="streaming")
        array_files.write_arrays(frame, cast("IO[bytes]", out), file_format, complex_columns)
        out.finish()
        return Written(frame.height, out.n_bytes, 0)
    if file_format not in FORMATS:
        known = ", ".join((*FORMATS, *array_files.FORMATS))
        raise UsageError(f"no format is called {file_format!r}: choose from {known}")
    schema = rows.collect_schema()
    if file_format in TEXTS:
        rows, schema = in_text(rows, schema)
    tally = _Tally(_not_finite(schema, file_format))
    counted = rows.map_batches(tally, streamable=True)
    # Polars ends a file well where its first row fails.
    out = (_JsonArray if file_format == "json" else _Stream)(stream, lambda: tally.n_rows > 0)
    try:
        group = _group_rows(schema, row_bytes)
        _SINKS[file_format](counted, schema, cast("IO[bytes]", out), group)
    except Exception:
        # Polars makes its own error of what the stream raised.
        if out.error is not None:
            raise out.error from None
        raise
    out.finish()
    return Written(tally.n_rows, out.n_bytes, tally.not_finite)


class _Tally:
    """Counts rows, and values that become null, as they pass."""

    def __init__(self, not_finite: pl.Expr | None) -> None:
        self.n_rows = 0
        self.not_finite = 0
        self._expression = not_finite
        self._lock = Lock()

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        found = 0 if self._expression is None else rows.select(self._expression).item()
        with self._lock:
            self.n_rows += rows.height
            self.not_finite += found
        return rows


class _Stream(RawIOBase):
    """Passes bytes on once it has begun; keeps the error of a stream that refuses them."""

    def __init__(self, stream: IO[bytes], has_begun: Callable[[], bool] = lambda: True) -> None:
        super().__init__()
        self.error: OSError | None = None
        self.n_bytes = 0
        self._stream = stream
        self._has_begun = has_begun
        self._held = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._pass_on(bytes(data))
        return len(data)

    def finish(self) -> None:
        """Pass on what is left."""
        self._has_begun = lambda: True
        self._pass_on(b"")
        self._stream.flush()

    def _pass_on(self, data: bytes) -> None:
        data, self._held = self._held + data, b""
        if not self._has_begun():
            self._held = data
            return
        try:
            self._stream.write(data)
        except OSError as error:
            self.error = error
            raise
        self.n_bytes += len(data)


class _JsonArray(_Stream):
    """Makes one JSON array of JSON lines: a newline is never inside a value."""

    _before = b"[\n"

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        text = bytes(data)
        if text:
            ended = text.endswith(b"\n")
            lines = text[: -1 if ended else None].replace(b"\n", b",\n")
            self._pass_on(self._before + lines)
            self._before = b",\n" if ended else b""
        return len(data)

    def finish(self) -> None:
        self._pass_on(b"[]\n" if self._before == b"[\n" else b"\n]\n")
        super().finish()


def _parquet_metadata(schema: pl.Schema) -> dict[str, str] | None:
    """What makes readers through pyarrow see list<int32> and string; Polars writes large ones."""
    try:
        return {arrow_ipc.KEY: arrow_ipc.schema_message(schema, {})}
    except TypeError:
        return None


def _group_rows(schema: pl.Schema, row_bytes: int) -> int | None:
    """Rows of a row group; None where Polars may choose."""
    if not may_be_wide(schema.values()) or row_bytes * _USUAL_ROWS <= _GROUP_BYTES:
        return None
    return max(1, _GROUP_BYTES // row_bytes)


def _sink_parquet(rows: pl.LazyFrame, schema: pl.Schema, out: IO[bytes], group: int | None) -> None:
    rows.sink_parquet(out, row_group_size=group, metadata=_parquet_metadata(schema))


def _sink_arrow(rows: pl.LazyFrame, _: pl.Schema, out: IO[bytes], group: int | None) -> None:
    rows.sink_ipc(out, record_batch_size=group, compat_level=pl.CompatLevel.oldest())


def _sink_csv(rows: pl.LazyFrame, schema: pl.Schema, out: IO[bytes], _: int | None) -> None:
    rows.select(in_cells(schema)).sink_csv(out, line_terminator="\r\n")


def _sink_ndjson(rows: pl.LazyFrame, _: pl.Schema, out: IO[bytes], __: int | None) -> None:
    rows.sink_ndjson(out)


_SINKS: dict[str, Callable[[pl.LazyFrame, pl.Schema, IO[bytes], int | None], None]] = {
    "parquet": _sink_parquet,
    "csv": _sink_csv,
    "ndjson": _sink_ndjson,
    "arrow": _sink_arrow,
    "json": _sink_ndjson,
}


def _not_finite(schema: pl.Schema, file_format: str) -> pl.Expr | None:
    """How many floats of a frame the format cannot hold, or None where it holds all."""
    if file_format not in TEXTS:
        return None
    return _total(
        _count(pl.col(name), dtype)
        for name, dtype in schema.items()
        if file_format in _NO_NAN or dtype.is_nested()
    )


def _count(values: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    if dtype.is_float():
        return (~values.is_finite()).sum()
    if isinstance(dtype, pl.List):
        return _count(values.explode(), arrow_ipc.inner(dtype))
    if isinstance(dtype, pl.Array):
        return _count(values.arr.explode(), arrow_ipc.inner(dtype))
    if isinstance(dtype, pl.Map):
        return _count(values.map.values().explode(), arrow_ipc.instance(dtype.value))
    if isinstance(dtype, pl.Struct):
        return _total(
            _count(values.struct.field(field.name), arrow_ipc.instance(field.dtype))
            for field in dtype.fields
        )
    return None


def _total(counts: Iterable[pl.Expr | None]) -> pl.Expr | None:
    found = [count for count in counts if count is not None]
    return pl.sum_horizontal(found) if found else None


def _umask() -> int:
    """The mask for new files; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
