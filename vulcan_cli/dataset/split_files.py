"""Splits as files: a folder that appears with all of them and `split.json`, or not at all."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl

import vulcan_cli
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.export import write_file
from vulcan_cli.dataset.splits import Splits
from vulcan_cli.errors import DiskTrouble, UsageError
from vulcan_cli.files import Folder, fsync_dir

DESCRIPTION = "split.json"
"""The file that says how the splits were made, so that they can be made again."""


def write_splits(
    folder: Path, splits: Splits, rows: Mapping[str, pl.LazyFrame], shards: Catalog
) -> dict[str, int]:
    """Write one parquet file a split, and `split.json`.

    Args:
        folder: Where; absent, or an empty folder.
        splits: How the geometries were split.
        rows: The rows of each split, by its name.
        shards: The shards they come from.

    Returns:
        The number of rows in each split.

    Raises:
        UsageError: The folder holds something.
        DiskTrouble: The file system refuses; nothing is there then.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there and not empty; splits go to a new or empty folder")
    making = folder.parent / f".{folder.name}.v{secrets.token_hex(8)}"
    try:
        making.mkdir(parents=True)
        counts = {
            name: write_file(frame, making / f"{name}-00000-of-00001.parquet", "parquet").n_rows
            for name, frame in rows.items()
        }
        description = _description(splits, counts, shards)
        (making / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
        fsync_dir(making)
        with Folder.open(folder.parent) as parent:
            parent.rename_over(making.name, parent, folder.name)
            parent.sync()
    except OSError as error:
        raise DiskTrouble(folder, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return counts


def _description(splits: Splits, counts: Mapping[str, int], shards: Catalog) -> dict[str, object]:
    geometries = shards.rows.unique("geometry_id")
    of_split = splits.of_shards(geometries)
    return {
        "vulcan_version": vulcan_cli.__version__,
        "splits": list(splits.names),
        "fractions": list(splits.fractions),
        "salt": splits.salt,
        "group_by": splits.group_by,
        "rows": dict(counts),
        "geometries": {name: int((of_split == name).sum()) for name in splits.names},
        "catalog_sha256": _catalog_digest(shards),
    }


def _catalog_digest(shards: Catalog) -> str:
    """SHA-256 over path, content digest, rows and bytes of every shard, in the order of paths."""
    state = hashlib.sha256()
    for row in shards.rows.select("path_in_repo", "digest", "n_rows", "bytes").iter_rows():
        state.update((json.dumps(row) + "\n").encode())
    return state.hexdigest()
