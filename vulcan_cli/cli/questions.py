"""What `query`, `catalog` and `split` share: rows to wherever they go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vulcan_cli.cli.output import STDOUT, Output
from vulcan_cli.errors import DiskTrouble, NotForTerminal, UsageError
from vulcan_cli.interrupts import sigterm_interrupts
from vulcan_cli.quantities import counted

if TYPE_CHECKING:
    import polars as pl

    from vulcan_cli.errors import BadShard

BAD_SHARDS = 3
"""The exit status where bad shards were skipped."""

_TABLE = "table"
_JSON = ("ndjson", "json")
_TABLE_ROWS = 20
_NARROWEST = 4
_FEWEST = 2
_WIDEST = 10_000


def hand_over(
    rows: pl.LazyFrame,
    out: Output,
    *,
    file: Path | None,
    wanted: str | None,
    complex_columns: Set[str] = frozenset(),
    row_bytes: int = 0,
) -> None:
    """Write rows to a file, to a pipe, or as a table for people.

    Args:
        rows: The rows, not yet read.
        out: How to talk.
        file: Where to; None for stdout.
        wanted: The format, or None for the one that fits.
        complex_columns: Columns that hold `[re, im]`.
        row_bytes: As for `export.write_file`.

    Raises:
        UsageError: There is no such format, it is none of JSON where JSON was asked for, none of
            text where stdout is a terminal, or the rows cannot be computed.
        DiskTrouble: The file cannot be written; it is as it was.
    """
    form = _format(out, file, wanted)
    with computing():
        if form == _TABLE:
            _table(rows, out)
        else:
            _write(rows, out, file, form, complex_columns=complex_columns, row_bytes=row_bytes)


@contextmanager
def computing() -> Iterator[None]:
    """Compute rows that were asked for.

    Raises:
        UsageError: They cannot be: text was cast to a number, say.
    """
    import polars as pl  # noqa: PLC0415

    from vulcan_cli.dataset.sql_errors import words_of  # noqa: PLC0415

    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise UsageError(words_of(error)) from error


def check_rows_wanted(option: str, file: Path | None, wanted: str | None) -> None:
    """Make sure that no file or format of rows is asked for beside an option that prints none.

    Raises:
        UsageError: One is.
    """
    if file is not None:
        raise UsageError(f"-o is for rows, and {option} prints none; > FILE keeps what it prints")
    if wanted is not None:
        raise UsageError(f"--format is for rows, and {option} prints none")


def tell_bad(out: Output, bad: Sequence[BadShard]) -> None:
    """Say which shards were skipped, and of several how many."""
    for shard in bad:
        out.warn(f"skipped: {shard}")
    if len(bad) > 1:
        out.warn(f"{len(bad)} shards were skipped")


def _write(
    rows: pl.LazyFrame,
    out: Output,
    file: Path | None,
    form: str,
    *,
    complex_columns: Set[str],
    row_bytes: int,
) -> None:
    from vulcan_cli.dataset import export  # noqa: PLC0415

    if file is None:
        try:
            stream = out.rows(form)
            written = export.write_stream(rows, stream, form, complex_columns, row_bytes=row_bytes)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise DiskTrouble(STDOUT, error) from error
        _warn_of_ending(out, form)
    else:
        with sigterm_interrupts():
            written = export.write_file(rows, file, form, complex_columns, row_bytes=row_bytes)
        out.say(f"{counted(written.n_rows, 'row')} to {file}")
    warn_of_nulls(written.not_finite, out)


def warn_of_nulls(not_finite: int, out: Output) -> None:
    """Warn where NaN and infinite values were written as null."""
    if not_finite:
        out.warn(f"{counted(not_finite, 'number')} that JSON has not became null")


def _warn_of_ending(out: Output, form: str) -> None:
    """Warn where stdout goes to a file whose name promises another format."""
    from vulcan_cli.dataset.export import format_of  # noqa: PLC0415

    file = out.redirected_to()
    if file is None:
        return
    with suppress(UsageError):
        promised = format_of(file)
        if promised != form:
            out.warn(f"{file.name} holds {form}; -o {file.name} writes {promised}")


def is_for_people(out: Output, file: Path | None, wanted: str | None) -> bool:
    """Whether rows will be shown as a table.

    Raises:
        UsageError: As `hand_over`, of the format.
    """
    return _format(out, file, wanted) == _TABLE


def _format(out: Output, file: Path | None, wanted: str | None) -> str:
    from vulcan_cli.dataset import array_files  # noqa: PLC0415
    from vulcan_cli.dataset.export import FORMATS, TEXTS, format_of  # noqa: PLC0415

    allowed = (*FORMATS, *array_files.FORMATS, _TABLE)
    if wanted is not None and wanted not in allowed:
        raise UsageError(f"--format is one of {', '.join(allowed)}, not {wanted!r}")
    if file is not None:
        if wanted == _TABLE:
            raise UsageError("a table is for the terminal, not for a file")
        return wanted or format_of(file)
    if wanted is not None and out.as_json and wanted not in _JSON:
        raise UsageError(
            f"--json prints ndjson, not {wanted}: leave out one of --json and --format"
        )
    if wanted is not None:
        if out.to_terminal and wanted not in (*TEXTS, _TABLE):
            raise NotForTerminal(wanted)
        return wanted
    if out.as_json:
        return "ndjson"
    return _TABLE if out.to_terminal else "parquet"


def _table(rows: pl.LazyFrame, out: Output) -> None:
    """Show the first rows, and as many columns as fit beside each other."""
    import polars as pl  # noqa: PLC0415

    frame = rows.head(_TABLE_ROWS).collect(engine="streaming")
    n_rows, n_columns = frame.height, frame.width
    if n_rows == _TABLE_ROWS:
        n_rows = int(rows.select(pl.len()).collect(engine="streaming").item())
    lines, shown = _fitting(frame, out.width)
    out.lines(lines)
    first = f"the first {_TABLE_ROWS} rows (-o FILE has all)" if n_rows > _TABLE_ROWS else ""
    some = f"{counted(shown, 'column')} (--columns chooses)" if shown < n_columns else ""
    part = ", ".join(filter(None, (first, some)))
    what = f"{counted(n_rows, 'row')}, {counted(n_columns, 'column')}"
    out.say(f"{what}; shown: {part}" if part else what)


def _fitting(frame: pl.DataFrame, width: int) -> tuple[list[str], int]:
    """A table as lines that are no longer than the width, and how many columns it shows."""
    columns = frame.columns
    for shown in range(min(len(columns), width // _NARROWEST), _FEWEST, -1):
        lines = _drawn(frame.select(columns[:shown]), _WIDEST)
        if max(map(len, lines)) <= width:
            return lines, shown
    shown = min(len(columns), _FEWEST)
    # Polars breaks cells into lines where they do not fit.
    return _drawn(frame.select(columns[:shown]), width), shown


def _drawn(frame: pl.DataFrame, width: int) -> list[str]:
    import polars as pl  # noqa: PLC0415

    with pl.Config(
        tbl_rows=_TABLE_ROWS,
        tbl_cols=-1,
        tbl_width_chars=width,
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_formatting="UTF8_FULL_CONDENSED",
        tbl_cell_numeric_alignment="RIGHT",
        fmt_table_cell_list_len=3,
        fmt_str_lengths=40,
    ):
        return str(frame).splitlines()
