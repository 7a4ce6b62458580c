"""Options of what comes back to pending/, and of what may go from synced/."""

from __future__ import annotations

from typing import Annotated

import typer

from vulcan_cli.cli.suggest import run_ids_in

RunIdPatterns = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN_ID",
        help="Run ids, or patterns of them; none for all.",
        autocompletion=run_ids_in("failed"),
    ),
]

FromRejected = Annotated[
    bool,
    typer.Option(
        "--from-rejected", help="Bring back what a sync set aside because it was no shard."
    ),
]

FromConflicts = Annotated[
    bool,
    typer.Option(
        "--from-conflicts",
        help="Bring back, under a new run id, rows whose name was taken by other rows.",
    ),
]

OlderThan = Annotated[
    str | None,
    typer.Option(
        "--older-than",
        metavar="AGE",
        help="What was confirmed longer ago than this, such as 30d.",
    ),
]

KeepBytes = Annotated[
    str | None,
    typer.Option(
        "--keep-bytes",
        metavar="SIZE",
        help="The oldest, until no more than this is left, such as 10GB.",
    ),
]
