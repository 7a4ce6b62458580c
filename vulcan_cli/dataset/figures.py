"""The numbers behind a picture of vacua: points, bars, steps and the lines beside them.

What is drawn is what the rows say. W is W_re + i W_im in the solver's normalisation: no factor of
e^(K/2) is applied, so it is not gauge invariant (JAXVacua's `superpotential`). g_s is the column of
that name, and 1/Im tau (type IIB, tau = C0 + i e^(-phi)) in rows without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from vulcan_cli.dataset.figure import Axis, Bars, Figure, Line, Points, Steps, Wish, nice
from vulcan_cli.errors import NothingToDraw, UsageError
from vulcan_cli.quantities import counted

BINS = 48
"""How many bars a histogram has at most."""

_MARGIN = 0.04
_STEPS = 2000
# An axis between two numbers beyond it would have no finite length.
_LARGEST = 1e300
# Where all points need an axis so many times as long as all but this share, it is cut.
_FAR, _TOO_FAR = 0.01, 2.0


class Kind(NamedTuple):
    """A kind of picture.

    Attributes:
        help: A few words.
        columns: What it needs of each row.
        optional: What it uses where a row has it.
        make: From the rows that have all of it.
    """

    help: str
    columns: tuple[str, ...]
    make: Callable[[pl.DataFrame, Wish], Figure]
    optional: tuple[str, ...] = ()


def figure(kind: str, rows: pl.LazyFrame, wish: Wish) -> Figure:
    """Make a picture of rows; those without a column that it needs are left out, and counted.

    Raises:
        NothingToDraw: No row has what it takes.
        UsageError: There is no such modulus.
    """
    of = KINDS[kind]
    there = set(rows.collect_schema().names())
    missing = [name for name in of.columns if name not in there]
    if missing:
        raise NothingToDraw(f"no matching row has {' and '.join(missing)}")
    wanted = [*of.columns, *(name for name in of.optional if name in there)]
    frame = rows.select(wanted).collect(engine="streaming")
    whole = frame.filter(pl.all_horizontal(pl.col(of.columns).is_not_null()))
    if not whole.height:
        have = f" has {' and '.join(of.columns)}" if frame.height else ""
        raise NothingToDraw(f"no row{have or ' matches'}")
    made = of.make(whole, wish)
    without = frame.height - whole.height
    if without:
        lack = f"{counted(without, 'row')} without {' or '.join(of.columns)} left out"
        made = made._replace(notes=(*made.notes, lack))
    return made._replace(notes=(counted(whole.height, "vacuum"), *made.notes))


def _tau(rows: pl.DataFrame, wish: Wish) -> Figure:
    re, im = rows["tau_re"], rows["tau_im"]
    outside = int(((re.abs() > 0.5) | (re**2 + im**2 < 1)).sum())
    arc = [math.pi * (60 + step) / 180 for step in range(0, 61, 2)]
    figure = _scatter("Axio-dilaton τ = C₀ + i/g_s", ("Re τ", re), ("Im τ", im), wish)
    x, y = figure.x, figure.y
    x = x._replace(low=min(x.low, -0.6), high=max(x.high, 0.6))
    y = y._replace(low=0.0, high=max(y.high, 2.0))
    domain = Line(
        "fundamental domain: |τ| ≥ 1, |Re τ| ≤ 1/2",
        (0.5, *(math.cos(each) for each in arc), -0.5),
        (y.high, *(math.sin(each) for each in arc), y.high),
    )
    note = f"{outside:,} outside the fundamental domain of SL(2, Z)"
    return figure._replace(x=x, y=y, lines=(domain,), notes=(note, *figure.notes))


def _w0(rows: pl.DataFrame, _: Wish) -> Figure:
    logs, zeros = _log10(_size_of_w(rows))
    return _histogram(
        "Flux superpotential", "log₁₀ |W₀|", logs, notes=(*_without_logarithm(zeros), _GAUGE)
    )


def _w0_plane(rows: pl.DataFrame, wish: Wish) -> Figure:
    parts = ("Re W₀", rows["W_re"]), ("Im W₀", rows["W_im"])
    figure = _scatter("Flux superpotential W₀", *parts, wish)
    return figure._replace(notes=(*figure.notes, _GAUGE), is_to_scale=True)


def _gs(rows: pl.DataFrame, wish: Wish) -> Figure:
    coupling = 1 / rows["tau_im"]
    if "g_s" in rows.columns:
        coupling = rows["g_s"].fill_null(coupling)
    together = pl.DataFrame({"g_s": coupling, "w": _size_of_w(rows)})
    positive = together.filter(pl.all_horizontal(pl.all() > 0)).select(pl.all().log10())
    if not positive.height:
        raise NothingToDraw("no row has a g_s and a |W₀| above 0")
    parts = ("log₁₀ g_s", positive["g_s"]), ("log₁₀ |W₀|", positive["w"])
    figure = _scatter("|W₀| and the string coupling", *parts, wish)
    zeros = _without_logarithm(together.height - positive.height)
    notes = (*figure.notes, *zeros, "g_s = 1/Im τ where no column says it", _GAUGE)
    return figure._replace(notes=notes)


def _tadpole(rows: pl.DataFrame, wish: Wish) -> Figure:
    charges = rows["tadpole_charge"]
    lines, notes = [], []
    if wish.bound is not None:
        lines.append((f"bound {wish.bound:g}", wish.bound))
        notes.append(f"{int((charges > wish.bound).sum()):,} above the bound")
    return _histogram(
        "D3 charge of the flux",
        "N_flux = f₁·h₂ - f₂·h₁",
        charges.cast(pl.Float64),
        marks=lines,
        notes=notes,
        whole=True,
    )


def _residual(rows: pl.DataFrame, wish: Wish) -> Figure:
    logs, zeros = _log10(rows["residual"])
    marks, notes = [], [*_without_logarithm(zeros)]
    if wish.tolerance is not None:
        marks.append((f"tolerance {wish.tolerance:g}", math.log10(wish.tolerance)))
        above = int((rows["residual"] > wish.tolerance).sum())
        notes.append(f"{above:,} above the tolerance")
    return _histogram("How well the equations hold", "log₁₀ residual", logs, marks, notes)


def _modulus(rows: pl.DataFrame, wish: Wish) -> Figure:
    place = wish.modulus - 1
    parts = rows.select(pl.all().list.get(place, null_on_oob=True)).drop_nulls()
    if not parts.height:
        most = int(rows["moduli_re"].list.len().max() or 0)  # type: ignore[arg-type]
        raise UsageError(f"there is no modulus {wish.modulus}: rows have {most} at most")
    re, im = parts["moduli_re"], parts["moduli_im"]
    name = f"z{_subscript(wish.modulus)}"
    fewer = rows.height - parts.height
    notes = (f"{counted(fewer, 'row')} with fewer moduli left out",) if fewer else ()
    title = f"Complex-structure modulus {name}"
    figure = _scatter(title, (f"Re {name}", re), (f"Im {name}", im), wish)
    return figure._replace(notes=(*notes, *figure.notes))


def _growth(rows: pl.DataFrame, _: Wish) -> Figure:
    seconds = rows["created_at"].dt.epoch("us").cast(pl.Float64).alias("at") / 1e6
    counts = seconds.to_frame("at").group_by("at").len("n").sort("at")
    counts = counts.with_columns(pl.col("n").cum_sum().cast(pl.Float64))
    first, last = counts["at"][0], counts["at"][-1]
    span = max(last - first, 60.0)
    # More steps than any picture has columns look like these.
    step = ((pl.col("at") - first) / span * _STEPS).ceil()
    counts = counts.group_by(step.alias("step"), maintain_order=True).last()
    x, y = tuple(counts["at"].to_list()), tuple(counts["n"].to_list())
    axis = Axis(
        "created at (UTC)", first - _MARGIN * span, first + (1 + _MARGIN) * span, is_time=True
    )
    # Nothing was there before the first.
    steps = Steps((axis.low, *x, axis.high), (0.0, *y, y[-1]))
    return Figure("Vacua over time", axis, Axis("vacua", 0.0, 1.05 * y[-1]), steps)


KINDS: Mapping[str, Kind] = {
    "tau": Kind("the axio-dilaton and its fundamental domain", ("tau_re", "tau_im"), _tau),
    "w0": Kind("a histogram of log10 |W0|", ("W_re", "W_im"), _w0),
    "w0-plane": Kind("W0 in the complex plane", ("W_re", "W_im"), _w0_plane),
    "gs": Kind("|W0| against g_s", ("tau_im", "W_re", "W_im"), _gs, ("g_s",)),
    "tadpole": Kind("N_flux, with a bound", ("tadpole_charge",), _tadpole),
    "residual": Kind("residuals, with a tolerance", ("residual",), _residual),
    "modulus": Kind("one modulus in its plane", ("moduli_re", "moduli_im"), _modulus),
    "growth": Kind("how many vacua there were when", ("created_at",), _growth),
}
"""Every kind of picture by its name."""

_GAUGE = "W₀ as the solver normalises it, without e^(K/2)"


def _size_of_w(rows: pl.DataFrame) -> pl.Series:
    """|W|, also where no float holds its square."""
    parts = pl.col("W_re").abs(), pl.col("W_im").abs()
    larger = pl.max_horizontal(parts)
    scaled = larger * ((parts[0] / larger) ** 2 + (parts[1] / larger) ** 2).sqrt()
    # Zeros and infinities have no quotient; beside them NaN stays NaN.
    plain = pl.when((larger == 0) | larger.is_infinite()).then(parts[0] + parts[1])
    return rows.select(plain.otherwise(scaled)).to_series()


def _log10(values: pl.Series) -> tuple[pl.Series, int]:
    """Logarithms, and how many values have none."""
    positive = values.filter(values > 0)
    if not positive.len():
        raise NothingToDraw("no value is above 0, so none has a logarithm")
    return positive.log10(), values.len() - positive.len()


def _without_logarithm(number: int) -> tuple[str, ...]:
    return (f"{number:,} not above 0 left out",) if number else ()


def _scatter(title: str, x: tuple[str, pl.Series], y: tuple[str, pl.Series], wish: Wish) -> Figure:
    """A point for each vacuum, and how many are not there; labels and values of the axes."""
    there = {label: values.abs() <= _LARGEST for label, values in (x, y)}
    both = there[x[0]] & there[y[0]]
    if not both.any():
        lacking = [label for label, finite in there.items() if not finite.any()] or list(there)
        raise NothingToDraw(f"no row has a finite {' and '.join(lacking)}")
    points = Points(x[1].filter(both), y[1].filter(both))
    across, up = (
        _axis(label, values, whole=wish.whole)
        for label, values in ((x[0], points.x), (y[0], points.y))
    )
    inside = points.x.is_between(across.low, across.high) & points.y.is_between(up.low, up.high)
    beyond = len(inside) - int(inside.sum())
    notes = [f"{beyond:,} beyond the edges (--all shows them)"] if beyond else []
    if lost := len(both) - len(inside):
        notes.append(f"{lost:,} not finite or beyond {_LARGEST:.0e} left out")
    return Figure(title, across, up, points, notes=tuple(notes))


def _axis(label: str, values: pl.Series, *, whole: bool) -> Axis:
    """An axis that holds all values with a margin, but for a few that are far out."""
    low, high = _limits(values, 0.0)
    inner = _limits(values, _FAR)
    if not whole and high - low > _TOO_FAR * (inner[1] - inner[0]) > 0:
        low, high = inner
    margin = _MARGIN * (high - low) or abs(high) * _MARGIN or 1.0
    return Axis(label, low - margin, high + margin)


def _limits(values: pl.Series, share: float) -> tuple[float, float]:
    """Between which values all lie but this share at either end."""
    ends = (values.quantile(at, "nearest") for at in (share, 1 - share))
    low, high = (float(end) if end is not None else math.nan for end in ends)
    return low, high


def _histogram(
    title: str,
    label: str,
    values: pl.Series,
    marks: Sequence[tuple[str, float]] = (),
    notes: Sequence[str] = (),
    *,
    whole: bool = False,
) -> Figure:
    """Bars of equal width; marks are upright lines.

    Args:
        title: What it shows.
        label: What the values are.
        values: What is counted.
        marks: Labels and places.
        notes: What is to know.
        whole: Whether values are integers: then bars are some whole number wide.
    """
    finite = values.filter(values.is_finite())
    if not finite.len():
        raise NothingToDraw(f"no row has a finite {label}")
    low, high = float(finite.min()), float(finite.max())  # type: ignore[arg-type]
    if lost := len(values) - len(finite):
        notes = (*notes, f"{lost:,} not finite left out")
    step, start = _bins(low, high, whole=whole)
    numbers = ((finite - start) / step).floor().cast(pl.Int64)
    n_bins = int(numbers.max() or 0) + 1  # type: ignore[arg-type]
    found = dict(numbers.value_counts().iter_rows())
    counts = tuple(found.get(number, 0) for number in range(n_bins))
    edges = tuple(start + step * number for number in range(n_bins + 1))
    places = [place for _, place in marks]
    x = Axis(label, min(edges[0], *places, edges[-1]), max(edges[-1], *places, edges[0]))
    margin = _MARGIN * (x.high - x.low)
    y = Axis("vacua", 0.0, 1.05 * max(counts))
    lines = tuple(Line(name, (at, at), (0.0, y.high)) for name, at in marks)
    x = x._replace(low=x.low - margin, high=x.high + margin)
    return Figure(title, x, y, Bars(edges, counts), lines, tuple(notes))


def _bins(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """Width of the bars, and where the first begins."""
    if whole:
        step = float(max(1, math.ceil((high - low + 1) / BINS)))
        return step, math.floor(low / step) * step - 0.5
    span = high - low
    if not span:
        return 1.0, low - 0.5
    step = nice(span / BINS)
    return step, math.floor(low / step) * step


def _subscript(number: int) -> str:
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(number))
