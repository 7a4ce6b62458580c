"""Options of `vulcan split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vulcan_cli.cli.options.everywhere import OUTPUT
from vulcan_cli.cli.suggest import one_of, values_of

SPLIT = "Splits"
"""The heading of options that say how to split."""

_SPLITS = {"train": "0.8 of the geometries", "val": "0.1 of them", "test": "0.1 of them"}
_GROUPS = {
    "geometry": "each for itself",
    "polytope": "all triangulations of one h11, h12, ks_id together",
}

SplitName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="The split whose rows to print.", autocompletion=one_of(_SPLITS)
    ),
]

SplitNames = Annotated[
    str | None,
    typer.Option(
        "--splits",
        metavar="A,B",
        help="Names; train,val,test by default.",
        autocompletion=one_of(_SPLITS, listed=True),
        rich_help_panel=SPLIT,
    ),
]

Fractions = Annotated[
    str | None,
    typer.Option(
        "--fractions",
        metavar="X,Y",
        help="Shares; 0.8,0.1,0.1 by default.",
        rich_help_panel=SPLIT,
    ),
]

Salt = Annotated[
    str | None,
    typer.Option(
        "--salt", metavar="TEXT", help="Another salt, another assignment.", rich_help_panel=SPLIT
    ),
]

GroupedBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="WHAT",
        help="geometry, or polytope: all triangulations of one h11, h12, ks_id in one split; "
        "geometry by default.",
        autocompletion=one_of(_GROUPS),
        rich_help_panel=SPLIT,
    ),
]

Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        min=2,
        help="K splits of one size for cross-validation: fold0, fold1 and so on.",
        rich_help_panel=SPLIT,
    ),
]

Freeze = Annotated[
    Path | None,
    typer.Option(
        "--freeze",
        metavar="FILE",
        help="Write down which split each geometry is in.",
        rich_help_panel=SPLIT,
    ),
]

Frozen = Annotated[
    Path | None,
    typer.Option(
        "--frozen",
        metavar="FILE",
        help="Leave geometries where that file has them; only new ones are drawn.",
        rich_help_panel=SPLIT,
    ),
]

OutDir = Annotated[
    Path | None,
    typer.Option(
        "--out-dir",
        metavar="DIR",
        help="A new or empty folder for the files of all splits and split.json.",
        rich_help_panel=OUTPUT,
    ),
]

PushSplits = Annotated[
    str | None,
    typer.Option(
        "--push",
        metavar="REPO",
        help="Commit the files of all splits, with a card, to a repo of their own.",
        rich_help_panel=OUTPUT,
    ),
]

Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Shuffle the rows of each split in --out-dir; the same seed, the same order.",
        rich_help_panel=OUTPUT,
    ),
]

FeatureNames = Annotated[
    str | None,
    typer.Option(
        "--features",
        metavar="A,B",
        help="Columns that make the features; all but run id, time and geometry. moduli and tau "
        "are complex, from _re and _im.",
        autocompletion=values_of("column", listed=True),
        rich_help_panel=SPLIT,
    ),
]

ListMaxLen = Annotated[
    int | None,
    typer.Option(
        "--list-max-len",
        metavar="N",
        min=1,
        help="Cut or fill all lists to this length.",
        rich_help_panel=SPLIT,
    ),
]

ListFill = Annotated[
    float | None,
    typer.Option(
        "--list-fill", metavar="X", help="What fills them; 0 by default.", rich_help_panel=SPLIT
    ),
]

DropGeometryId = Annotated[
    bool,
    typer.Option("--drop-geometry-id", help="Leave geometry_id out.", rich_help_panel=SPLIT),
]
