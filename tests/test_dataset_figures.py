"""The numbers behind pictures, of rows made by hand and of real vacua."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.vacua_support import REAL
from vulcan_cli.cli.commands import plot
from vulcan_cli.dataset import figures
from vulcan_cli.dataset.figure import Axis, Bars, Figure, Line, Points, Steps, Wish, nice
from vulcan_cli.errors import NothingToDraw, UsageError

VACUA = pl.concat(
    (pl.read_parquet(path) for path in sorted(REAL.glob("*.parquet"))), how="diagonal_relaxed"
)


def made(kind: str, rows: dict[str, Any], **wish: Any) -> Figure:
    return figures.figure(kind, pl.LazyFrame(rows), Wish(**wish))


def points(figure: Figure) -> list[tuple[float, float]]:
    assert isinstance(figure.shape, Points)
    x, y = figure.shape.x.round(12).to_list(), figure.shape.y.round(12).to_list()
    return list(zip(x, y, strict=True))


def test_tadpoles_are_counted_one_by_one_beside_their_bound() -> None:
    figure = made("tadpole", {"tadpole_charge": [1, 1, 1, 2, 2, 4, -1, None]}, bound=2.5)
    assert figure.shape == Bars((-1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5), (1, 0, 3, 2, 0, 1))
    assert figure.x == Axis("N_flux = f₁·h₂ - f₂·h₁", -1.74, 4.74)
    assert figure.y == Axis("vacua", 0.0, 1.05 * 3)
    assert figure.lines == (Line("bound 2.5", (2.5, 2.5), (0.0, 1.05 * 3)),)
    assert figure.notes == (
        "7 vacua",
        "1 above the bound",
        "1 row without tadpole_charge left out",
    )
    far = made("tadpole", {"tadpole_charge": [1]}, bound=138.0)
    assert far.x.high > 138


def test_many_tadpoles_share_bars_of_whole_numbers() -> None:
    figure = figures.figure("tadpole", VACUA.lazy(), Wish())
    assert isinstance(figure.shape, Bars)
    steps = {right - left for left, right in zip(figure.shape.edges, figure.shape.edges[1:])}  # noqa: B905
    assert len(steps) == 1
    assert steps.pop().is_integer()
    assert (sum(figure.shape.counts), len(figure.shape.counts) <= figures.BINS + 1) == (
        VACUA.height,
        True,
    )


def test_superpotentials_whose_squares_no_float_holds_are_drawn() -> None:
    """The real and the imaginary part stand at the ends of what floats can be."""
    parts = {"W_re": [3e-200, 0.0, 3e200, math.inf], "W_im": [4e-200, 5e-324, -4e200, 1.0]}
    figure = made("w0", parts)
    assert isinstance(figure.shape, Bars)
    assert sum(figure.shape.counts) == 3
    assert figure.notes[-1] == "1 not finite left out"
    against = points(made("gs", {**parts, "tau_im": [1.0] * 4}, whole=True))
    assert [(x, round(y, 3)) for x, y in against] == [(0, -199.301), (0, -323.306), (0, 200.699)]


def test_a_superpotential_of_which_a_part_is_no_number_is_not_zero() -> None:
    figure = made("w0", {"W_re": [0.0, math.nan, 3.0], "W_im": [math.nan, 0.0, 4.0]})
    assert isinstance(figure.shape, Bars)
    assert sum(figure.shape.counts) == 1
    assert figure.notes == (
        "3 vacua",
        "W₀ as the solver normalises it, without e^(K/2)",
        "2 not finite left out",
    )


def test_superpotentials_are_counted_by_size() -> None:
    figure = made("w0", {"W_re": [3.0, 0.0, 30.0, None], "W_im": [4.0, 0.0, 40.0, 1.0]})
    assert isinstance(figure.shape, Bars)
    counted = {
        round(left, 2): count
        for left, count in zip(figure.shape.edges, figure.shape.counts, strict=False)
        if count
    }
    assert counted == {0.65: 1, 1.65: 1}
    assert figure.notes == (
        "3 vacua",
        "1 not above 0 left out",
        "W₀ as the solver normalises it, without e^(K/2)",
        "1 row without W_re or W_im left out",
    )


def test_real_superpotentials_are_all_in_the_histogram() -> None:
    figure = figures.figure("w0", VACUA.lazy(), Wish())
    assert isinstance(figure.shape, Bars)
    assert sum(figure.shape.counts) == VACUA.height
    low, high = figure.shape.edges[0], figure.shape.edges[-1]
    sizes = (VACUA["W_re"] ** 2 + VACUA["W_im"] ** 2).sqrt().log10()
    assert sizes.is_between(low, high).all()


def test_the_fundamental_domain_and_what_is_outside() -> None:
    figure = made("tau", {"tau_re": [0.0, 0.4, -0.6, 0.0], "tau_im": [1.0, 0.9, 3.0, 0.9]})
    assert points(figure) == [(0.0, 1.0), (0.4, 0.9), (-0.6, 3.0), (0.0, 0.9)]
    assert figure.notes == ("4 vacua", "3 outside the fundamental domain of SL(2, Z)")
    (domain,) = figure.lines
    assert (domain.x[0], domain.y[0]) == (0.5, figure.y.high)
    assert (domain.x[-1], domain.y[-1]) == (-0.5, figure.y.high)
    arc = list(zip(domain.x, domain.y, strict=True))[1:-1]
    assert all(math.isclose(math.hypot(*each), 1) for each in arc)
    assert min(y for _, y in arc) == pytest.approx(math.sqrt(3) / 2)
    assert max(y for _, y in arc) == pytest.approx(1)


def test_the_coupling_is_the_column_or_what_tau_says() -> None:
    rows = {"tau_im": [10.0, 10.0, 10.0], "W_re": [100.0, 1.0, 0.0], "W_im": [0.0, 0.0, 0.0]}
    assert points(made("gs", rows)) == [(-1.0, 2.0), (-1.0, 0.0)]
    figure = made("gs", {**rows, "g_s": [0.01, None, 1.0]})
    assert points(figure) == [(-2.0, 2.0), (-1.0, 0.0)]
    assert figure.notes == (
        "3 vacua",
        "1 not above 0 left out",
        "g_s = 1/Im τ where no column says it",
        "W₀ as the solver normalises it, without e^(K/2)",
    )


def test_a_modulus_of_those_that_have_it() -> None:
    rows = {"moduli_re": [[0.1, 0.2], [0.3]], "moduli_im": [[1.0, 2.0], [3.0]]}
    assert points(made("modulus", rows)) == [(0.1, 1.0), (0.3, 3.0)]
    second = made("modulus", rows, modulus=2)
    assert (second.x.label, points(second)) == ("Re z₂", [(0.2, 2.0)])
    assert second.notes == ("2 vacua", "1 row with fewer moduli left out")
    with pytest.raises(UsageError) as usage:
        made("modulus", rows, modulus=3)
    assert str(usage.value) == "there is no modulus 3: rows have 2 at most"


def test_residuals_and_their_tolerance() -> None:
    residuals = [1e-12, 1e-9, 1e-12, 0.0, -1e-12]
    figure = made("residual", {"residual": residuals}, tolerance=1e-10)
    assert isinstance(figure.shape, Bars)
    assert (figure.shape.counts[0], figure.shape.counts[-1], sum(figure.shape.counts)) == (2, 1, 3)
    assert figure.lines[0].x == (-10.0, -10.0)
    assert figure.notes == ("5 vacua", "2 not above 0 left out", "1 above the tolerance")


def test_growth_is_a_count_over_time() -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    moments = [start, start + timedelta(hours=2), start, start + timedelta(hours=1)]
    figure = made("growth", {"created_at": moments})
    assert isinstance(figure.shape, Steps)
    at = start.timestamp()
    assert figure.shape.x[1:-1] == (at, at + 3600, at + 7200)
    assert figure.shape.y == (0.0, 2.0, 3.0, 4.0, 4.0)
    assert figure.x.is_time


def test_growth_of_many_moments_has_a_bounded_number_of_steps() -> None:
    moments = (pl.int_range(0, 50_000, eager=True) * 1_000_000).cast(pl.Datetime("us", "UTC"))
    figure = made("growth", {"created_at": moments})
    assert isinstance(figure.shape, Steps)
    assert len(figure.shape.x) <= 2003
    assert figure.shape.y[-1] == 50_000
    # Each step is true: so many rows there were at that moment.
    assert all(n == at + 1 for at, n in list(zip(figure.shape.x, figure.shape.y))[1:-1])  # noqa: B905


def test_a_few_points_far_out_do_not_shrink_the_others() -> None:
    rows = {"W_re": [float(n) for n in range(200)] + [1e9], "W_im": [1.0] * 201}
    figure = made("w0-plane", rows)
    assert figure.x.high < 250
    assert figure.notes[1].endswith(" beyond the edges (--all shows them)")
    whole = made("w0-plane", rows, whole=True)
    assert whole.x.high > 1e9
    assert whole.notes == ("201 vacua", "W₀ as the solver normalises it, without e^(K/2)")


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    values = [1e-12, math.nan, math.inf, 1e-9]
    histogram = made("residual", {"residual": values})
    assert isinstance(histogram.shape, Bars)
    assert (sum(histogram.shape.counts), histogram.notes) == (
        2,
        ("4 vacua", "2 not finite left out"),
    )
    rows = {"W_re": [1.0, math.nan, 2.0, 3.0], "W_im": [1.0, 1.0, math.inf, -1e308]}
    for whole in (False, True):
        figure = made("w0-plane", rows, whole=whole)
        assert points(figure) == [(1.0, 1.0)]
        assert figure.notes == (
            "4 vacua",
            "3 not finite or beyond 1e+300 left out",
            "W₀ as the solver normalises it, without e^(K/2)",
        )


@pytest.mark.parametrize(
    ("kind", "rows", "why"),
    [
        ("w0", {"tau_re": [1.0]}, "no matching row has W_re and W_im"),
        ("w0", {"W_re": [None], "W_im": [1.0]}, "no row has W_re and W_im"),
        ("w0", {"W_re": [0.0], "W_im": [0.0]}, "no value is above 0, so none has a logarithm"),
        ("residual", {"residual": [math.inf]}, "no row has a finite log₁₀ residual"),
        ("w0-plane", {"W_re": [math.nan], "W_im": [1.0]}, "no row has a finite Re W₀"),
        ("w0-plane", {"W_re": [1.0, math.nan], "W_im": [math.inf, 1.0]},
         "no row has a finite Re W₀ and Im W₀"),
        ("gs", {"tau_im": [1.0], "W_re": [0.0], "W_im": [0.0]},
         "no row has a g_s and a |W₀| above 0"),
        ("tadpole", {"tadpole_charge": pl.Series([], dtype=pl.Int32)}, "no row matches"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn(kind: str, rows: dict[str, Any], why: str) -> None:
    frame = pl.DataFrame(rows, schema_overrides={"W_re": pl.Float64})
    with pytest.raises(NothingToDraw) as nothing:
        figures.figure(kind, frame.lazy(), Wish())
    assert str(nothing.value) == why


@pytest.mark.parametrize("length", [1e-9, 0.013, 0.02, 1.0, 4.9, 700.0])
def test_steps_are_round(length: float) -> None:
    step = nice(length)
    assert length <= step * (1 + 1e-9) < 2.5 * length * (1 + 1e-9)
    assert round(step / 10 ** math.floor(math.log10(step * 1.001)), 6) in {1, 2, 5}


def test_the_command_knows_every_kind() -> None:
    assert {name: kind.help for name, kind in figures.KINDS.items()} == plot._KINDS
