"""Pictures as they are drawn: letters, looked at whole, and files of Matplotlib."""

import math
import re
import struct
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from vulcan_cli.dataset import figures
from vulcan_cli.dataset.figure import Figure, Wish
from vulcan_cli.errors import NotSetUp, UsageError
from vulcan_cli.pictures import image
from vulcan_cli.pictures.terminal import drawn

BARS = {"tadpole_charge": [1, 1, 1, 2, 2, 4, -3]}
TAU = {"tau_re": [0.0, 0.25, -0.5, 1.0], "tau_im": [1.0, 1.5, 2.0, 0.5]}
KINDS = sorted(figures.KINDS)


def made(kind: str, rows: dict[str, Any], **wish: Any) -> Figure:
    return figures.figure(kind, pl.LazyFrame(rows), Wish(**wish))


def some(kind: str, n_rows: int = 50) -> Figure:
    """A picture of any kind, of so many rows."""
    angles = [number * 0.7 for number in range(n_rows)]
    rows = {
        "tau_re": [math.cos(each) / 2 for each in angles],
        "tau_im": [1.5 + math.sin(each) for each in angles],
        "W_re": [math.exp(math.sin(each)) for each in angles],
        "W_im": [math.cos(each) for each in angles],
        "tadpole_charge": [number % 17 for number in range(n_rows)],
        "residual": [10 ** (-12 + math.sin(each)) for each in angles],
        "moduli_re": [[math.sin(each)] for each in angles],
        "moduli_im": [[math.cos(each)] for each in angles],
        "created_at": pl.Series(
            [1_780_000_000_000_000 + 60_000_000 * number for number in range(n_rows)]
        ).cast(pl.Datetime("us", "UTC")),
    }
    return made(kind, rows, bound=9.0, tolerance=1e-12)


def test_bars_with_a_bound() -> None:
    figure = made("tadpole", BARS, bound=3)
    assert drawn(figure, 40, 14, color=False, unicode=True) == [
        "         D3 charge of the flux",
        "vacua",
        "  │                  ▅▅▅▅       ⠇",
        "  │                  ████       ⡇",
        "2 ┤                  ████▄▄▄▄▄  ⡃",
        "  │                  █████████  ⡇",
        "  │ ▂▂▂▂             █████████  ⡇ ▂▂▂▂",
        "  │ ████             █████████  ⡇ ████",
        "0 ┤ ████             █████████  ⡇ ████",
        "  └───────┬────────┬───────┬────────┬───",
        "         -2        0       2        4",
        "           N_flux = f₁·h₂ - f₂·h₁",
        "─ bound 3",
        "7 vacua; 1 above the bound",
    ]


def test_the_same_in_ascii() -> None:
    figure = made("tadpole", BARS, bound=3)
    assert drawn(figure, 40, 14, color=False, unicode=False) == [
        "         D3 charge of the flux",
        "vacua",
        "  |                  ####       +",
        "  |                  ####       +",
        "2 +                  #########  +",
        "  |                  #########  +",
        "  | ####             #########  + ####",
        "  | ####             #########  + ####",
        "0 + ####             #########  + ####",
        "  +-------+--------+-------+--------+---",
        "         -2        0       2        4",
        "           N_flux = f1.h2 - f2.h1",
        "- bound 3",
        "7 vacua; 1 above the bound",
    ]


def test_points_and_the_fundamental_domain() -> None:
    assert drawn(made("tau", TAU), 40, 16, color=False, unicode=True) == [
        "      Axio-dilaton τ = C₀ + i/g_s",
        "Im τ",
        "2 ┤  ⡇                     ⢸",
        "  │  ⡇                     ⢸",
        "  │  ⡇               ⠈     ⢸",
        "  │  ⡇                     ⢸",
        "  │  ⠧⠴⠒⠒⠒⠊⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠑⠒⠒⠒⠤⠼",
        "  │",
        "  │                                   ⠈",
        "0 ┤",
        "  └──┬──────────┬──────────┬──────────┬─",
        "   -0.5        0.0        0.5        1.0",
        "                    Re τ",
        "─ fundamental domain: |τ| ≥ 1, |Re τ| ≤ 1/2",
        "4 vacua",
        "1 outside the fundamental domain of SL(2, Z)",
    ]


PAINT = re.compile(r"\x1b\[(?:38;5;[0-9]+|0)m")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "height"), [(30, 12), (80, 22), (200, 50)])
def test_a_picture_fits_and_colour_changes_no_letter(kind: str, width: int, height: int) -> None:
    plain = drawn(some(kind), width, height, color=False, unicode=True)
    # Title, legend and notes are sentences: a narrow terminal wraps them.
    sentences = {some(kind).title.center(width).strip(), *some(kind).notes}
    picture = [line for line in plain if set(line) & set("│┤└┬") or line.startswith("    ")]
    assert max(len(line) for line in picture if line.strip() not in sentences) <= width
    assert len(plain) <= max(height, 16)
    painted = drawn(some(kind), width, height, color=True, unicode=True)
    assert [PAINT.sub("", line) for line in painted] == plain
    assert painted != plain
    assert all(
        line.isascii() for line in drawn(some(kind), width, height, color=False, unicode=False)
    )


def test_where_points_are_many_the_colour_is_brighter() -> None:
    rows = {"tau_re": [0.0] * 500 + [0.3], "tau_im": [1.1] * 500 + [1.6]}
    text = "\n".join(drawn(made("tau", rows), 60, 20, color=True, unicode=True))
    shades = re.findall(r"\x1b\[38;5;(61|66|102|144|185|226)m", text)
    assert sorted(set(shades)) == ["226", "61"]


@pytest.mark.parametrize("kind", ["tau", "tadpole", "growth"])
def test_a_file_is_a_picture(kind: str) -> None:
    png = image.picture(some(kind), "png")
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (1120, 800)


def test_the_same_picture_is_the_same_bytes() -> None:
    svg = image.picture(some("tadpole"), "svg")
    assert image.picture(some("tadpole"), "svg") == svg
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_page_needs_nothing_else() -> None:
    page = image.picture(some("tau"), "html").decode()
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert re.findall(r"<(?:script|link|img|iframe|object)\b", page) == []
    assert re.findall(r'(?:src|href)="(?!#|data:)', page) == []
    assert "<h1>Axio-dilaton τ = C₀ + i/g_s</h1>" in page
    assert "<li>50 vacua</li>" in page
    assert page.count("<svg") == 1


def test_many_points_are_drawn_as_their_density() -> None:
    # One cell a place, not one mark a point: the file does not grow with the rows.
    for n_rows, cells in ((image.MOST_POINTS, False), (image.MOST_POINTS + 1, True)):
        axes = image._sheet(some("w0-plane", n_rows)).axes
        assert [each.get_ylabel() for each in axes] == ["Im W$_0$", *["vacua in a cell"] * cells]


def test_subscripts_are_set_as_such() -> None:
    axes = image._sheet(some("gs")).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("log$_1$$_0$ g$_s$", "log$_1$$_0$ |W$_0$|")


@pytest.mark.parametrize("name", ["x.pdf", "x", "x.png.gz"])
def test_other_endings_are_refused(name: str) -> None:
    with pytest.raises(UsageError) as usage:
        image.ending_of(Path(name))
    assert str(usage.value) == f"a picture ends in .png, .svg, .html, not {name!r}"


def test_without_matplotlib_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NotSetUp) as missing:
        image.picture(some("tau"), "png")
    assert str(missing.value) == "matplotlib is not installed: pip install 'vulcan-cli[plot]'"
