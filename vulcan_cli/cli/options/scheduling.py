"""Options of timers and job arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vulcan_cli.cli.options.everywhere import OUTPUT

TASKS = "The job array"
"""The heading of options that say what a task may take."""

Interval = Annotated[
    str,
    typer.Option("--every", metavar="TIME", help="How often to sync, such as 15m; at least 1m."),
]

UnitsDir = Annotated[
    Path | None,
    typer.Option(
        "--out-dir",
        metavar="DIR",
        help="With systemd: write both files there, such as ~/.config/systemd/user.",
        rich_help_panel=OUTPUT,
    ),
]

SolverWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOLVER",
        help="Behind --: a command line that writes rows to stdout; {task} is the task's number.",
    ),
]

Tasks = Annotated[
    int,
    typer.Option("--tasks", metavar="N", min=1, help="How many tasks.", rich_help_panel=TASKS),
]

TaskTime = Annotated[
    str,
    typer.Option("--time", metavar="TIME", help="How long one may take.", rich_help_panel=TASKS),
]

TaskMemory = Annotated[
    str,
    typer.Option("--mem", metavar="SIZE", help="Its memory.", rich_help_panel=TASKS),
]

TaskCpus = Annotated[
    int,
    typer.Option("--cpus", metavar="N", min=1, help="Its processors.", rich_help_panel=TASKS),
]
