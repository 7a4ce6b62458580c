"""The rows of a shard once more, under another run id."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from vulcan_cli.errors import BadShard
from vulcan_cli.sync.check import read_checked
from vulcan_cli.vacua.digest import content_digest
from vulcan_cli.vacua.run_id import check_run_id
from vulcan_cli.vacua.shard import Shard


def renamed(fd: int, path: Path) -> Shard:
    """A shard with the rows of another, and a run id that tells that file's bytes.

    Args:
        fd: Descriptor of the other.
        path: What to call it in an error.

    Raises:
        BadShard: It is no sound shard, or its columns are such that we cannot write them.
        TemplateError: Its run id cannot be made longer.
        OSError: It cannot be read.
    """
    footer, sha256, source, _ = read_checked(fd, path)
    run_id = check_run_id(f"{footer.run_id}_{sha256[:16]}")
    try:
        source.seek(0)
        rows = pl.DataFrame(pq.ParquetFile(source).read(use_threads=False))
        digest = content_digest(rows, footer.geometry, leave_out=footer.circumstances)
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise BadShard(path, str(error)) from error
    return Shard(
        run_id=run_id,
        geometry=footer.geometry,
        digest=digest,
        circumstances=footer.circumstances,
        provenance={**footer.provenance, "run_id": run_id},
        frame=rows.with_columns(pl.lit(run_id).alias("run_id")),
    )
