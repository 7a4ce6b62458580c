"""Questions for a Dask cluster: what the commands that take `--scheduler` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vulcan_cli.cli.output import Output
from vulcan_cli.cli.questions import warn_of_nulls
from vulcan_cli.errors import UsageError
from vulcan_cli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vulcan_cli.dataset.catalog import Catalog
    from vulcan_cli.dataset.filters import Filters
    from vulcan_cli.dataset.split_files import SplitFiles
    from vulcan_cli.dataset.split_view import SplitView
    from vulcan_cli.errors import BadShard


def spread(
    scheduler: str,
    catalog: Catalog,
    filters: Filters,
    folder: Path,
    out: Output,
    *,
    wanted: str | None,
) -> Sequence[BadShard]:
    """Let a cluster write the rows into a folder; the shards that were left out.

    Raises:
        UsageError: There is no such format, or what `query_on_cluster` says.
    """
    from vulcan_cli.dataset.cluster import query_on_cluster  # noqa: PLC0415
    from vulcan_cli.dataset.export import FORMATS  # noqa: PLC0415

    if wanted is not None and wanted not in FORMATS:
        raise UsageError(f"a cluster writes {', '.join(FORMATS)}, not {wanted!r}")
    with out.counting("parts") as progress:
        written = query_on_cluster(
            scheduler,
            catalog,
            filters,
            folder,
            file_format=wanted or "parquet",
            progress=progress,
        )
    rows, files = counted(written.n_rows, "row"), counted(len(written.files), "file")
    out.say(f"{rows} in {files} to {folder}")
    warn_of_nulls(written.not_finite, out)
    return written.bad


def spread_splits(
    scheduler: str, view: SplitView, folder: Path, out: Output, file_format: str
) -> tuple[SplitFiles, Sequence[BadShard]]:
    """Let a cluster write the splits into a folder; what it wrote, and the shards left out.

    Raises:
        UsageError: What `split_on_cluster` says.
    """
    from vulcan_cli.dataset.split_cluster import split_on_cluster  # noqa: PLC0415

    with out.counting("parts") as progress:
        return split_on_cluster(scheduler, view, folder, file_format=file_format, progress=progress)
