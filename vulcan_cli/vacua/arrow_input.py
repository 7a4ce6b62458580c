"""Arrow IPC as solvers write it, looked at by pyarrow before Polars reads it."""

from __future__ import annotations

from collections import Counter
from io import BytesIO

import polars as pl
import pyarrow as pa

from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.vacua.arrow_ipc import UnknownZone, check_zone
from vulcan_cli.vacua.arrow_leaves import holds
from vulcan_cli.vacua.unread import IN_UTC, first_line


def read_arrow(data: bytes) -> pl.DataFrame:
    """Read an IPC file or an IPC stream.

    Raises:
        InputRefused: Columns share a name, or have types over which Polars panics.
        ValueError: It is no Arrow, or its lengths lie: Polars ends the process over them.
    """
    is_file = data.startswith(b"ARROW1")
    try:
        with pa.ipc.open_file(data) if is_file else pa.ipc.open_stream(data) as reader:
            _check_columns(reader.schema)
            reader.read_all().validate(full=True)
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise ValueError(first_line(error)) from error
    return pl.read_ipc(BytesIO(data)) if is_file else pl.read_ipc_stream(BytesIO(data))


def _check_columns(schema: pa.Schema) -> None:
    times = Counter(schema.names)
    problems = [Problem("column stands there twice", name) for name in times if times[name] > 1]
    problems += [
        Problem(f"{field.type} is not read here{_cure(field.type)}", field.name)
        for field in schema
        if holds(field.type, _is_unread)
    ]
    if problems:
        raise InputRefused(*problems)


def _cure(kind: pa.DataType) -> str:
    return f": {IN_UTC}" if holds(kind, _is_of_no_zone) else ""


def _is_unread(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        return len(set(names)) < len(names)
    return bool(
        _is_of_no_zone(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
        or pa.types.is_run_end_encoded(kind)
        or pa.types.is_union(kind)
        or pa.types.is_interval(kind)
        or pa.types.is_decimal256(kind)
    )


def _is_of_no_zone(kind: pa.DataType) -> bool:
    if not pa.types.is_timestamp(kind):
        return False
    try:
        check_zone(kind.tz or "")
    except UnknownZone:
        return True
    return False
