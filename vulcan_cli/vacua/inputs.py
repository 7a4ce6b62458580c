"""What solvers write: parquet, CSV, NDJSON, Arrow, npz, from a file or a pipe, as a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal, TypeVar, get_args

import polars as pl

from vulcan_cli.errors import InputRefused, NotSetUp, Problem, UsageError
from vulcan_cli.other_errors import is_out_of_threads
from vulcan_cli.vacua.arrow_ipc import UnknownZone
from vulcan_cli.vacua.csv_text import read_csv
from vulcan_cli.vacua.ndjson_text import read_ndjson
from vulcan_cli.vacua.nesting import check_nesting, unknown_zones
from vulcan_cli.vacua.tail import tail_of
from vulcan_cli.vacua.unread import IN_UTC, UNREADABLE, UnreadRows, first_line

Format = Literal["auto", "parquet", "csv", "ndjson", "arrow", "npz"]
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
    b"\x93NUMPY": "npy",
    b"\x80": "a pickle",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


@dataclass(frozen=True, slots=True)
class Given:
    """What an input gives.

    Attributes:
        frame: Its rows.
        provenance: What stands beside them of the run that made them.
        remarks: What was left out.
        may_be_empty: Whether it is normal that there is no row.
    """

    frame: pl.DataFrame
    provenance: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[Problem, ...] = ()
    may_be_empty: bool = False


def read_file(path: Path, format: Format = "auto") -> Given:  # noqa: A002 (the option's name)
    """Read an input file.

    Raises:
        InputRefused: It is not what its format says, or no format fits.
        NotSetUp: It needs a package that is not installed.
        OSError: It cannot be read.
    """
    name = str(path)
    with path.open("rb") as file:
        # A pipe, such as the shell's <(…), gives its bytes once.
        if not file.seekable():
            return read_bytes(file.read(), format, name=name)
        start = file.read(8)
        kind = format_of(start, format, name) if start else ""
        file.seek(0)
        if kind == "parquet":
            return Given(_parsed(lambda: _read_parquet(file, path), name))
        if kind == "npz":
            given = _parsed(lambda: _given_npz(file), name)
            return given if given.frame.is_empty() else _with_config(given, path)
        return read_bytes(file.read(), format, name=name)


def read_bytes(data: bytes, format: Format = "auto", *, name: str) -> Given:  # noqa: A002
    """Read an input that is in memory, such as all of standard input.

    Args:
        data: All of it.
        format: Its format.
        name: What to call it in an error.

    Raises:
        InputRefused: It is empty, not what its format says, or no format fits.
        NotSetUp: It needs a package that is not installed.
    """
    if not data or data.isspace():
        raise InputRefused(Problem("the input is empty", source=name))
    kind = format_of(data[:8], format, name)
    if kind == "npz":
        return _parsed(lambda: _given_npz(BytesIO(data)), name)
    return Given(frame_of(data, kind, name=name))


def frame_of(data: bytes, kind: str, *, name: str) -> pl.DataFrame:
    """The rows in these bytes, by what `format_of` says of them.

    Raises:
        InputRefused: They are not what they should be.
    """
    return _parsed(lambda: _READERS[kind](data), name)


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
    except UNREADABLE as error:
        raise InputRefused(Problem(first_line(error))) from error


def format_of(start: bytes, wanted: Format, name: str) -> str:
    """The format of what begins with these bytes.

    Raises:
        InputRefused: It is none that is read here, or another than the one wanted.
    """
    bare = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    magic = next((magic for magic in _MAGIC if bare.startswith(magic)), None)
    if magic is None:
        return "csv" if wanted == "auto" else wanted
    # A header may begin so, or a first line that is no row. Other formats go on in control bytes.
    if wanted in ("csv", "ndjson") and magic.isascii() and min(bare) >= ord("\t"):
        return wanted
    found = _MAGIC[magic]
    if found not in get_args(Format):
        known = ", ".join(get_args(Format)[1:])
        message = f"looks like {found}, which is not read here; {known} are"
        raise InputRefused(Problem(message, source=name))
    if wanted not in ("auto", found):
        raise InputRefused(Problem(f"looks like {found}, not like {wanted}", source=name))
    return found


T = TypeVar("T")


def _parsed(read: Callable[[], T], name: str) -> T:
    try:
        return read()
    except UnreadRows as unread:
        raise unread.of_source(name) from None
    except InputRefused as refusal:
        raise InputRefused(*(_of_source(problem, name) for problem in refusal.problems)) from None
    except NotSetUp:
        raise
    except OSError as error:
        # Polars reports broken bytes so too; only the system's own errors carry a number.
        if error.errno is not None:
            raise
        raise InputRefused(Problem(f"unreadable: {first_line(error)}", source=name)) from error
    except UNREADABLE as error:
        if is_out_of_threads(error):
            raise
        raise InputRefused(Problem(first_line(error), source=name)) from error


def _of_source(problem: Problem, name: str) -> Problem:
    return problem._replace(source=name)


def _given_npz(file: IO[bytes]) -> Given:
    from vulcan_cli.vacua import npz  # noqa: PLC0415 - the other formats do without

    frame, left_out = npz.read_npz(file)
    return Given(frame, remarks=left_out, may_be_empty=True)


def _with_config(given: Given, path: Path) -> Given:
    """With what the job was told, which stands in the folder above the results."""
    from vulcan_cli.vacua import npz  # noqa: PLC0415

    config = npz.config_above(path)
    return given if config is None else replace(given, provenance={"config": config})


def _read_parquet(file: IO[bytes], source: Path | IO[bytes]) -> pl.DataFrame:
    tail = tail_of(file)
    try:
        check_nesting(tail)
    except UnknownZone:
        zones = unknown_zones(tail)
        raise InputRefused(
            *(Problem(f"{error}: {IN_UTC}", name) for name, error in zones.items())
        ) from None
    return pl.read_parquet(source, glob=False, hive_partitioning=False)


def _read_arrow(data: bytes) -> pl.DataFrame:
    # Few inputs are Arrow, and pyarrow is slow to load.
    from vulcan_cli.vacua.arrow_input import read_arrow  # noqa: PLC0415

    return read_arrow(data)


_READERS: dict[str, Callable[[bytes], pl.DataFrame]] = {
    "parquet": lambda data: _read_parquet(BytesIO(data), BytesIO(data)),
    "csv": read_csv,
    "ndjson": read_ndjson,
    "arrow": _read_arrow,
}
