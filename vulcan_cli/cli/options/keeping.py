"""Options of files and folders that a command makes for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Keep = Annotated[
    Path | None,
    typer.Option("--keep", metavar="DIR", help="A new folder to work in, which stays."),
]

Into = Annotated[
    Path | None,
    typer.Option(
        "--into",
        metavar="FILE",
        help="The card that is there; what people wrote in it stays.",
    ),
]

PushCard = Annotated[
    bool,
    typer.Option(
        "--push",
        help="Commit the card to the repo, if it is not there already; takes a slot of the budget.",
    ),
]

Licence = Annotated[
    str | None,
    typer.Option("--license", metavar="ID", help="A licence, such as cc-by-4.0. [VULCAN_LICENSE]"),
]

CitationFile = Annotated[
    Path | None,
    typer.Option(
        "--citation",
        metavar="FILE",
        help="A text that says how to cite the dataset; VULCAN_CITATION holds the text itself.",
    ),
]
