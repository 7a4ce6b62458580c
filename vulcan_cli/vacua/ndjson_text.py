"""NDJSON as solvers write it: which lines cannot be read, and why."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import polars as pl

from vulcan_cli.errors import Problem
from vulcan_cli.vacua.unread import first_line, refuse_rows

_BOM = b"\xef\xbb\xbf"
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_KINDS = {bool: "truth values", int: "numbers", float: "numbers", str: "text", dict: "objects"}


def read_ndjson(data: bytes) -> pl.DataFrame:
    """Read a JSON object a line; a key that a line lacks is null there.

    Raises:
        UnreadRows: Some lines are no JSON objects, or hold another kind of thing than the others.
        polars.exceptions.PolarsError: It is no NDJSON, and no line is at fault.
    """
    data = data.removeprefix(_BOM)
    # Of half a surrogate pair Polars makes a zero byte.
    if _HALF.search(data) and not all(map(_is_row, filter(_HALF.search, data.split(b"\n")))):
        _refuse_bad_lines(data)
    try:
        return _frame([data])
    except pl.exceptions.PolarsError:
        _refuse_bad_lines(data)
        raise


def _frame(lines: Iterable[bytes]) -> pl.DataFrame:
    return pl.read_ndjson(BytesIO(b"\n".join(lines)), infer_schema_length=None)


def _refuse_bad_lines(data: bytes) -> None:
    """Say which lines cannot be read; Polars does not."""
    lines = dict(enumerate(filter(bytes.strip, data.split(b"\n")), start=1))
    problems = []
    kinds: dict[str, dict[str, list[int]]] = {}
    for number, line in lines.items():
        try:
            row = _row(line)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(f"is no JSON object: {first_line(error)}", None, number))
            continue
        for column, value in row.items():
            if kind := _kind(value):
                kinds.setdefault(column, {}).setdefault(kind, []).append(number)
    problems += [each for column, rows in kinds.items() for each in _unlike(column, rows)]
    if problems:
        bad = {problem.row for problem in problems}
        others = {number: line for number, line in lines.items() if number not in bad}
        problems.sort(key=lambda problem: problem.row or 0)
        refuse_rows(problems, lambda: _frame(others.values()), tuple(others))


def _is_row(line: bytes) -> bool:
    try:
        _row(line)
    except (ValueError, RecursionError):
        return False
    return True


def _row(line: bytes) -> dict[str, Any]:
    """The object on a line; ValueError where there is none that can be kept."""
    row = json.loads(line, parse_constant=_no_json, parse_float=_finite)
    if not isinstance(row, dict):
        raise ValueError(f"it is a {type(row).__name__}")  # noqa: TRY004 (as for all other lines)
    if _HALF.search(line):
        json.dumps(row, ensure_ascii=False).encode()
    return row


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON; null is")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond the range of a 64-bit float")
    return number


def _kind(value: object) -> str | None:
    """What a value is, in words; None of null and of lists of nothing, which go with anything."""
    if isinstance(value, list):
        inside = sorted({kind for each in value if (kind := _kind(each))})
        return f"lists of {' and '.join(inside)}" if inside else None
    return _KINDS.get(type(value))


def _unlike(column: str, kinds: Mapping[str, list[int]]) -> list[Problem]:
    """The rows in which a column holds something else than in most."""
    # Beside text everything becomes text, and checks of its own follow.
    if any("text" in kind for kind in kinds):
        return []
    usual = max(kinds, key=lambda kind: len(kinds[kind]))
    return [
        Problem(f"holds {kind} where other rows hold {usual}", column, row)
        for kind, rows in kinds.items()
        for row in rows
        if kind != usual
    ]
