"""`vulcan plot`: vacua as a picture."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.filters import RowFilters
from vulcan_cli.cli.options.fit import refuse_typed
from vulcan_cli.cli.options.pictures import (
    Bound,
    Height,
    Modulus,
    PictureFile,
    ShowAll,
    Tolerance,
    Width,
)
from vulcan_cli.cli.options.results import Revision, SourcePlace
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.questions import BAD_SHARDS, computing, tell_bad
from vulcan_cli.cli.repos import locate_shards
from vulcan_cli.cli.suggest import did_you_mean, one_of
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import UsageError

if TYPE_CHECKING:
    from vulcan_cli.dataset.figure import Figure

EXAMPLES = (
    Example("The axio-dilaton, in the terminal", "vulcan plot tau --is-susy"),
    Example("Flux numbers with a bound", "vulcan plot tadpole --h12 2 --bound 138 -o n.png"),
    Example("Residuals with a tolerance", "vulcan plot residual --tolerance 1e-10"),
    Example("The second modulus, as a page", "vulcan plot modulus --modulus 2 -o z2.html"),
)
EXIT_CODES = (3, 4, 5, 6)

# The same as `dataset.figures.KINDS`, which loads Polars: a test holds that.
_KINDS = {
    "tau": "the axio-dilaton and its fundamental domain",
    "w0": "a histogram of log10 |W0|",
    "w0-plane": "W0 in the complex plane",
    "gs": "|W0| against g_s",
    "tadpole": "N_flux, with a bound",
    "residual": "residuals, with a tolerance",
    "modulus": "one modulus in its plane",
    "growth": "how many vacua there were when",
}

Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="tau, w0, w0-plane, gs, tadpole, residual, modulus or growth.",
        autocompletion=one_of(_KINDS),
    ),
]


def plot(
    kind: Kind,
    *,
    asked: RowFilters,
    modulus: Modulus = 1,
    bound: Bound = None,
    tolerance: Tolerance = None,
    all_: ShowAll = False,
    source: SourcePlace = "auto",
    revision: Revision = "main",
    staging_dir: StagingDir = None,
    repo: Repos = None,
    output: PictureFile = None,
    width: Width = None,
    height: Height = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw the vacua that match all filters: in the terminal, or into a file.

    W0 is W_re + i W_im as the solver normalises it, without e^(K/2); g_s is the column of that
    name, or 1/Im tau. Rows without what a picture needs are left out and counted below it. A file
    needs Matplotlib: pip install 'vulcan-cli[plot]'. Colours are those that everybody tells apart.
    """
    out = Output(quiet=quiet, verbose=verbose)
    if kind not in _KINDS:
        meant = did_you_mean(kind, _KINDS)
        raise UsageError(f"vulcan plot draws {', '.join(_KINDS)}, not {kind!r}{meant}")
    _check(kind, bound=bound, tolerance=tolerance, modulus=modulus)
    if output is not None:
        sizes = {"--width": width, "--height": height}
        refuse_typed("{} is of a terminal, not of a file", sizes)
    ending = None if output is None else _ending(output)
    settings = configured(out, staging_dir=staging_dir, repo=repo)
    filters = asked.read()
    found = locate_shards(settings, source, revision, out, filters)

    from vulcan_cli.dataset.figure import Wish  # noqa: PLC0415
    from vulcan_cli.dataset.figures import figure as figure_of  # noqa: PLC0415
    from vulcan_cli.dataset.query import query as ask  # noqa: PLC0415

    wish = Wish(modulus=modulus, bound=bound, tolerance=tolerance, whole=all_)
    with out.counting("shards") as progress, computing():
        answer = ask(found.catalog, filters, leave_out_clashes=True, progress=progress)
        figure = figure_of(kind, answer.rows, wish)
    if output is not None and ending is not None:
        _save(figure, output, ending)
        out.say(f"{figure.notes[0]} to {output}")
    else:
        from vulcan_cli.pictures import terminal  # noqa: PLC0415

        out.picture(partial(terminal.drawn, figure), width=width, height=height)
    tell_bad(out, answer.bad)
    if answer.bad:
        raise typer.Exit(BAD_SHARDS)


def _check(kind: str, *, bound: float | None, tolerance: float | None, modulus: int) -> None:
    for name, value, goes_with in (
        ("--bound", bound, "tadpole"),
        ("--tolerance", tolerance, "residual"),
        ("--modulus", None if modulus == 1 else modulus, "modulus"),
    ):
        if value is not None and kind != goes_with:
            raise UsageError(f"{name} goes with vulcan plot {goes_with}")
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise UsageError("--tolerance must be above 0")
    if bound is not None and not math.isfinite(bound):
        raise UsageError("--bound must be a number")


def _ending(file: Path) -> str:
    from vulcan_cli.pictures.image import ending_of  # noqa: PLC0415

    return ending_of(file)


def _save(figure: Figure, file: Path, ending: str) -> None:
    from vulcan_cli.files.paths import replace_durably  # noqa: PLC0415
    from vulcan_cli.pictures.image import picture  # noqa: PLC0415

    replace_durably(file, picture(figure, ending))
