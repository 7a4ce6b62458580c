"""What a person asks for: values and ranges of the keys, conditions on rows, columns, order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import polars as pl

from vulcan_cli.dataset.sql import looks_around, parse_where
from vulcan_cli.errors import UsageError
from vulcan_cli.vacua.geometry import KEYS

_RANGE = re.compile(r"(-?\d{1,18})(?:\.\.(-?\d{1,18}))?", re.ASCII)

# Polars counts the rows of a result in 32 bits.
_MOST_ROWS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows, which columns, in which order. Empty: everything.

    Attributes:
        run_id: Runs, any of them.
        geometry_id: Geometries, any of them.
        h11, h12, ks_id, triang_id, conifold_id, cicy_id: Values, any of them, as `range`s;
            -1 is an absent key.
        solver_name: Solvers, any of them.
        is_susy: Only rows with this value.
        is_isd: Only rows with this value.
        where: A condition in Polars SQL, or several that must all hold; elements of lists count
            from 1.
        columns: Columns of the result in their order; None or empty: all.
        sort: Columns to sort by, descending where `-` stands before the name, or each with whether
            it descends; nulls last.
        limit: At most so many rows; more than any result can have are None.

    Raises:
        UsageError: A column is named twice, also in the order, or the limit is negative.
    """

    run_id: tuple[str, ...] = ()
    geometry_id: tuple[str, ...] = ()
    h11: tuple[range, ...] = ()
    h12: tuple[range, ...] = ()
    ks_id: tuple[range, ...] = ()
    triang_id: tuple[range, ...] = ()
    conifold_id: tuple[range, ...] = ()
    cicy_id: tuple[range, ...] = ()
    solver_name: tuple[str, ...] = ()
    is_susy: bool | None = None
    is_isd: bool | None = None
    where: str | tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    sort: tuple[str | tuple[str, bool], ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        names = tuple(self.columns or ())
        object.__setattr__(self, "columns", names or None)
        if (twice := _named_twice(names)) is not None:
            raise UsageError(f"the column {twice} is named twice")
        if (twice := _named_twice([_sort_key(each)[0] for each in self.sort])) is not None:
            raise UsageError(f"the order names the column {twice} twice")
        if self.limit is not None and self.limit < 0:
            raise UsageError(f"a limit counts rows, it cannot be {self.limit}")
        if self.limit is not None and self.limit > _MOST_ROWS:
            object.__setattr__(self, "limit", None)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions of `where`, each as it was written."""
        if self.where is None:
            return ()
        return (self.where,) if isinstance(self.where, str) else self.where

    @property
    def looks_around(self) -> bool:
        """Whether a row matches or not by what other rows hold, as with `tau_im = max(tau_im)`."""
        return any(map(looks_around, self.conditions))

    def on_shards(self) -> pl.Expr:
        """The condition on rows of the catalog."""
        conditions = [pl.lit(value=True)]
        conditions += [
            pl.col(name).is_in(values)
            for name in ("run_id", "geometry_id")
            if (values := getattr(self, name))
        ]
        conditions += [
            reduce(or_, (pl.col(key).is_between(r.start, r.stop - 1) for r in ranges))
            for key in KEYS
            if (ranges := getattr(self, key))
        ]
        return reduce(and_, conditions)

    def on_rows(self, available: Sequence[str]) -> pl.Expr | None:
        """The condition on rows of shards, or None where every row counts.

        Raises:
            UsageError: A condition cannot be parsed, or names a column that is not available.
        """
        conditions = [
            pl.col(name) == value
            for name in ("is_susy", "is_isd")
            if (value := getattr(self, name)) is not None
        ]
        if self.solver_name:
            conditions.append(pl.col("solver_name").is_in(self.solver_name))
        conditions += [parse_where(text, available) for text in self.conditions]
        return reduce(and_, conditions) if conditions else None


def parse_integers(texts: Iterable[str]) -> tuple[range, ...]:
    """Read `3`, `3,5` and `3..7` (inclusive).

    Raises:
        UsageError: A part is neither, or its range is empty.
    """
    return tuple(_range(part.strip()) for text in texts for part in text.split(","))


def sort_columns(sort: Iterable[str | tuple[str, bool]]) -> dict[str, bool]:
    """Column to whether it descends, from what `Filters` takes as `sort`."""
    return dict(map(_sort_key, sort))


def _sort_key(given: str | tuple[str, bool]) -> tuple[str, bool]:
    return (given.removeprefix("-"), given.startswith("-")) if isinstance(given, str) else given


def _named_twice(names: Sequence[str]) -> str | None:
    return next((name for place, name in enumerate(names) if name in names[:place]), None)


def _range(text: str) -> range:
    found = _RANGE.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is neither an integer nor a range such as 3..7")
    low, high = int(found[1]), int(found[2] or found[1])
    if high < low:
        raise UsageError(f"the range {text} is empty: the lower end comes first")
    return range(low, high + 1)
