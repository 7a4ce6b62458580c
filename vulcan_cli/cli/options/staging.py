"""Options of what goes into the staging directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from vulcan_cli.cli.suggest import one_of
from vulcan_cli.errors import UsageError
from vulcan_cli.quantities import parse_duration

if TYPE_CHECKING:
    from vulcan_cli.vacua.inputs import Format

RUN = "The run"
"""The heading of options that describe a run."""

Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="INPUT", help="Files; - or nothing reads standard input."),
]

_FORMATS = {
    "auto": "look at the first bytes",
    "parquet": "columns by name",
    "csv": "a header, lists as text",
    "ndjson": "a JSON object a line",
    "arrow": "Arrow IPC, file or stream",
    "npz": "numpy arrays fluxes, moduli, taus",
}

InputFormat = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="auto, parquet, csv, ndjson, arrow or npz; auto looks at the first bytes.",
        autocompletion=one_of(_FORMATS),
    ),
]

GeometryTexts = Annotated[
    list[str] | None,
    typer.Option(
        "-g",
        "--geometry",
        metavar="KEY=N,...",
        help="Keys out of h11, h12, ks_id, triang_id, conifold_id, cicy_id; repeatable; "
        "without it, the input's own columns tell.",
        rich_help_panel=RUN,
    ),
]


def one_geometry(texts: Sequence[str] | None) -> str | None:
    """The keys of all that was typed as geometry, in one text; None where nothing was."""
    return ",".join(texts) if texts else None


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
        "--set",
        metavar="NAME=VALUE",
        help="A value for {NAME} of the template.",
        rich_help_panel=RUN,
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
        help="How run ids are made, such as {date}_{project}_seed-{seed?}; ? allows na for no "
        "value; vulcan config shows which counts. [VULCAN_TEMPLATE]",
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
        help="Cut into shards of at most so many rows; those of a pipe are staged as they come.",
        rich_help_panel=RUN,
    ),
]

MaxAge = Annotated[
    str | None,
    typer.Option(
        "--max-age",
        metavar="TIME",
        help="Standard input as a stream: stage what is there once its oldest row is this old, "
        "such as 10m.",
        rich_help_panel=RUN,
    ),
]

Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse lists of another length than h12 calls for, and columns that say another "
        "geometry than --geometry.",
        rich_help_panel=RUN,
    ),
]


def format_of(text: str) -> Format:
    """The format that was typed.

    Raises:
        UsageError: It is none.
    """
    from vulcan_cli.vacua.inputs import Format  # noqa: PLC0415

    if text not in get_args(Format):
        raise UsageError(f"--format is one of {', '.join(get_args(Format))}, not {text!r}")
    return cast("Format", text)


def pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Read `key=value,key=value`.

    Raises:
        UsageError: It is written otherwise, or a key comes twice.
    """
    found: dict[str, str] = {}
    for part in (part for text in texts or () for part in text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{option} is written key=value,key=value, not {part!r}")
        put_once(found, option, key.strip(), value.strip())
    return found


def put_once(found: dict[str, str], option: str, name: str, value: str) -> None:
    """Note what an option says of a name; UsageError where it has said something already."""
    if name in found:
        raise UsageError(f"{option}: {name} is given twice")
    found[name] = value


def longest_wait(max_age: str) -> float:
    """The longest that a row of a stream waits, in seconds.

    Raises:
        UsageError: It is no duration, or none at all.
    """
    seconds = parse_duration(max_age)
    if not seconds:
        raise UsageError("--max-age must be longer than 0 s")
    return seconds
