"""What solvers write: parquet, CSV, NDJSON, Arrow, from a file or a pipe, as a frame."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from vulcan_cli.errors import InputRefused, Problem, UsageError
from vulcan_cli.vacua import secrets
from vulcan_cli.vacua.schema import DTYPES

Format = Literal["auto", "parquet", "csv", "ndjson", "arrow"]
"""The formats an input can have; `auto` looks at its first bytes."""

_MAGIC = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow",
    b"{": "ndjson",
    b"[": "json",
    b"PK\x03\x04": "npz",
    b"\x1f\x8b": "gzip",
}


def read_file(path: Path, format: Format = "auto") -> pl.DataFrame:  # noqa: A002 (the option's name)
    """Read an input file.

    Raises:
        InputRefused: It is not what its format says, or no format fits.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if _format_of(start, format, path.name) == "parquet":
        return _parsed(lambda: pl.read_parquet(path, **_PARQUET), path.name)
    return read_bytes(path.read_bytes(), format, name=path.name)


def read_bytes(data: bytes, format: Format = "auto", *, name: str) -> pl.DataFrame:  # noqa: A002
    """Read an input that is in memory, such as all of standard input.

    Args:
        data: All of it.
        format: Its format.
        name: What to call it in an error.

    Raises:
        InputRefused: It is empty, not what its format says, or no format fits.
    """
    if not data.strip():
        raise InputRefused(Problem("the input is empty", source=name))
    reader = _READERS[_format_of(data[:8], format, name)]
    return _parsed(lambda: reader(data), name)


def from_frame(frame: Any) -> pl.DataFrame:  # noqa: ANN401 (any library's frame)
    """A Polars frame of anything that has the Arrow C stream: Polars, pandas, Arrow.

    Raises:
        UsageError: It is no frame.
    """
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if not hasattr(frame, "__arrow_c_stream__"):
        kind = type(frame).__name__
        raise UsageError(f"{kind} is no frame: Polars, pandas and Arrow frames are, among others")
    return pl.DataFrame(frame)


def _format_of(start: bytes, wanted: Format, name: str) -> str:
    if wanted != "auto":
        return wanted
    bare = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    found = next((kind for magic, kind in _MAGIC.items() if bare.startswith(magic)), "csv")
    if found not in _READERS:
        known = ", ".join(get_args(Format)[1:])
        message = f"looks like {found}, which is not read here; {known} are"
        raise InputRefused(Problem(message, source=name))
    return found


def _parsed(read: Callable[[], pl.DataFrame], name: str) -> pl.DataFrame:
    try:
        return read()
    except InputRefused as refusal:
        raise InputRefused(*(_of_source(problem, name) for problem in refusal.problems)) from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError, csv.Error) as error:
        first = (str(error).splitlines() or ["unreadable"])[0]
        raise InputRefused(Problem(secrets.scrub(first)[:200], source=name)) from error
    except OSError as error:
        # Polars reports broken bytes so too; only the system's own errors carry a number.
        if error.errno is not None:
            raise
        raise InputRefused(Problem(f"unreadable: {error}", source=name)) from error


def _of_source(problem: Problem, name: str) -> Problem:
    return Problem(problem.message, problem.column, problem.row, problem.value, name)


def _read_parquet(data: bytes) -> pl.DataFrame:
    return pl.read_parquet(BytesIO(data), **_PARQUET)


def _read_csv(data: bytes) -> pl.DataFrame:
    """Known columns stay text, so that the casts of a shard see every digit."""
    header = _header(data)
    names = [name.strip().strip('"').strip() for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputRefused(*(Problem("column stands there twice", name) for name in twice))
    pairs = zip(header, names, strict=True)
    text = {raw: pl.String() for raw, name in pairs if name in DTYPES}
    frame = pl.read_csv(data, schema_overrides=text, infer_schema_length=None)
    return frame.rename(dict(zip(header, names, strict=True)))


def _header(data: bytes) -> list[str]:
    line = data[: data.find(b"\n") + 1 or len(data)].decode("utf-8-sig")
    return next(csv.reader(StringIO(line)))


def _read_ndjson(data: bytes) -> pl.DataFrame:
    return pl.read_ndjson(BytesIO(data.removeprefix(b"\xef\xbb\xbf")), infer_schema_length=None)


def _read_arrow(data: bytes) -> pl.DataFrame:
    if data.startswith(b"ARROW1"):
        return pl.read_ipc(BytesIO(data))
    return pl.read_ipc_stream(BytesIO(data))


_PARQUET: dict[str, Any] = {"glob": False, "hive_partitioning": False}
_READERS: dict[str, Callable[[bytes], pl.DataFrame]] = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "ndjson": _read_ndjson,
    "arrow": _read_arrow,
}
