"""Options of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vulcan_cli.cli.options.everywhere import OUTPUT
from vulcan_cli.cli.values import file_or_stdout

PICTURE = "The picture"
"""The heading of options that say what is drawn."""

Modulus = Annotated[
    int,
    typer.Option(
        "--modulus",
        metavar="N",
        min=1,
        help="With modulus: which one, counted from 1.",
        rich_help_panel=PICTURE,
    ),
]

Bound = Annotated[
    float | None,
    typer.Option(
        "--bound",
        metavar="N",
        min=0,
        help="With tadpole: a line at the D3 tadpole bound, which no column says.",
        rich_help_panel=PICTURE,
    ),
]

Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        metavar="X",
        help="With residual: a line at the largest that counts, such as 1e-10.",
        rich_help_panel=PICTURE,
    ),
]

ShowAll = Annotated[
    bool,
    typer.Option(
        "--all",
        help="Show points that are far out too; else axes leave a few of them out, and say so.",
        rich_help_panel=PICTURE,
    ),
]

PictureFile = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="A file that appears whole or not at all: .png, .svg or .html; or - for stdout.",
        callback=file_or_stdout,
        rich_help_panel=OUTPUT,
    ),
]

Width = Annotated[
    int | None,
    typer.Option(
        "--width",
        metavar="N",
        min=30,
        help="Letters in a line; as the terminal has, or 80.",
        rich_help_panel=OUTPUT,
    ),
]

Height = Annotated[
    int | None,
    typer.Option(
        "--height",
        metavar="N",
        min=12,
        help="Lines; as the terminal has, or 24.",
        rich_help_panel=OUTPUT,
    ),
]
