"""Options that many commands have: where shards stand and go, and how to talk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WHERE = "Where"
"""The heading of options that say where shards stand and go."""

OUTPUT = "Output"
"""The heading of options that say how to talk."""

StagingDir = Annotated[
    Path | None,
    typer.Option(
        "--staging-dir",
        metavar="DIR",
        help="The staging directory. [VULCAN_STAGING_DIR]",
        rich_help_panel=WHERE,
    ),
]

Repos = Annotated[
    list[str] | None,
    typer.Option(
        "--repo",
        metavar="REPO",
        help="owner/name on the Hub, or a folder: file:///folder, /folder, ./folder; repeatable: "
        "each geometry has its home in one. [VULCAN_REPO]",
        rich_help_panel=WHERE,
    ),
]

UnaskedRepos = Annotated[
    list[str] | None,
    typer.Option(
        "--repo",
        metavar="REPO",
        help="Taken so that one line of options fits all commands; this one asks no repo. "
        "[VULCAN_REPO]",
        rich_help_panel=WHERE,
    ),
]

Json = Annotated[
    bool,
    typer.Option("--json", help="Write JSON to stdout.", rich_help_panel=OUTPUT),
]

Quiet = Annotated[
    bool,
    typer.Option(
        "-q", "--quiet", help="Say nothing but results and errors.", rich_help_panel=OUTPUT
    ),
]

Verbose = Annotated[
    bool,
    typer.Option(
        "-v",
        "--verbose",
        help="Say which settings count, what is done, and what made an error.",
        rich_help_panel=OUTPUT,
    ),
]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done.", rich_help_panel=OUTPUT)
]
