"""Each option once: its names, what it takes, its help, and the heading it stands under.

A command names the alias and a default, which is always "not given": `repo: Repos = None`. What
counts then is decided in `vulcan_cli.settings`.
"""

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

Repo = Annotated[
    str | None,
    typer.Option(
        "--repo",
        metavar="REPO",
        help="owner/name on the Hub, or a folder: file:///folder, /folder, ./folder. [VULCAN_REPO]",
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
    typer.Option("-v", "--verbose", help="Say more.", rich_help_panel=OUTPUT),
]
