"""Pictures made of letters: eight dots in each for points and steps, eighths of blocks for bars."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, TypeVar

import polars as pl

from vulcan_cli.dataset.figure import Axis, Bars, Figure, Points, Steps, nice

# Cividis, dark to bright, and Okabe and Ito's orange and sky blue, in the terminal's 256 colours.
_DENSITY = (61, 66, 102, 144, 185, 226)
_LINE, _BAR = 214, 74
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_DENSITY = ".:oO@"
# The bits of a braille letter's dots, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_LEAST_WIDTH, _LEAST_HEIGHT = 20, 5
# Steps and digits from which on numbers are written with a power of ten.
_LONG, _MOST_DIGITS = 1e9, 9


class _Screen(NamedTuple):
    width: int
    height: int
    color: bool
    unicode: bool


def drawn(figure: Figure, width: int, height: int, color: bool, unicode: bool) -> list[str]:
    """The lines of a picture.

    Args:
        figure: What to draw.
        width: Letters in a line.
        height: Lines.
        color: Whether colour is welcome.
        unicode: Whether more than ASCII can be shown.
    """
    screen = _Screen(width, height, color, unicode)
    legend = [f"{'─' if screen.unicode else '-'} {line.label}" for line in figure.lines]
    notes = _wrapped(figure.notes, screen.width)
    rows = max(_LEAST_HEIGHT, screen.height - 5 - len(legend) - len(notes))
    y_ticks = _ticks(figure.y, max(2, rows // 4))
    gutter = max((len(text) for _, text in y_ticks), default=0)
    columns = max(_LEAST_WIDTH, screen.width - gutter - 2)
    canvas = _Canvas(figure, columns, rows, screen)
    canvas.draw()
    lines = [figure.title.center(gutter + 2 + columns).rstrip(), figure.y.label]
    lines += _with_axis(canvas, y_ticks, gutter)
    lines += _below(figure.x, canvas, gutter)
    lines += [_painted(text, _LINE, screen) for text in legend]
    lines += notes
    return lines if screen.unicode else [_plain(line) for line in lines]


N = TypeVar("N", float, pl.Series)


class _Canvas:
    """Letters in rows, top down, each with a colour or none."""

    def __init__(self, figure: Figure, columns: int, rows: int, screen: _Screen) -> None:
        self.columns = columns
        self.rows = rows
        self.screen = screen
        self._figure = figure
        self._counts: dict[tuple[int, int], int] = {}
        self._bits: dict[tuple[int, int], int] = {}
        self._line_bits: dict[tuple[int, int], int] = {}
        self._letters: dict[tuple[int, int], str] = {}

    def draw(self) -> None:
        """Draw all of the figure."""
        match self._figure.shape:
            case Points() as points:
                self._points(points)
            case Bars() as bars:
                self._bars(bars)
            case Steps(x, y):
                self._path(*_corners(x, y), self._bits)
        for line in self._figure.lines:
            self._path(line.x, line.y, self._line_bits)

    def text(self, row: int) -> str:
        """A row as text, with colours where they are welcome."""
        most = max(self._counts.values(), default=1)
        cells = [self._cell(row, column, most) for column in range(self.columns)]
        while cells and cells[-1] == (" ", None):
            cells.pop()
        runs = groupby(cells, key=itemgetter(1))
        return "".join(
            _painted("".join(letter for letter, _ in run), color, self.screen)
            for color, run in runs
        )

    def column_of(self, value: float) -> int:
        """The column in which a value stands."""
        return min(self.columns - 1, max(0, int(self._across(value) * self.columns)))

    def row_of(self, value: float) -> int:
        """The row in which a value stands, counted from the top."""
        return min(self.rows - 1, max(0, int((1 - self._up(value)) * self.rows)))

    def _cell(self, row: int, column: int, most: int) -> tuple[str, int | None]:
        """A letter, and its colour where it has one."""
        place = (row, column)
        unicode = self.screen.unicode
        line, dots = self._line_bits.get(place, 0), self._bits.get(place, 0)
        if line:
            return (chr(0x2800 + (line | dots)) if unicode else "+"), _LINE
        if place in self._letters:
            return self._letters[place], _BAR
        if not dots:
            return " ", None
        count = self._counts.get(place, 1)
        share = math.log(count) / math.log(most) if most > 1 else 0.0
        letter = chr(0x2800 + dots) if unicode else _at(_ASCII_DENSITY, share)
        return letter, _at(_DENSITY, share)

    def _across(self, value: N) -> N:
        axis = self._figure.x
        return (value - axis.low) / (axis.high - axis.low)

    def _up(self, value: N) -> N:
        axis = self._figure.y
        return (value - axis.low) / (axis.high - axis.low)

    def _points(self, points: Points) -> None:
        """All points at once: there may be millions, and dots are few."""
        places = pl.select(across=self._across(points.x), up=self._up(points.y))
        inside = places.filter(pl.all_horizontal(pl.all().is_between(0, 1)))
        dots = inside.select(
            right=(pl.col("across") * 2 * self.columns).cast(pl.Int32),
            down=((1 - pl.col("up")) * 4 * self.rows).cast(pl.Int32),
        )
        for right, down, count in dots.group_by(pl.all()).len().iter_rows():
            place = self._set(right, down, self._bits)
            self._counts[place] = self._counts.get(place, 0) + count

    def _dot(self, x: float, y: float, bits: dict[tuple[int, int], int]) -> None:
        across, up = self._across(x), self._up(y)
        if 0 <= across <= 1 and 0 <= up <= 1:
            self._set(int(across * 2 * self.columns), int((1 - up) * 4 * self.rows), bits)

    def _set(self, right: int, down: int, bits: dict[tuple[int, int], int]) -> tuple[int, int]:
        """Set a dot; the letter it is in."""
        right, down = min(2 * self.columns - 1, right), min(4 * self.rows - 1, down)
        place = (down // 4, right // 2)
        bits[place] = bits.get(place, 0) | _DOTS[down % 4][right % 2]
        return place

    def _path(
        self, x: Sequence[float], y: Sequence[float], bits: dict[tuple[int, int], int]
    ) -> None:
        for start, end in zip(zip(x, y, strict=True), zip(x[1:], y[1:], strict=True), strict=False):
            right = abs(self._across(end[0]) - self._across(start[0])) * 2 * self.columns
            up = abs(self._up(end[1]) - self._up(start[1])) * 4 * self.rows
            n_steps = max(1, math.ceil(max(right, up)))
            for step in range(n_steps + 1):
                share = step / n_steps
                at = [
                    begin + share * (last - begin) for begin, last in zip(start, end, strict=True)
                ]
                self._dot(at[0], at[1], bits)

    def _bars(self, bars: Bars) -> None:
        for left, right, count in zip(bars.edges, bars.edges[1:], bars.counts, strict=False):
            if not count:
                continue
            first = self.column_of(left + 1e-9 * (right - left))
            last = max(first + 1, self.column_of(right))
            eighths = max(1, round(self._up(count) * 8 * self.rows))
            for column in range(first, last):
                for height in range(math.ceil(eighths / 8)):
                    full = min(8, eighths - 8 * height)
                    letter = _BLOCKS[full] if self.screen.unicode else "#"
                    self._letters[self.rows - 1 - height, column] = letter


def _corners(x: Sequence[float], y: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Steps as a path: to the right first, then up."""
    xs, ys = [x[0]], [y[0]]
    for right, up in zip(x[1:], y[1:], strict=True):
        xs += [right, right]
        ys += [ys[-1], up]
    return tuple(xs), tuple(ys)


def _with_axis(canvas: _Canvas, ticks: Sequence[tuple[float, str]], gutter: int) -> Iterator[str]:
    labels = {canvas.row_of(value): text for value, text in ticks}
    for row in range(canvas.rows):
        mark = "┤" if row in labels else "│"
        yield f"{labels.get(row, '').rjust(gutter)} {mark}{canvas.text(row)}"


def _below(axis: Axis, canvas: _Canvas, gutter: int) -> Iterator[str]:
    """The axis to the right, its numbers, and what they are."""
    labels = [" "] * canvas.columns
    base = ["─"] * canvas.columns
    taken = -1
    for value, text in _ticks(axis, max(3, canvas.columns // (12 if axis.is_time else 9))):
        column = canvas.column_of(value)
        base[column] = "┬"
        start = min(max(0, column - len(text) // 2), canvas.columns - len(text))
        if start > taken:
            labels[start : start + len(text)] = text
            taken = start + len(text)
    indent = " " * (gutter + 1)
    yield f"{indent}└{''.join(base)}"
    yield f"{indent} {''.join(labels)}".rstrip()
    yield f"{indent} {axis.label.center(canvas.columns)}".rstrip()


def _ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    """Round numbers along an axis, at most so many, with their text."""
    if axis.is_time:
        return _moments(axis, most)
    step = nice((axis.high - axis.low) / (2 * most))
    while (n_ticks := math.floor(axis.high / step) - math.ceil(axis.low / step) + 1) > most:
        step = nice(1.5 * step)
    first = math.ceil(axis.low / step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    is_long = step >= _LONG or digits > _MOST_DIGITS
    # Six digits must tell one step from the next.
    is_told = max(abs(axis.low), abs(axis.high)) < 1e5 * step
    form = ".6g" if is_long and is_told else f",.{digits}f"
    return [(at * step, f"{at * step + 0.0:{form}}") for at in range(first, first + n_ticks)]


def _moments(axis: Axis, most: int) -> list[tuple[float, str]]:
    span = axis.high - axis.low
    step = next((each for each in _SPANS if each >= span / most), _SPANS[-1])
    step *= math.ceil(span / most / step)
    form = "%Y-%m-%d" if step >= 86400 else "%d %H:%M" if span > 86400 else "%H:%M"
    form = "%H:%M:%S" if step < 60 else form
    places = range(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)
    return [
        (at * step, datetime.datetime.fromtimestamp(at * step, datetime.UTC).strftime(form))
        for at in places
    ]


_SPANS = (10, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 7 * 86400, 30 * 86400)


def _wrapped(notes: Sequence[str], width: int) -> list[str]:
    """Notes one after the other, as many in a line as fit."""
    lines: list[str] = []
    for note in notes:
        if lines and len(lines[-1]) + 2 + len(note) <= width:
            lines[-1] += f"; {note}"
        else:
            lines.append(note)
    return lines


def _painted(text: str, color: int | None, screen: _Screen) -> str:
    is_plain = color is None or not screen.color
    return text if is_plain else f"\x1b[38;5;{color}m{text}\x1b[0m"


T = TypeVar("T")


def _at(choices: Sequence[T], share: float) -> T:
    return choices[min(len(choices) - 1, int(share * len(choices)))]


_ASCII = str.maketrans(
    {
        **dict(
            zip(
                "│┤└─┬·≥≤τ₀√",
                ("|", "+", "+", "-", "+", ".", ">=", "<=", "tau", "0", "sqrt"),
                strict=True,
            )
        ),
        **dict(zip("₁₂₃₄₅₆₇₈₉", "123456789", strict=True)),
    }
)


def _plain(line: str) -> str:
    return line.translate(_ASCII)
