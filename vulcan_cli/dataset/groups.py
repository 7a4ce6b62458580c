"""What must not be torn apart by a split: the rows of a geometry, or all geometries of a polytope.

Triangulations of one polytope are near-twins: a model that saw one in training has seen much of
the other.
"""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from vulcan_cli.errors import UsageError
from vulcan_cli.vacua.geometry import ABSENT, Geometry

GroupBy = Literal["geometry", "polytope"]
"""`geometry`: each alone. `polytope`: all of one `h11`, `h12`, `ks_id`; alone without a `ks_id`."""

POLYTOPE = ("h11", "h12", "ks_id")
"""The keys that name a polytope of the Kreuzer-Skarke list."""


def check_group_by(text: str) -> None:
    """Raise UsageError where geometries cannot be grouped by `text`."""
    if text not in get_args(GroupBy):
        raise UsageError(f"geometries are grouped by {' or '.join(get_args(GroupBy))}, not {text}")


def group_ids(shards: pl.DataFrame, group_by: GroupBy) -> pl.Series:
    """The id of the group of each shard.

    The id of a polytope is the id of the geometry that has its three keys and no other.

    Args:
        shards: A catalog's rows; `geometry_id` is read and, for polytopes, their keys.
        group_by: What belongs together.
    """
    if group_by == "geometry":
        return shards["geometry_id"]
    polytopes = shards.select(POLYTOPE).unique().filter(pl.col("ks_id") != ABSENT)
    ids = [Geometry(**keys).geometry_id for keys in polytopes.iter_rows(named=True)]
    named = polytopes.with_columns(pl.Series("group_id", ids, dtype=pl.String))
    found = shards.join(named, on=POLYTOPE, how="left", maintain_order="left")
    return found.select(pl.coalesce("group_id", "geometry_id")).to_series()


def torn_polytopes(shards: pl.DataFrame, splits: pl.Series) -> int:
    """How many polytopes have geometries in more than one split.

    Args:
        shards: A catalog's rows.
        splits: The split of each.
    """
    held = shards.select(*POLYTOPE, splits.alias("split")).filter(pl.col("ks_id") != ABSENT)
    return (
        held.group_by(POLYTOPE).agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height
    )
