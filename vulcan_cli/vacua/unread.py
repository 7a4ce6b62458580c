"""Rows that are not what their format says, told apart from those that can be read."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import NoReturn, Self

import polars as pl

from vulcan_cli import other_errors
from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.vacua import secrets
from vulcan_cli.vacua.findings import MOST_ROWS_SHOWN

UNREADABLE = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,  # Rust's own; broken parquet can set it off
    csv.Error,
    ValueError,
    TypeError,
    NotImplementedError,
)
"""What is raised where bytes are not what their format says."""


IN_UTC = "write its times in UTC"
"""What mends a column of times whose zone Polars does not know."""


class UnreadRows(InputRefused):
    """Some rows are not what their format says; the others can be checked nevertheless.

    Attributes:
        others: The rows that can be read.
        numbers: Their numbers in the input, counted from 1.
    """

    def __init__(self, *problems: Problem, others: pl.DataFrame, numbers: Sequence[int]) -> None:
        super().__init__(*problems)
        self.others = others
        self.numbers = numbers

    def of_source(self, name: str) -> Self:
        """The same, said of the input of this name."""
        problems = (problem._replace(source=name) for problem in self.problems)
        return type(self)(*problems, others=self.others, numbers=self.numbers)


def first_line(error: BaseException) -> str:
    """What an error says in its first line, without tokens."""
    return secrets.scrub(other_errors.first_line(error))[:200]


def refuse_rows(
    problems: Sequence[Problem], others: Callable[[], pl.DataFrame], numbers: Sequence[int]
) -> NoReturn:
    """Refuse rows that cannot be read; those beyond the first twenty are counted.

    Args:
        problems: One for each such row.
        others: Reads the other rows.
        numbers: Their numbers in the input, counted from 1.

    Raises:
        UnreadRows: Always, where there are other rows that can be read.
        InputRefused: Else.
    """
    shown = [*problems[:MOST_ROWS_SHOWN]]
    if more := len(problems) - len(shown):
        shown.append(Problem(f"{more} more rows cannot be read"))
    if not numbers:
        raise InputRefused(*shown)
    try:
        frame = others()
    except (*UNREADABLE, InputRefused):
        raise InputRefused(*shown) from None
    raise UnreadRows(*shown, others=frame, numbers=numbers)
