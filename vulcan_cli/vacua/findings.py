"""Everything wrong with an input, collected while it is checked."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.vacua import secrets

MOST_ROWS_SHOWN = 20
"""How many rows are named for one fault of one column; the rest is counted."""

_LONGEST_VALUE = 60


class Findings:
    """Problems in the order they are found.

    Attributes:
        problems: What was found so far.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, message: str, column: str | None = None) -> None:
        """Note something wrong with a whole column, or with the whole input."""
        self.problems.append(Problem(message, column))

    def at(
        self,
        column: str,
        bad: pl.Series,
        message: str,
        *,
        cells: pl.Series,
        rows: Callable[[], pl.Series] | None = None,
    ) -> None:
        """Note something wrong with some cells.

        Args:
            column: The column's name.
            bad: True where a cell is wrong; null counts as right.
            message: What is wrong with each.
            cells: The cells, as long as `bad`; shown as they were found.
            rows: Gives the row number of each cell, counted from 1, and is only asked where one
                is wrong; None where the cells are those of all rows.
        """
        if not bad.any():
            return
        bad = bad.fill_null(value=False)
        count = int(bad.sum() or 0)
        places = bad.arg_true().head(MOST_ROWS_SHOWN)
        numbers = rows().gather(places) if rows else places + 1
        found = zip(numbers, _readable(cells.gather(places)), strict=True)
        self.problems += [Problem(message, column, row, _shown(cell)) for row, cell in found]
        if count > MOST_ROWS_SHOWN:
            self.add(f"{message}: {count - MOST_ROWS_SHOWN} more rows like these", column)

    def refuse(self) -> None:
        """Raise `InputRefused` with all problems, if there are any."""
        if self.problems:
            raise InputRefused(*self.problems)


def shown_at(cells: pl.Series, place: int) -> str:
    """One of the cells as people can read it, without a token, shortened."""
    return _shown(_readable(cells.gather([place]))[0])


def _readable(cells: pl.Series) -> pl.Series:
    """The cells as Python can name them: it knows no year beyond 9999."""
    if isinstance(cells.dtype, pl.Datetime):
        return cells.cast(pl.Datetime("us", cells.dtype.time_zone), strict=False).cast(pl.String)
    return cells


def _shown(cell: object) -> str:
    text = secrets.scrub(str(cell.to_list() if isinstance(cell, pl.Series) else cell))
    if text in ("", "None"):
        return "nothing"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
