"""Everything wrong with an input, collected while it is checked."""

from __future__ import annotations

import polars as pl

from vulcan_cli.errors import InputRefused, Problem

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
        self, column: str, bad: pl.Series, message: str, *, cells: pl.Series, rows: pl.Series
    ) -> None:
        """Note something wrong with some cells.

        Args:
            column: The column's name.
            bad: True where a cell is wrong; null counts as right.
            message: What is wrong with each.
            cells: The cells, as long as `bad`; shown as they were found.
            rows: The row number of each cell, counted from 1.
        """
        bad = bad.fill_null(value=False)
        count = int(bad.sum() or 0)
        if not count:
            return
        found = zip(
            rows.filter(bad).head(MOST_ROWS_SHOWN),
            cells.filter(bad).head(MOST_ROWS_SHOWN),
            strict=True,
        )
        self.problems += [Problem(message, column, row, _shown(cell)) for row, cell in found]
        if count > MOST_ROWS_SHOWN:
            self.add(f"{message}: {count - MOST_ROWS_SHOWN} more rows like these", column)

    def refuse(self) -> None:
        """Raise `InputRefused` with all problems, if there are any."""
        if self.problems:
            raise InputRefused(*self.problems)


def _shown(cell: object) -> str:
    text = str(cell.to_list() if isinstance(cell, pl.Series) else cell)
    if text in ("", "None"):
        return "nothing"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
