"""`vulcan catalog`: which shards there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.filters import ShardFilters
from vulcan_cli.cli.options.names import split_names
from vulcan_cli.cli.options.results import (
    By,
    Columns,
    CountShards,
    Limit,
    OutputFile,
    OutputFormat,
    Revision,
    Sort,
    SourcePlace,
)
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.questions import (
    BAD_SHARDS,
    check_rows_wanted,
    computing,
    hand_over,
    is_for_people,
    tell_bad,
)
from vulcan_cli.cli.repos import locate_shards
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import UsageError
from vulcan_cli.quantities import counted, format_size

if TYPE_CHECKING:
    import polars as pl

EXAMPLES = (
    Example("What is there, by Hodge numbers", "vulcan catalog --by h12,h11"),
    Example("The largest shards", "vulcan catalog --sort -bytes --limit 10"),
    Example(
        "Shards that may hold weakly coupled vacua",
        "vulcan catalog --where 'max_tau_im > 5' --json",
    ),
)
EXIT_CODES = (3, 4, 5, 6)

# The first few of these that fit.
_FOR_PEOPLE = ("run_id", "h12", "h11", "ks_id", "n_rows", "bytes", "state", "triang_id", "digest")
_WIDTH = 15


def catalog(
    *,
    by: By = None,
    asked: ShardFilters,
    source: SourcePlace = "auto",
    revision: Revision = "main",
    staging_dir: StagingDir = None,
    repo: Repos = None,
    columns: Columns = None,
    sort: Sort = None,
    limit: Limit = None,
    count: CountShards = False,
    output: OutputFile = None,
    format_: OutputFormat = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print which shards there are: one row each, or sums of shards, rows and bytes.

    A filter on rows leaves the shards that hold at least one such row. Columns min_ and max_ bound
    what a shard holds, where its footer tells; NaN is not counted among the values.
    """
    from vulcan_cli.dataset.inventory import inventory  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    groups = split_names(by) or ()
    if count and groups:
        raise UsageError("--count and --by go one at a time")
    if count:
        check_rows_wanted("--count", output, format_)
    settings = configured(out, staging_dir=staging_dir, repo=repo)
    filters = asked.read(columns=columns, sort=sort, limit=limit)
    found = locate_shards(settings, source, revision, out, filters)
    table, answer = inventory(found.catalog, filters, by=groups)
    if count:
        _count(table, out)
    else:
        short = not groups and columns is None and is_for_people(out, output, format_)
        shown = table.select(_FOR_PEOPLE[: out.width // _WIDTH]) if short else table
        hand_over(shown, out, file=output, wanted=format_)
    if not count and (groups or limit is None) and columns is None:
        _tell_sums(table, out, n_shards="shards" if groups else None)
    tell_bad(out, answer.bad)
    if answer.bad:
        raise typer.Exit(BAD_SHARDS)


def _count(table: pl.LazyFrame, out: Output) -> None:
    with computing():
        number = table.collect().height
    if out.as_json:
        out.json({"count": number})
    else:
        out.line(str(number))


def _tell_sums(table: pl.LazyFrame, out: Output, *, n_shards: str | None) -> None:
    import polars as pl  # noqa: PLC0415

    shards = pl.len() if n_shards is None else pl.col(n_shards).sum()
    sums = table.select(shards.alias("shards"), pl.col("n_rows").sum(), pl.col("bytes").sum())
    n_shards_, n_rows, size = sums.collect().row(0)
    out.say(f"{counted(n_shards_, 'shard')}, {counted(n_rows, 'row')}, {format_size(size)}")
