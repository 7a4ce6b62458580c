"""`vulcan query`: rows of published shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vulcan_cli.cli.clusters import spread
from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.filters import RowFilters
from vulcan_cli.cli.options.fit import refuse_typed
from vulcan_cli.cli.options.results import (
    Columns,
    CountRows,
    Files,
    Limit,
    OutputFile,
    OutputFormat,
    Revision,
    Scheduler,
    Sort,
    SourcePlace,
    Sql,
)
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.questions import BAD_SHARDS, check_rows_wanted, computing, hand_over, tell_bad
from vulcan_cli.cli.repos import locate_shards
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import UsageError

if TYPE_CHECKING:
    from vulcan_cli.dataset.catalog import Catalog, Progress
    from vulcan_cli.dataset.filters import Filters
    from vulcan_cli.dataset.query import Query
    from vulcan_cli.errors import BadShard

EXAMPLES = (
    Example(
        "All vacua of one polytope: its number counts only beside h11 and h12",
        "vulcan query --h11 3 --h12 2 --ks-id 384564 > out.parquet",
    ),
    Example(
        "Weakly coupled ones, as CSV",
        "vulcan query --h12 2..3 --where 'tau_im > 5 AND is_susy' -o weak.csv",
    ),
    Example("How many there are", "vulcan query --is-susy --count"),
    Example(
        "By a Dask cluster, into part files",
        "vulcan query --is-susy --scheduler tcp://head:8786 -o /shared/susy",
    ),
)
EXIT_CODES = (3, 4, 5, 6)


def query(
    *,
    asked: RowFilters,
    source: SourcePlace = "auto",
    revision: Revision = "main",
    staging_dir: StagingDir = None,
    repo: Repos = None,
    columns: Columns = None,
    sort: Sort = None,
    limit: Limit = None,
    sql: Sql = None,
    count: CountRows = False,
    files: Files = False,
    output: OutputFile = None,
    format_: OutputFormat = None,
    scheduler: Scheduler = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print the vacua that match all filters: a table on a terminal, parquet into a pipe.

    Rows come in the order of their shards' paths in the repo. A row whose shard lacks a column
    that a filter asks for does not match. A shard that cannot be read is skipped and named.
    """
    if sum((count, files, sql is not None)) > 1:
        raise UsageError("--count, --files and --sql go one at a time")
    if count or files:
        check_rows_wanted("--count" if count else "--files", output, format_)
    if files:
        refuse_typed(
            "{} is for rows, and --files prints none",
            {"--columns": columns, "--sort": sort, "--limit": limit},
        )
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(out, staging_dir=staging_dir, repo=repo)
    filters = asked.read(columns=columns, sort=sort, limit=limit)
    if scheduler is not None and (output is None or count or files or sql is not None):
        raise UsageError(
            "--scheduler writes rows into a folder: name it with -o, and no other form"
        )
    found = locate_shards(settings, source, revision, out, filters)
    if scheduler is not None and output is not None:
        bad = spread(scheduler, found.catalog, filters, output, out, wanted=format_)
        tell_bad(out, bad)
        raise typer.Exit(BAD_SHARDS if bad else 0)
    unusable: list[BadShard] = []
    with out.counting("shards") as progress:
        answer = _ask(found.catalog, filters, sql, progress, only_names=count or files)
        if files:
            unusable = _files(answer.shards, filters, out)
        elif count:
            _count(answer, out)
        else:
            width = answer.shards.row_bytes
            hand_over(answer.rows, out, file=output, wanted=format_, row_bytes=width)
    bad = (*answer.bad, *unusable)
    tell_bad(out, bad)
    if bad:
        raise typer.Exit(BAD_SHARDS)


def _ask(
    catalog: Catalog, filters: Filters, sql: str | None, progress: Progress, *, only_names: bool
) -> Query:
    """The answer; with `only_names` no column of it is wanted unless it was named."""
    from vulcan_cli.dataset.query import query as ask  # noqa: PLC0415
    from vulcan_cli.dataset.query import query_sql  # noqa: PLC0415

    if sql is not None:
        return query_sql(catalog, filters, sql, progress=progress, to_write=True)
    return ask(
        catalog, filters, leave_out_clashes=only_names, progress=progress, to_write=not only_names
    )


def _count(answer: Query, out: Output) -> None:
    import polars as pl  # noqa: PLC0415

    number = answer.n_rows
    if number is None:
        with computing():
            number = int(answer.rows.select(pl.len()).collect(engine="streaming").item())
    if out.as_json:
        out.json({"count": number})
    else:
        out.line(str(number))


def _files(shards: Catalog, filters: Filters, out: Output) -> list[BadShard]:
    """Name the files, bringing those of a repo; what cannot be had as a shard is returned."""
    from vulcan_cli.dataset.prune import may_match  # noqa: PLC0415

    wanted = shards.where(may_match(filters))
    unusable = []
    for path, file in zip(wanted.rows["path_in_repo"], wanted.files(), strict=True):
        if not isinstance(file, Path):
            unusable.append(file)
        elif out.as_json:
            out.json({"path_in_repo": path, "file": str(file)})
        else:
            out.line(str(file))
    return unusable
