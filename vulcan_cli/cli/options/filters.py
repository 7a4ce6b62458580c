"""Options that say which rows, or which shards."""

from __future__ import annotations

from typing import Annotated

import typer

from vulcan_cli.cli.suggest import values_of

FILTER = "Which rows"
"""The heading of filters."""

FilterH11 = Annotated[
    list[str] | None,
    typer.Option(
        "--h11",
        metavar="N",
        help="A value, several (3,5) or a range (3..7).",
        autocompletion=values_of("h11", listed=True),
        rich_help_panel=FILTER,
    ),
]

FilterH12 = Annotated[
    list[str] | None,
    typer.Option(
        "--h12",
        metavar="N",
        help="Likewise.",
        autocompletion=values_of("h12", listed=True),
        rich_help_panel=FILTER,
    ),
]

FilterKsId = Annotated[
    list[str] | None,
    typer.Option(
        "--ks-id",
        metavar="N",
        help="Likewise.",
        autocompletion=values_of("ks_id", listed=True),
        rich_help_panel=FILTER,
    ),
]

FilterTriangId = Annotated[
    list[str] | None,
    typer.Option(
        "--triang-id",
        metavar="N",
        help="Likewise.",
        autocompletion=values_of("triang_id", listed=True),
        rich_help_panel=FILTER,
    ),
]

FilterConifoldId = Annotated[
    list[str] | None,
    typer.Option(
        "--conifold-id",
        metavar="N",
        help="Likewise.",
        autocompletion=values_of("conifold_id", listed=True),
        rich_help_panel=FILTER,
    ),
]

FilterCicyId = Annotated[
    list[str] | None,
    typer.Option(
        "--cicy-id",
        metavar="N",
        help="Likewise.",
        autocompletion=values_of("cicy_id", listed=True),
        rich_help_panel=FILTER,
    ),
]

FilterRunId = Annotated[
    list[str] | None,
    typer.Option(
        "--run-id",
        metavar="ID",
        help="A run; repeatable.",
        autocompletion=values_of("run_id"),
        rich_help_panel=FILTER,
    ),
]

FilterGeometryId = Annotated[
    list[str] | None,
    typer.Option(
        "--geometry-id",
        metavar="ID",
        help="A geometry; repeatable.",
        autocompletion=values_of("geometry_id"),
        rich_help_panel=FILTER,
    ),
]

FilterSolverName = Annotated[
    list[str] | None,
    typer.Option(
        "--solver-name", metavar="NAME", help="A solver; repeatable.", rich_help_panel=FILTER
    ),
]

IsSusy = Annotated[
    bool | None,
    typer.Option("--is-susy/--not-susy", help="Supersymmetric or not.", rich_help_panel=FILTER),
]

IsIsd = Annotated[
    bool | None,
    typer.Option(
        "--is-isd/--not-isd", help="Imaginary self-dual flux or not.", rich_help_panel=FILTER
    ),
]

Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="SQL",
        help="A condition on rows; elements of lists count from 1.",
        rich_help_panel=FILTER,
    ),
]

WhereShards = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="SQL",
        help="A condition on columns of the catalog, such as n_rows > 1000.",
        rich_help_panel=FILTER,
    ),
]
