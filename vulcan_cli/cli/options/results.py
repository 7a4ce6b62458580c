"""Options of what is read, and of the shape it comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vulcan_cli.cli.options.everywhere import OUTPUT, WHERE
from vulcan_cli.cli.suggest import one_of, values_of
from vulcan_cli.cli.values import file_or_stdout, revision_name

_PLACES = {
    "auto": "synced, with what was trimmed read from the repo",
    "synced": "what the repo has confirmed, as it stands here",
    "staged": "pending and synced",
    "repo": "what stands in the repo",
}

_FORMATS = {
    "table": "the first rows, for eyes",
    "parquet": "all of it, typed",
    "csv": "RFC 4180, lists as JSON",
    "ndjson": "a JSON object a row",
    "json": "one JSON document",
    "arrow": "Arrow IPC",
    "npz": "numpy arrays",
    "safetensors": "arrays for models",
}

SourcePlace = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="PLACE",
        help="auto, synced, staged or repo; auto is synced, with what was trimmed read from the "
        "repo.",
        autocompletion=one_of(_PLACES),
        rich_help_panel=WHERE,
    ),
]

Revision = Annotated[
    str,
    typer.Option(
        "--revision",
        metavar="REV",
        help="Branch or commit of the repo.",
        callback=revision_name,
        rich_help_panel=WHERE,
    ),
]

By = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="A,B",
        help="Sum shards, rows and bytes over columns of the catalog, such as h12,h11.",
        autocompletion=values_of("column", listed=True),
        rich_help_panel=OUTPUT,
    ),
]

CountShards = Annotated[
    bool, typer.Option("--count", help="Only the number of shards.", rich_help_panel=OUTPUT)
]

Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="A,B",
        help="""Columns of the result; '"a,b"' is one name.""",
        autocompletion=values_of("column", listed=True),
        rich_help_panel=OUTPUT,
    ),
]

Sort = Annotated[
    list[str] | None,
    typer.Option(
        "--sort",
        metavar="A,-B",
        help="""Columns to sort by; - before a name descends, '-"a,b"' is one name, '"-a"' too.""",
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
        help="A statement over the matching rows, as table vacua; columns, order and limit are of "
        "its result.",
        rich_help_panel=OUTPUT,
    ),
]

CountRows = Annotated[
    bool, typer.Option("--count", help="Only the number of rows.", rich_help_panel=OUTPUT)
]

Files = Annotated[
    bool,
    typer.Option(
        "--files",
        help="Only the files of shards that may hold matching rows.",
        rich_help_panel=OUTPUT,
    ),
]

OutputFile = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="A file that appears whole or not at all, its ending says the format; or - for "
        "stdout.",
        callback=file_or_stdout,
        rich_help_panel=OUTPUT,
    ),
]

OutputFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="parquet, csv, ndjson, arrow, json, npz, safetensors or table; by the ending of -o, "
        "else table on a terminal and parquet elsewhere.",
        autocompletion=one_of(_FORMATS),
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
