"""Each option once: its names, what it takes, its help, and the heading it stands under.

A command names the alias and a default, which is always "not given": `repo: Repos = None`. What
counts then is decided in `vulcan_cli.settings`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vulcan_cli.cli.suggest import values_of

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

RUN = "The run"
"""The heading of options that describe a run."""

COMMITS = "Commits"
"""The heading of options that say how to commit."""

FILTER = "Which rows"
"""The heading of filters."""

SPLIT = "Splits"
"""The heading of options that say how to split."""

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done.", rich_help_panel=OUTPUT)
]

Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="INPUT", help="Files; - or nothing reads standard input."),
]

InputFormat = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="auto, parquet, csv, ndjson or arrow; auto looks at the first bytes.",
    ),
]

GeometryText = Annotated[
    str | None,
    typer.Option(
        "-g",
        "--geometry",
        metavar="KEY=N,...",
        help="Keys out of h11, h12, ks_id, triang_id, conifold_id, cicy_id; without it, the "
        "input's own columns tell.",
        rich_help_panel=RUN,
    ),
]

TadpoleCharge = Annotated[
    int | None,
    typer.Option("--tadpole-charge", metavar="N", help="For rows without it.", rich_help_panel=RUN),
]

Solver = Annotated[
    list[str] | None,
    typer.Option(
        "--solver",
        metavar="KEY=VALUE,...",
        help="name, config_hash and whatever else.",
        rich_help_panel=RUN,
    ),
]

Provenance = Annotated[
    list[str] | None,
    typer.Option(
        "--provenance",
        metavar="KEY=VALUE,...",
        help="git_sha, seed, wall_clock_s and whatever else.",
        rich_help_panel=RUN,
    ),
]

SetValue = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A value for the template.", rich_help_panel=RUN
    ),
]

Project = Annotated[
    str | None,
    typer.Option(
        "--project",
        metavar="NAME",
        help="What {project} stands for. [VULCAN_PROJECT]",
        rich_help_panel=RUN,
    ),
]

TemplateText = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="TEMPLATE",
        help="How run ids are made, such as {date}_{project}_seed-{seed?}. [VULCAN_TEMPLATE]",
        rich_help_panel=RUN,
    ),
]

RunId = Annotated[
    str | None,
    typer.Option(
        "--run-id", metavar="ID", help="The run id itself, for one shard.", rich_help_panel=RUN
    ),
]

MaxRows = Annotated[
    int | None,
    typer.Option(
        "--max-rows",
        metavar="N",
        min=1,
        help="Cut into shards of at most so many rows.",
        rich_help_panel=RUN,
    ),
]

Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Refuse lists of another length than h12 calls for.", rich_help_panel=RUN
    ),
]

MaxBatch = Annotated[
    int | None,
    typer.Option(
        "--max-batch",
        metavar="N",
        min=1,
        help="Shards in a commit; 500. [VULCAN_MAX_BATCH]",
        rich_help_panel=COMMITS,
    ),
]

CommitBudget = Annotated[
    int | None,
    typer.Option(
        "--budget",
        metavar="N",
        min=1,
        help="Commits in a window; 90. [VULCAN_BUDGET]",
        rich_help_panel=COMMITS,
    ),
]

Window = Annotated[
    str | None,
    typer.Option(
        "--window-s",
        metavar="SECONDS",
        help="That window; 3600, or 1h. [VULCAN_WINDOW_S]",
        rich_help_panel=COMMITS,
    ),
]

MaxRetries = Annotated[
    int | None,
    typer.Option(
        "--max-retries",
        metavar="N",
        min=0,
        help="How often a batch is tried again; 3. [VULCAN_MAX_RETRIES]",
        rich_help_panel=COMMITS,
    ),
]

CommitPrefix = Annotated[
    str | None,
    typer.Option(
        "--commit-prefix",
        metavar="TEXT",
        help="What commit messages begin with. [VULCAN_COMMIT_PREFIX]",
        rich_help_panel=COMMITS,
    ),
]

Branch = Annotated[
    str,
    typer.Option("--revision", metavar="BRANCH", help="The branch; main.", rich_help_panel=COMMITS),
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
        "--every", metavar="TIME", help="Stay and repeat, such as 15m.", rich_help_panel=COMMITS
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

RunIdPatterns = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN_ID", help="Run ids, or patterns of them; none for all."),
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

By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="A,B",
        help="Sum shards, rows and bytes over columns of the catalog, such as h12,h11.",
        rich_help_panel=OUTPUT,
    ),
]

CountShards = Annotated[
    bool, typer.Option("--count", help="Only the number of shards.", rich_help_panel=OUTPUT)
]

Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B",
        help="Columns of the result.",
        autocompletion=values_of("column", listed=True),
        rich_help_panel=OUTPUT,
    ),
]

Sort = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="A,-B",
        help="Columns to sort by; - before a name descends.",
        autocompletion=values_of("column", listed=True, signed=True),
        rich_help_panel=OUTPUT,
    ),
]

Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", min=0, help="At most so many rows.", rich_help_panel=OUTPUT
    ),
]

Sql = Annotated[
    str | None,
    typer.Option(
        "--sql",
        metavar="SQL",
        help="A statement over the matching rows, as table vacua.",
        rich_help_panel=OUTPUT,
    ),
]

CountRows = Annotated[
    bool, typer.Option("--count", help="Only the number of rows.", rich_help_panel=OUTPUT)
]

Files = Annotated[
    bool,
    typer.Option("--files", help="Only the files of the shards.", rich_help_panel=OUTPUT),
]

SourcePlace = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="PLACE",
        help="auto, synced, staged or repo; auto is synced, with what was trimmed read from the "
        "repo.",
        rich_help_panel=WHERE,
    ),
]

Revision = Annotated[
    str,
    typer.Option(
        "--revision", metavar="REV", help="Branch or commit of the repo.", rich_help_panel=WHERE
    ),
]

OutputFile = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="A file that appears whole or not at all; its ending says the format.",
        rich_help_panel=OUTPUT,
    ),
]

OutputFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="parquet, csv, ndjson, arrow, json, npz, safetensors or table.",
        rich_help_panel=OUTPUT,
    ),
]

Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Let a Dask cluster write part files: into the folder of -o, or of --out-dir.",
        rich_help_panel=OUTPUT,
    ),
]

SplitName = Annotated[
    str | None, typer.Argument(metavar="NAME", help="The split whose rows to print.")
]

SplitNames = Annotated[
    str | None,
    typer.Option("--splits", metavar="A,B", help="Names; train,val,test.", rich_help_panel=SPLIT),
]

Fractions = Annotated[
    str | None,
    typer.Option("--fractions", metavar="X,Y", help="Shares; 0.8,0.1,0.1.", rich_help_panel=SPLIT),
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
        help="geometry, or polytope: all triangulations of one h11, h12, ks_id in one split.",
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
        help="Columns that make the features; moduli and tau are complex, from _re and _im.",
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
    float,
    typer.Option("--list-fill", metavar="X", help="What fills them; 0.", rich_help_panel=SPLIT),
]

DropGeometryId = Annotated[
    bool,
    typer.Option("--drop-geometry-id", help="Leave geometry_id out.", rich_help_panel=SPLIT),
]

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

Licence = Annotated[
    str | None,
    typer.Option("--license", metavar="ID", help="A licence, such as cc-by-4.0."),
]

CitationFile = Annotated[
    Path | None,
    typer.Option("--citation", metavar="FILE", help="A text that says how to cite the dataset."),
]
