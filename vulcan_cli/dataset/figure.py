"""A picture before it is drawn: axes, what is drawn of the vacua, and the lines beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl


class Axis(NamedTuple):
    """An axis.

    Attributes:
        label: What it shows, with its unit.
        low: Where it begins.
        high: Where it ends.
        is_time: Whether its numbers are unix seconds.
    """

    label: str
    low: float
    high: float
    is_time: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """A point for each vacuum."""

    x: pl.Series
    y: pl.Series


class Bars(NamedTuple):
    """Counts of vacua: one more edge than counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Steps(NamedTuple):
    """A count that grows: from each x on it is y."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Line(NamedTuple):
    """A line that helps to read the picture: straight from each point to the next."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class Figure(NamedTuple):
    """A picture, before it is drawn.

    Attributes:
        title: What it shows.
        x: The axis to the right.
        y: The axis up.
        shape: What is drawn of the vacua.
        lines: What is drawn beside them.
        notes: What is to know of the numbers, a sentence each.
        is_to_scale: Whether a unit is as long on both axes.
    """

    title: str
    x: Axis
    y: Axis
    shape: Points | Bars | Steps
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    is_to_scale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What else a picture depends on.

    Attributes:
        modulus: Which modulus, counted from 1.
        bound: The D3 tadpole bound, such as chi/24; None where none is known.
        tolerance: The largest residual that counts as a solution; None where none is known.
        whole: Whether axes reach to the last of the points, however far out it is.
    """

    modulus: int = 1
    bound: float | None = None
    tolerance: float | None = None
    whole: bool = False


def nice(length: float) -> float:
    """The next of 1, 2, 5 times a power of ten that is no shorter."""
    power = 10.0 ** math.floor(math.log10(length))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= length * (1 - 1e-9))
