"""Options of what goes to a repo, and how."""

from __future__ import annotations

from typing import Annotated

import typer

from vulcan_cli.cli.options.everywhere import OUTPUT
from vulcan_cli.cli.values import revision_name

COMMITS = "Commits"
"""The heading of options that say how to commit."""

MaxBatch = Annotated[
    int | None,
    typer.Option(
        "--max-batch",
        metavar="N",
        min=1,
        help="Shards in a commit; 500 by default. [VULCAN_MAX_BATCH]",
        rich_help_panel=COMMITS,
    ),
]

CommitBudget = Annotated[
    int | None,
    typer.Option(
        "--budget",
        metavar="N",
        min=1,
        help="Commits in a window; 90 by default. [VULCAN_BUDGET]",
        rich_help_panel=COMMITS,
    ),
]

Window = Annotated[
    str | None,
    typer.Option(
        "--window-s",
        metavar="SECONDS",
        help="The length of a window, also as 1h; 3600 by default. [VULCAN_WINDOW_S]",
        rich_help_panel=COMMITS,
    ),
]

MaxRetries = Annotated[
    int | None,
    typer.Option(
        "--max-retries",
        metavar="N",
        min=0,
        help="How often a batch is tried again; 3 by default. [VULCAN_MAX_RETRIES]",
        rich_help_panel=COMMITS,
    ),
]

CommitPrefix = Annotated[
    str | None,
    typer.Option(
        "--commit-prefix",
        metavar="TEXT",
        help="What commit messages begin with; vulcan: forge by default. [VULCAN_COMMIT_PREFIX]",
        rich_help_panel=COMMITS,
    ),
]

Branch = Annotated[
    str,
    typer.Option(
        "--revision",
        metavar="BRANCH",
        help="The branch.",
        callback=revision_name,
        rich_help_panel=COMMITS,
    ),
]

KeepCard = Annotated[
    bool | None,
    typer.Option(
        "--card/--no-card",
        help="Keep the dataset card in the repo's README.md true; on by default. [VULCAN_CARD]",
        rich_help_panel=COMMITS,
    ),
]

CreateRepo = Annotated[
    bool,
    typer.Option(
        "--create-repo",
        help="Make the repo where there is none, private on the Hub.",
        rich_help_panel=COMMITS,
    ),
]

CreatePr = Annotated[
    bool,
    typer.Option(
        "--create-pr",
        help="Propose the shards in a pull request; they wait in review until the branch has them.",
        rich_help_panel=COMMITS,
    ),
]

NoReserve = Annotated[
    bool,
    typer.Option(
        "--no-reserve",
        help="With --dry-run: reserve no slots, write nothing at all.",
        rich_help_panel=OUTPUT,
    ),
]

FailExhausted = Annotated[
    bool,
    typer.Option(
        "--fail-exhausted",
        help="Move a batch to failed/ when a rate limit outlasts all retries.",
        rich_help_panel=COMMITS,
    ),
]

ErrorOnRemaining = Annotated[
    bool,
    typer.Option(
        "--error-on-remaining",
        help="End with 5 when shards are left in pending/.",
        rich_help_panel=OUTPUT,
    ),
]

Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait until slots of the budget open.", rich_help_panel=COMMITS),
]

Every = Annotated[
    str | None,
    typer.Option(
        "--every",
        metavar="TIME",
        help="Stay and repeat, such as 15m; at least 1m.",
        rich_help_panel=COMMITS,
    ),
]

MaxDuration = Annotated[
    str | None,
    typer.Option(
        "--max-duration",
        metavar="TIME",
        help="End after this long, once the batch in flight is settled.",
        rich_help_panel=COMMITS,
    ),
]

HealthcheckUrl = Annotated[
    str | None,
    typer.Option(
        "--healthcheck-url",
        metavar="URL",
        help="Ping URL/start, then URL or URL/fail, as healthchecks.io takes it; never shown. "
        "[VULCAN_HEALTHCHECK_URL]",
        rich_help_panel=OUTPUT,
    ),
]
