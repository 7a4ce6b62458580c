"""NDJSON as solvers write it: which lines cannot be read, and why."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from io import BytesIO
from typing import Any

import polars as pl

from vulcan_cli.errors import Problem
from vulcan_cli.vacua.unread import first_line, refuse_rows

_BOM = b"\xef\xbb\xbf"
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_SPACE_BEHIND_KEY = re.compile(rb'"\s+:')
_LONG = re.compile(rb"[-:,\[\s][0-9]{16,}(?=\s*[],}])")
_LEAST_LONG = 10**15
_EXACT_IN_FLOAT = 2**53
_ROUNDED = "must be exact as a 64-bit float, as there are floats beside it"
_TOO_LONG = "must be within the range of a 128-bit integer, or a float with an exponent"
_INT128 = (Decimal(-(2**127)), Decimal(2**127 - 1))
_KINDS = {
    bool: "truth values",
    **dict.fromkeys((int, float, Decimal), "numbers"),
    str: "text",
    dict: "objects",
}


def read_ndjson(data: bytes) -> pl.DataFrame:
    """Read a JSON object a line; a key that a line lacks is null there.

    Raises:
        UnreadRows: Some lines are no JSON objects, give a key twice, hold another kind of thing
            than the others, or an integer that would be rounded beside floats.
        polars.exceptions.PolarsError: It is no NDJSON, and no line is at fault.
    """
    data = data.removeprefix(_BOM)
    # Of half a surrogate pair Polars makes a zero byte.
    if _HALF.search(data) and not all(map(_is_row, filter(_HALF.search, data.split(b"\n")))):
        _refuse_bad_lines(data, {})
    try:
        frame = _frame([data])
    except pl.exceptions.PolarsError:
        _refuse_bad_lines(data, {})
        raise
    if _repeats_keys(data, frame) or _may_round(data, frame):
        _refuse_bad_lines(data, frame.schema)
    return frame


def _frame(lines: Iterable[bytes]) -> pl.DataFrame:
    return pl.read_ndjson(BytesIO(b"\n".join(lines)), infer_schema_length=None)


def _repeats_keys(data: bytes, frame: pl.DataFrame) -> bool:
    """Whether a line gives values twice to a key: Polars takes the first, and says nothing."""
    n_cells = sum(map(_n_keys, frame))
    # Counting settles it for nearly every file: each key that is written is a cell.
    if data.count(b":") == n_cells:
        return False
    nulls = data.count(b'":null') + data.count(b'": null')
    has_values_once = data.count(b'":') - nulls == n_cells and not _has_space_behind_keys(data)
    if has_values_once and nulls == 0:
        return False
    lines = [line for line in data.split(b"\n") if line.strip()]
    if has_values_once:
        # A null behind a value is no cell; where no line lacks a key, it is one null too many.
        if _is_flat_with(nulls, n_cells, frame) and _lack_no_key(lines, frame):
            return False
        lines = [line for line in lines if b"null" in line]
    decoder = json.JSONDecoder(object_pairs_hook=_each_once)
    return not all(_is_read(line, decoder) for line in lines)


def _has_space_behind_keys(data: bytes) -> bool:
    """Whether a colon may stand elsewhere than right behind a key."""
    # Most files have no space behind any quote, and that is seen sooner.
    has_space = any(b'"' + space in data for space in (b" ", b"\t", b"\r"))
    return has_space and bool(_SPACE_BEHIND_KEY.search(data))


def _is_flat_with(nulls: int, n_cells: int, frame: pl.DataFrame) -> bool:
    """Whether all keys are columns, and so many nulls are what the cells that are none would be."""
    n_null = sum(column.null_count() for column in frame)
    return nulls == n_null == frame.width * frame.height - n_cells


def _lack_no_key(lines: Iterable[bytes], frame: pl.DataFrame) -> bool:
    """Whether each line has a key for each cell that is none."""
    names = [column.name for column in frame if column.null_count()]
    keys = [json.dumps(name, ensure_ascii=False).encode() + b":" for name in names]
    return all(key in line for line in lines for key in keys)


def _is_read(line: bytes, decoder: json.JSONDecoder) -> bool:
    try:
        decoder.decode(line.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _n_keys(column: pl.Series) -> int:
    """How many keys with a value its cells stand for: their own, and those of objects inside."""
    if isinstance(column.dtype, pl.Struct):
        inside = sum(map(_n_keys, column.struct.unnest()))
    elif isinstance(column.dtype, pl.List) and isinstance(column.dtype.inner, (pl.List, pl.Struct)):
        cells = column.explode()
        inside = _n_keys(cells) - (len(cells) - cells.null_count())
    else:
        inside = 0
    return len(column) - column.null_count() + inside


def _may_round(data: bytes, frame: pl.DataFrame) -> bool:
    """Whether an integer may have lost digits because it stands beside floats."""
    leaves = [leaf for column in frame for leaf in _leaves(column)]
    floats = [leaf for leaf in leaves if leaf.dtype.is_float()]
    if not any((leaf.abs() >= _EXACT_IN_FLOAT).any() for leaf in floats):
        return False
    # Beside no float it keeps them; seeds are often that long.
    integers = [leaf for leaf in leaves if leaf.dtype.is_integer()]
    kept = sum(((leaf >= _LEAST_LONG) | (leaf <= -_LEAST_LONG)).sum() for leaf in integers)
    return len(_LONG.findall(data)) != kept


def _leaves(column: pl.Series) -> Iterator[pl.Series]:
    """The values of a column, also those inside lists and objects."""
    if isinstance(column.dtype, pl.Struct):
        for part in column.struct.unnest():
            yield from _leaves(part)
    elif isinstance(column.dtype, pl.List):
        yield from _leaves(column.explode())
    else:
        yield column


def _rounded(value: object, dtype: object) -> int | None:
    """The first integer in a value that loses digits in this type."""
    if isinstance(value, dict) and isinstance(dtype, pl.Struct):
        types = {field.name: field.dtype for field in dtype.fields}
        inside = [_rounded(each, types.get(name)) for name, each in value.items()]
    elif isinstance(value, list) and isinstance(dtype, pl.List):
        inside = [_rounded(each, dtype.inner) for each in value]
    elif type(value) is int and isinstance(dtype, pl.DataType) and dtype.is_float():
        inside = [] if _is_in_float(value) else [value]
    else:
        inside = []
    return next((found for found in inside if found is not None), None)


def _too_long(value: object) -> Decimal | None:
    """The first integer in a value that no type of Polars holds."""
    if isinstance(value, Decimal):
        return value
    inside: Iterable[object] = ()
    if isinstance(value, (dict, list)):
        inside = value.values() if isinstance(value, dict) else value
    return next(filter(None, map(_too_long, inside)), None)


def _is_in_float(integer: int) -> bool:
    """Whether a float holds it, or it is written with the digits that the float is written with."""
    number = float(integer)
    return integer in (int(number), Decimal(repr(number)))


def _refuse_bad_lines(data: bytes, schema: Mapping[str, object]) -> None:
    """Say which lines cannot be read; Polars does not.

    Args:
        data: All lines.
        schema: The types that Polars made of their values, where it read them.
    """
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
            if too_long := _too_long(value):
                shown = f"{too_long:f}"[:20]
                problems.append(Problem(_TOO_LONG, column, number, f"{shown}…"))
            if found := _rounded(value, schema.get(column)):
                problems.append(Problem(_ROUNDED, column, number, str(found)))
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
    row = json.loads(
        line,
        parse_constant=_no_json,
        parse_float=_finite,
        parse_int=_integer,
        object_pairs_hook=_each_once,
    )
    if not isinstance(row, dict):
        raise ValueError(f"it is a {type(row).__name__}")  # noqa: TRY004 (as for all other lines)
    if _HALF.search(line):
        json.dumps(row, ensure_ascii=False, default=str).encode()
    return row


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"it has the key {twice!r} twice")
    return row


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON; null is")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond the range of a 64-bit float")
    return number


def _integer(text: str) -> int | Decimal:
    """An integer; as a Decimal where no type of Polars holds it."""
    number = Decimal(text)
    return int(text) if _INT128[0] <= number <= _INT128[1] else number


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
