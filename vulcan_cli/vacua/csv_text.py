"""CSV as people write it: lists in cells, spaces in headers, semicolons, comments, an index."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import TypeAlias

import polars as pl

from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.vacua import casts
from vulcan_cli.vacua.schema import DTYPES
from vulcan_cli.vacua.unread import refuse_rows

_Read: TypeAlias = Callable[[bytes, list[str], str], pl.DataFrame]
"""Reads rows, of columns of these names, split by this."""

_BOM = b"\xef\xbb\xbf"
_QUOTED = rb'[^"]*(?:""[^"]*)*("?)'
_BEGUN = re.compile(_QUOTED)
_CELL_IN_QUOTES = re.compile(rb'[,;\t|] *"' + _QUOTED)
_HALF = re.compile("[\ud800-\udfff]")
_BLANK_LINE = re.compile(rb"(?:^|\n) *\r?\n")
_MARKS = ",;\t|"
_MISSING = ("", "NA", "N/A", "null", "NULL", "None")
"""What stands for a missing number; in columns of text these are words."""

_LONGEST_PLAIN = 15
_LONGEST_SHOWN = 40
_LEADING_ZERO = r"^[+-]?0[0-9]"
_WHOLE = r"^[+-]?[0-9]+$"
_TRUTHS = ("true", "True", "TRUE", "false", "False", "FALSE")


def read_csv(data: bytes) -> pl.DataFrame:
    """Read CSV; columns are split by `,`, `;`, tab or `|`, whichever the header has first.

    Known columns stay text, so that the casts of a shard see every digit. Others become numbers
    or booleans where their text tells nothing more. Empty lines count for nothing, nor do comments
    before the header. A column without a name is left out where it only counts the rows, as
    pandas' index does, or holds nothing.

    Raises:
        InputRefused: A column stands there twice.
        UnreadRows: A row has more or fewer cells than the header, or is no CSV, or not UTF-8.
        csv.Error, UnicodeDecodeError, polars.exceptions.PolarsError: It is no CSV.
    """
    data = _from_header(data.removeprefix(_BOM))
    separator = _separator(data)
    names, start = _header(data, separator)
    _refuse_numbers(names)
    twice = sorted({name for name in names if name.strip() and names.count(name) > 1})
    if twice:
        raise InputRefused(*(Problem("column stands there twice", name) for name in twice))
    spaced = f"{separator} ".encode() in data[:start] or f'{separator} "'.encode() in data
    read = _read_spaced if spaced else _read
    return read(_without_blank_lines(data[start:]), names, separator)


def is_before_header(line: bytes) -> bool:
    """Whether a line before the header is no header: empty, a comment, or Excel's `sep=;`."""
    return not line.strip() or line.lstrip().startswith((b"#", b"sep="))


def ends_in_quotes(line: bytes, *, inside: bool) -> bool:
    """Whether a cell in quotes goes on behind a line; quotes within other cells open none.

    Args:
        line: The line.
        inside: Whether it begins in such a cell.
    """
    if b'"' not in line:
        return inside
    begun = _BEGUN.match(line) if inside else None
    if begun and not begun[1]:
        return True
    # As if a mark stood before the first cell, a pattern that begins with a mark finds it, faster.
    rest = line[begun.end() :] if begun else b"," + line.removeprefix(_BOM)
    cells = _CELL_IN_QUOTES.finditer(rest)
    return any(not cell[1] for cell in cells)


def is_one_row(text: bytes, head: bytes) -> bool:
    """Whether lines taken for a row under this header are one, whatever is wrong in it."""
    # The line behind tells whether a quote is still open.
    records = [record for record, _ in _records(text + b"\n", _separator(head), strict=True)]
    return records == [text, b"\n"]


def _from_header(data: bytes) -> bytes:
    for line in BytesIO(data):
        if not is_before_header(line):
            break
        data = data[len(line) :]
    if not data:
        raise InputRefused(Problem("there is no header"))
    return data


def _separator(data: bytes) -> str:
    line = data[: data.find(b"\n")].decode(errors="replace")
    return min(_MARKS, key=lambda mark: line.find(mark) % (len(line) + 1))


def _header(data: bytes, separator: str) -> tuple[list[str], int]:
    """The column names, without spaces around them, and where the rows begin.

    Where there is no name, there is a number of spaces of its own.
    """
    stream = BytesIO(data)
    # The reader takes more than one line where a quoted name goes over several.
    lines = (line.decode() for line in stream)
    row = next(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    names = [name.strip() or " " * number for number, name in enumerate(row, start=1)]
    return names, stream.tell()


def _refuse_numbers(names: list[str]) -> None:
    """Refuse a first line of numbers: `numpy.savetxt` names no columns, or in a comment."""
    words = " ".join(names).split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return
    if numbers:
        message = "the first line must name the columns, and not in a comment"
        raise InputRefused(Problem(message, value=" ".join(words)[:_LONGEST_SHOWN]))


def _without_blank_lines(body: bytes) -> bytes:
    """The body without lines that hold nothing, but for those within quotes."""
    # Polars would make a row of nulls of each; those at the end are the usual ones.
    body = body.rstrip(b"\r\n")
    if not _BLANK_LINE.search(body):
        return body
    kept, inside = [], False
    for line in BytesIO(body):
        if inside or line.strip(b" \r\n"):
            kept.append(line)
        inside = ends_in_quotes(line, inside=inside)
    return b"".join(kept)


def _read(body: bytes, names: list[str], separator: str) -> pl.DataFrame:
    """The rows; where some cannot be read, those are refused."""
    schema = dict.fromkeys(names, pl.String())
    if any(line.count(b'"') % 2 for line in BytesIO(body)):
        # Between two quotes that stand within cells Polars sees neither cells nor rows.
        _refuse_bad_rows(body, names, separator, _read, strict=True)
    try:
        frame = pl.read_csv(
            body, has_header=False, schema=schema, separator=separator, raise_if_empty=False
        )
    except pl.exceptions.PolarsError:
        _refuse_bad_rows(body, names, separator, _read, strict=True)
        raise
    if frame.height and frame[:, -1].null_count():
        # Polars fills short rows with null.
        _refuse_bad_rows(body, names, separator, _read, strict=True)
    return _with_types(frame)


def _read_spaced(body: bytes, names: list[str], separator: str) -> pl.DataFrame:
    """As `_read`, where there is a space behind each separator, also before a quote.

    Polars takes it for a part of the cell, and the quote too.
    """
    rows = [row for _, row in _records(body, separator)]
    if any(_fault(row, len(names)) for row in rows):
        _refuse_bad_rows(body, names, separator, _read_spaced)
    cells = [[cell or None for cell in row] for row in rows if isinstance(row, list)]
    schema = dict.fromkeys(names, pl.String())
    return _with_types(pl.DataFrame(cells, schema=schema, orient="row"))


def _with_types(text: pl.DataFrame) -> pl.DataFrame:
    return text.select(_typed(column) for column in text if not _says_nothing(column))


def _refuse_bad_rows(
    body: bytes, names: list[str], separator: str, read: _Read, *, strict: bool = False
) -> None:
    """Refuse rows with more or fewer cells than there are columns, and what is no CSV."""
    problems, others, numbers = [], [], []
    for number, (text, row) in enumerate(_records(body, separator, strict=strict), start=1):
        fault = _fault(row, len(names))
        if strict and not fault and _has_stray_quote(text, separator):
            fault = "is no CSV: a quote stands within a cell that is not in quotes"
        if fault:
            problems.append(Problem(fault, None, number))
        else:
            others.append(text)
            numbers.append(number)
    if problems:
        refuse_rows(problems, lambda: read(b"".join(others), names, separator), numbers)


def _fault(row: list[str] | csv.Error, width: int) -> str | None:
    """What is wrong with a row."""
    if isinstance(row, csv.Error):
        return f"is no CSV: {row}"
    cells = len(row) or 1
    if cells != width:
        message = f"has {cells} cells where the header has {width}"
        if row and row[0].startswith(("[", "(", "{")):
            message += "; a list with commas in it stands in quotes"
        return message
    # What is not UTF-8 came as halves of surrogate pairs.
    return None if all(map(_is_text, row)) else "is not UTF-8"


def _has_stray_quote(row: bytes, separator: str) -> bool:
    """Whether a cell that is not in quotes has an odd number of them; two are a quoted word."""
    if b'"' not in row:
        return False
    mark = re.escape(separator.encode())
    cells = re.finditer(rb'(?:^|%b)(?:"%b|([^%b]*))' % (mark, _QUOTED, mark), row)
    return any((cell[2] or b"").count(b'"') % 2 for cell in cells)


def _is_text(cell: str) -> bool:
    return cell.isascii() or not _HALF.search(cell)


def _records(
    body: bytes, separator: str, *, strict: bool = False
) -> Iterator[tuple[bytes, list[str] | csv.Error]]:
    """Each row as it stands there, and its cells, or why it has none."""
    taken: list[bytes] = []

    def lines() -> Iterator[str]:
        for line in BytesIO(body):
            taken.append(line)
            yield line.decode(errors="surrogateescape")

    reader = csv.reader(lines(), delimiter=separator, skipinitialspace=True, strict=strict)
    while True:
        row: list[str] | csv.Error
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row = error
        yield b"".join(taken), row
        taken.clear()


def _says_nothing(text: pl.Series) -> bool:
    """Whether a column without a name only counts the rows, or holds nothing."""
    if text.name.strip():
        return False
    numbers = text.cast(pl.Int64, strict=False)
    counts = not numbers.null_count() and bool((numbers.diff().drop_nulls() > 0).all())
    return counts or text.null_count() == len(text)


def _typed(text: pl.Series) -> pl.Series:
    """A column of text as what it says, where turning it back would lose nothing of note."""
    dtype = DTYPES.get(text.name)
    if dtype is not None:
        # Some writers quote everything, missing numbers too; others have a word for them.
        return text if dtype == pl.String else text.set(text.is_in(_MISSING), None)
    # Fortran and spreadsheets pad numbers with spaces.
    told = text.drop_nulls().str.strip_chars()
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
