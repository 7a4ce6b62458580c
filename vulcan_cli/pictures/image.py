"""Pictures in files, by Matplotlib: PNG, SVG, and a page of HTML that needs nothing else.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/) and the map cividis (Nuñez,
Anderton and Renslow, PLOS ONE 13, e0199239), which people read alike whatever colours they see.
"""

from __future__ import annotations

import datetime
import html
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vulcan_cli.dataset.figure import Bars, Figure, Points, Steps
from vulcan_cli.errors import UsageError
from vulcan_cli.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

ENDINGS = ("png", "svg", "html")
"""What the name of a picture's file may end in."""

MOST_POINTS = 4000
"""More points than these are drawn as their density."""

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#555555"
_SIZE, _DPI = (7.0, 5.0), 160
_CELLS = 50
_SUBSCRIPTS = {each: f"$_{number}$" for number, each in enumerate("₀₁₂₃₄₅₆₇₈₉")} | {"_s": "$_s$"}


def picture(figure: Figure, ending: str) -> bytes:
    """A file that shows a figure.

    Args:
        figure: What to draw.
        ending: One of `ENDINGS`.

    Raises:
        NotSetUp: Matplotlib is not installed.
    """
    require("matplotlib", "plot")
    sheet = _sheet(figure)
    if ending == "png":
        return _saved(sheet, "png")
    svg = _saved(sheet, "svg")
    return svg if ending == "svg" else _page(figure, svg)


def ending_of(path: Path) -> str:
    """What the name of a picture's file says that it is.

    Raises:
        UsageError: It is none of `ENDINGS`.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in ENDINGS:
        known = ", ".join(f".{each}" for each in ENDINGS)
        raise UsageError(f"a picture ends in {known}, not {path.name!r}")
    return ending


def _sheet(figure: Figure) -> Sheet:
    # Without pyplot there is no state, no window, and nothing to close.
    from matplotlib.figure import Figure as NewSheet  # noqa: PLC0415

    sheet = NewSheet(figsize=_SIZE, layout="constrained")
    axes = sheet.add_subplot()
    _shape(sheet, axes, figure)
    for line in figure.lines:
        axes.plot(line.x, line.y, color=_ORANGE, lw=1.6, ls="--", label=line.label)
    axes.set_title(_text(figure.title), fontsize=12)
    axes.set_xlabel(_text(figure.x.label))
    axes.set_ylabel(_text(figure.y.label))
    axes.set_xlim(figure.x.low, figure.x.high)
    axes.set_ylim(figure.y.low, figure.y.high)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    if figure.x.is_time:
        _dates(axes)
    if figure.is_to_scale:
        axes.set_aspect("equal", adjustable="box")
    if figure.lines:
        sheet.legend(loc="outside upper right", frameon=False, fontsize=8)
    sheet.supxlabel(_text("; ".join(figure.notes)), fontsize=7, color=_GREY, wrap=True)
    return sheet


def _shape(sheet: Sheet, axes: Axes, figure: Figure) -> None:
    match figure.shape:
        case Points(x, y) if len(x) > MOST_POINTS:
            extent = (figure.x.low, figure.x.high, figure.y.low, figure.y.high)
            cells = axes.hexbin(
                x.to_numpy(), y.to_numpy(), gridsize=_CELLS, extent=extent, bins="log",
                mincnt=1, cmap="cividis_r", linewidths=0.1, rasterized=True,
            )  # fmt: skip
            sheet.colorbar(cells, ax=axes, label="vacua in a cell", pad=0.01)
        case Points(x, y):
            size = 12 if len(x) < 500 else 5
            axes.scatter(
                x.to_numpy(), y.to_numpy(), s=size, color=_BLUE, alpha=0.5, linewidths=0,
                rasterized=len(x) > 1000,
            )  # fmt: skip
        case Bars(edges, counts):
            axes.stairs(counts, edges, fill=True, color=_BLUE)
        case Steps(x, y):
            axes.step(x, y, where="post", color=_BLUE, lw=1.8)
            axes.fill_between(x, y, step="post", color=_BLUE, alpha=0.15)


def _dates(axes: Axes) -> None:
    """Unix seconds as moments."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: PLC0415

    low, high = axes.get_xlim()
    form = "%Y-%m-%d" if high - low > 10 * 86400 else "%m-%d %H:%M"
    form = "%H:%M:%S" if high - low < 600 else form

    def shown(seconds: float, _: Any) -> str:  # noqa: ANN401 (Matplotlib's)
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime(form)

    axes.xaxis.set_major_formatter(FuncFormatter(shown))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _text(text: str) -> str:
    """Text for Matplotlib, which sets subscripts itself: those of digits, and that of g_s."""
    return re.sub(r"[₀-₉]|(?<=\bg)_s\b", lambda found: _SUBSCRIPTS[found[0]], text)


def _saved(sheet: Sheet, form: str) -> bytes:
    import matplotlib  # noqa: PLC0415

    out = io.BytesIO()
    # The same picture is the same bytes: no date, and names that are counted, not drawn.
    with matplotlib.rc_context({"svg.hashsalt": "vulcan", "svg.fonttype": "path"}):
        metadata = {"Date": None} if form == "svg" else {}
        sheet.savefig(out, format=form, dpi=_DPI, metadata=metadata)
    return out.getvalue()


def _page(figure: Figure, svg: bytes) -> bytes:
    text = svg.decode()
    drawing = text[text.index("<svg") :]
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    title = html.escape(figure.title)
    described = html.escape("; ".join((figure.title, figure.y.label, figure.x.label)))
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in figure.notes)
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<style>body{max-width:60rem;margin:2rem auto;padding:0 1rem;"
        "font:1rem/1.5 system-ui,sans-serif;color:#222;background:#fff}"
        "svg{width:100%;height:auto}li{color:#555}</style></head>\n"
        f"<body><h1>{title}</h1>\n"
        f'<figure role="img" aria-label="{described}">\n{drawing}</figure>\n'
        f"<ul>{notes}</ul></body></html>\n"
    ).encode()
