"""What solvers write: parquet, CSV, NDJSON, Arrow, from a file or a pipe, as a frame."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from vulcan_cli.errors import InputRefused, Problem, UsageError
from vulcan_cli.vacua import secrets
from vulcan_cli.vacua.csv_text import read_csv
from vulcan_cli.vacua.findings import MOST_ROWS_SHOWN

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
    b"\x89HDF": "HDF5",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


def read_file(path: Path, format: Format = "auto") -> pl.DataFrame:  # noqa: A002 (the option's name)
    """Read an input file.

    Raises:
        InputRefused: It is not what its format says, or no format fits.
        OSError: It cannot be read.
    """
    name = str(path)
    with path.open("rb") as file:
        # A pipe, such as the shell's <(…), gives its bytes once.
        if not file.seekable():
            return read_bytes(file.read(), format, name=name)
        start = file.read(8)
        if start and _format_of(start, format, name) == "parquet":
            return _parsed(lambda: pl.read_parquet(path, **_PARQUET), name)
        return read_bytes(start + file.read(), format, name=name)


def read_bytes(data: bytes, format: Format = "auto", *, name: str) -> pl.DataFrame:  # noqa: A002
    """Read an input that is in memory, such as all of standard input.

    Args:
        data: All of it.
        format: Its format.
        name: What to call it in an error.

    Raises:
        InputRefused: It is empty, not what its format says, or no format fits.
    """
    if not data or data.isspace():
        raise InputRefused(Problem("the input is empty", source=name))
    reader = _READERS[_format_of(data[:8], format, name)]
    return _parsed(lambda: reader(data), name)


def from_frame(frame: Any) -> pl.DataFrame:  # noqa: ANN401 (any library's frame)
    """A Polars frame of anything that has the Arrow C stream: Polars, pandas, Arrow.

    Raises:
        UsageError: It is no frame.
        InputRefused: Its cells cannot be had as Arrow: mixed types in one column, for example.
    """
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if not hasattr(frame, "__arrow_c_stream__"):
        kind = type(frame).__name__
        raise UsageError(f"{kind} is no frame: Polars, pandas and Arrow frames are, among others")
    try:
        return pl.DataFrame(frame)
    except _UNREADABLE as error:
        raise InputRefused(Problem(_first_line(error))) from error


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
    except OSError as error:
        # Polars reports broken bytes so too; only the system's own errors carry a number.
        if error.errno is not None:
            raise
        raise InputRefused(Problem(f"unreadable: {_first_line(error)}", source=name)) from error
    except _UNREADABLE as error:
        raise InputRefused(Problem(_first_line(error), source=name)) from error


def _first_line(error: BaseException) -> str:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return secrets.scrub(first)[:200]


def _of_source(problem: Problem, name: str) -> Problem:
    return replace(problem, source=name)


def _read_parquet(data: bytes) -> pl.DataFrame:
    return pl.read_parquet(BytesIO(data), **_PARQUET)


def _read_ndjson(data: bytes) -> pl.DataFrame:
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return pl.read_ndjson(BytesIO(data), infer_schema_length=None)
    except pl.exceptions.PolarsError:
        _refuse_bad_lines(data)
        raise


def _refuse_bad_lines(data: bytes) -> None:
    """Say which lines are no JSON object; Polars does not."""
    lines = filter(bytes.strip, data.splitlines())
    problems = [
        Problem(f"is no JSON object: {reason}", None, number)
        for number, line in enumerate(lines, start=1)
        if (reason := _fault(line))
    ]
    if problems:
        raise InputRefused(*problems[:MOST_ROWS_SHOWN])


def _fault(line: bytes) -> str | None:
    try:
        row = json.loads(line, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        return _first_line(error)
    return None if isinstance(row, dict) else f"it is a {type(row).__name__}"


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON; null is")


def _read_arrow(data: bytes) -> pl.DataFrame:
    if data.startswith(b"ARROW1"):
        return pl.read_ipc(BytesIO(data))
    return pl.read_ipc_stream(BytesIO(data))


_UNREADABLE = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,  # Rust's own; broken parquet can set it off
    csv.Error,
    ValueError,
    TypeError,
    NotImplementedError,
)
_PARQUET: dict[str, Any] = {"glob": False, "hive_partitioning": False}
_READERS: dict[str, Callable[[bytes], pl.DataFrame]] = {
    "parquet": _read_parquet,
    "csv": read_csv,
    "ndjson": _read_ndjson,
    "arrow": _read_arrow,
}
