"""CSV as people write it: lists in cells, spaces in headers, semicolons, byte order marks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper

import polars as pl

from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.vacua import casts
from vulcan_cli.vacua.findings import MOST_ROWS_SHOWN
from vulcan_cli.vacua.schema import DTYPES

_BOM = b"\xef\xbb\xbf"
_LONGEST_PLAIN = 15
_LEADING_ZERO = r"^[+-]?0[0-9]"
_WHOLE = r"^[+-]?[0-9]+$"
_TRUTHS = ("true", "True", "TRUE", "false", "False", "FALSE")


def read_csv(data: bytes) -> pl.DataFrame:
    """Read CSV; columns are split by `,`, `;` or tab, whichever the header has first.

    Known columns stay text, so that the casts of a shard see every digit. Others become numbers
    or booleans where their text tells nothing more.

    Raises:
        InputRefused: A column stands there twice, or a row has more or fewer cells than the header.
        csv.Error, UnicodeDecodeError, polars.exceptions.PolarsError: It is no CSV.
    """
    data = data.removeprefix(_BOM)
    separator = _separator(data)
    names, start = _header(data, separator)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputRefused(*(Problem("column stands there twice", name) for name in twice))
    # Polars would make a row of nulls of each empty line at the end.
    body = data[start:].rstrip(b"\r\n")
    try:
        frame = pl.read_csv(
            body,
            has_header=False,
            schema=dict.fromkeys(names, pl.String()),
            separator=separator,
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError:
        _refuse_uneven(body, separator, len(names))
        raise
    if frame.height and frame[:, -1].null_count():
        # Polars fills short rows with null.
        _refuse_uneven(body, separator, len(names))
    return frame.select(_typed(column) for column in frame)


def _separator(data: bytes) -> str:
    line = data[: data.find(b"\n")].decode(errors="replace")
    return min(",;\t", key=lambda mark: line.find(mark) % (len(line) + 1))


def _header(data: bytes, separator: str) -> tuple[list[str], int]:
    """The column names, without spaces around them, and where the rows begin."""
    stream = BytesIO(data)
    # The reader takes more than one line where a quoted name goes over several.
    lines = (line.decode() for line in stream if line.strip())
    row = next(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    return [name.strip() for name in row], stream.tell()


def _refuse_uneven(body: bytes, separator: str, width: int) -> None:
    """Refuse rows with more or fewer cells than there are columns."""
    problems = []
    for number, cells in enumerate(_rows(body, separator), start=1):
        if cells != width:
            message = f"has {cells} cells where the header has {width}"
            problems.append(Problem(message, None, number))
    if len(problems) > MOST_ROWS_SHOWN:
        more = len(problems) - MOST_ROWS_SHOWN
        problems[MOST_ROWS_SHOWN:] = [Problem(f"{more} more rows have another number of cells")]
    if problems:
        raise InputRefused(*problems)


def _rows(body: bytes, separator: str) -> Iterator[int]:
    """How many cells each row has; an empty line is a row of one empty cell."""
    text = TextIOWrapper(BytesIO(body), encoding="utf-8", newline="")
    for row in csv.reader(text, delimiter=separator):
        yield len(row) or 1


def _typed(text: pl.Series) -> pl.Series:
    """A column of text as what it says, where turning it back would lose nothing of note."""
    dtype = DTYPES.get(text.name)
    if dtype is not None:
        # Some writers quote everything, missing numbers too.
        return text if dtype == pl.String else text.set(text == "", None)
    told = text.drop_nulls()
    if told.is_in(_TRUTHS).all() and told.len():
        return casts.cast(text, pl.Boolean()).values
    if not told.len() or told.str.contains(_LEADING_ZERO).any():
        return text
    whole = told.str.contains(_WHOLE)
    if whole.all():
        return _cast_or_text(text, pl.Int64())
    if (whole & (told.str.len_bytes() > _LONGEST_PLAIN)).any():
        return text
    return _cast_or_text(text, pl.Float64())


def _cast_or_text(text: pl.Series, dtype: pl.DataType) -> pl.Series:
    cast = casts.cast(text, dtype)
    return text if cast.inexact.any() else cast.values
