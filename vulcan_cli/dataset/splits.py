"""Which split a geometry belongs to: a pure function of its id (FORMATS.md, "Splits").

Each geometry draws one number in [0, 1) from SHA-256 over the salt and its id; the number decides.
So all rows of a geometry stand in one split, on every machine, whatever else is in the dataset.
Where geometries are grouped, the id of their group takes the place of their own.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate
from typing import NamedTuple

import polars as pl

from vulcan_cli.dataset.groups import GroupBy, check_group_by, group_ids
from vulcan_cli.errors import UsageError

DEFAULT_SPLITS = ("train", "val", "test")
DEFAULT_FRACTIONS = (0.8, 0.1, 0.1)

# Each is a file, and so many files are what a folder of the Hub may hold.
_MOST_FOLDS = 10_000

# How far the fractions may sum beside 1.
_SUM_TOLERANCE = 1e-6


def uniform(geometry_id: str, *, salt: str = "") -> float:
    """The number that a geometry draws, in [0, 1].

    It is 1.0 itself only for the topmost 2^-54 of all ids, where 64 bits round up to a float.
    """
    return int.from_bytes(sha256(f"{salt}{geometry_id}".encode()).digest()[:8], "big") / 2.0**64


@dataclass(frozen=True, slots=True)
class Splits:
    """Names and sizes of the splits, and the salt that draws them.

    Attributes:
        names: One name for each split, in the order in which the fractions are stacked.
        fractions: The share of geometries wanted in each; non-negative, sum 1.
        salt: Another salt is another draw; the empty one is the default.
        group_by: What stays together: the rows of a geometry, or of all geometries of a polytope.
        frozen: Splits that were written down before, by id of the group; they are not drawn again.

    Raises:
        UsageError: Names and fractions do not make splits, or something is frozen in another.
    """

    names: tuple[str, ...] = DEFAULT_SPLITS
    fractions: tuple[float, ...] = DEFAULT_FRACTIONS
    salt: str = ""
    group_by: GroupBy = "geometry"
    frozen: Mapping[str, str] = field(default_factory=dict, hash=False)
    _bounds: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        # -0.0 is 0.0, and is told so.
        object.__setattr__(self, "fractions", tuple(float(f) + 0.0 for f in self.fractions))
        _check_names(self.names)
        # A salt of Python may be a number, which is hashed as its digits.
        if not _is_utf8(f"{self.salt}"):
            raise UsageError(f"the salt {self.salt!r} is not UTF-8")
        _check_fractions(self.fractions, count=len(self.names))
        object.__setattr__(self, "_bounds", tuple(accumulate(self.fractions)))
        check_group_by(self.group_by)
        for name in sorted({*self.frozen.values()} - {*self.names}):
            raise UsageError(f"{name!r} is frozen, but the splits are {', '.join(self.names)}")

    @classmethod
    def folds(cls, number: int, *, salt: str = "", group_by: GroupBy = "geometry") -> Splits:
        """Splits of one size for cross-validation: `fold0`, `fold1` and so on.

        Raises:
            UsageError: Fewer than two, or more than 10,000.
        """
        if number < 2:
            raise UsageError(f"cross-validation needs at least 2 folds, not {number}")
        if number > _MOST_FOLDS:
            raise UsageError(f"there are at most {_MOST_FOLDS} folds, not {number}")
        names = tuple(f"fold{place}" for place in range(number))
        return cls(names, (1 / number,) * number, salt, group_by)

    def check_name(self, name: str) -> None:
        """Raise UsageError where no split is called `name`."""
        if name not in self.names:
            raise UsageError(f"there is no split {name!r}: choose from {', '.join(self.names)}")

    def of(self, group_id: str) -> str:
        """The split of one group: of a geometry, unless geometries are grouped further."""
        drawn = bisect_right(self._bounds, uniform(group_id, salt=self.salt))
        # The last split takes what rounding leaves over.
        return self.frozen.get(group_id) or self.names[min(drawn, len(self.names) - 1)]

    def of_all(self, group_ids: pl.Series) -> pl.Series:
        """The split of each entry, named `split`; one hash for each distinct group."""
        distinct = group_ids.unique().drop_nulls()
        found = pl.Series(map(self.of, distinct), dtype=pl.String)
        return group_ids.replace_strict(distinct, found, return_dtype=pl.String).alias("split")

    def of_shards(self, shards: pl.DataFrame) -> pl.Series:
        """The split of each shard, named `split`.

        Args:
            shards: A catalog's rows; `geometry_id` and, where they are grouped, keys are read.
        """
        return self.of_all(group_ids(shards, self.group_by))


def assignments(shards: pl.DataFrame, splits: Splits) -> pl.DataFrame:
    """One row per geometry: `geometry_id`, `split`, `n_rows`, in the order of the ids.

    Args:
        shards: A catalog's rows; `geometry_id`, `n_rows` and what `Splits.of_shards` needs.
        splits: How to split them.
    """
    return (
        shards.with_columns(splits.of_shards(shards))
        .group_by("geometry_id")
        .agg(pl.col("split").first(), pl.col("n_rows").sum())
        .sort("geometry_id")
    )


class Share(NamedTuple):
    """What one split received.

    Attributes:
        name: The split.
        wanted: Its fraction, as asked.
        geometries: How many geometries it holds.
        n_rows: How many rows it holds.
        of_rows: Its share of all rows; 0 where there are none at all.
    """

    name: str
    wanted: float
    geometries: int
    n_rows: int
    of_rows: float


def shares(assigned: pl.DataFrame, splits: Splits) -> tuple[Share, ...]:
    """What each split received, in the order of the names, from what `assignments` returns."""
    counted = assigned.group_by("split").agg(pl.len(), pl.col("n_rows").sum()).iter_rows()
    held = {name: (geometries, n_rows) for name, geometries, n_rows in counted}
    total = sum(n_rows for _, n_rows in held.values())
    return tuple(
        Share(name, wanted, geometries, n_rows, of_rows=n_rows / total if total else 0.0)
        for name, wanted in zip(splits.names, splits.fractions, strict=True)
        for geometries, n_rows in [held.get(name, (0, 0))]
    )


def _check_names(names: tuple[str, ...]) -> None:
    if not names:
        raise UsageError("splits need at least one name")
    if "" in names:
        raise UsageError("a split needs a name")
    for place, name in enumerate(names):
        if not _is_utf8(name):
            raise UsageError(f"{name!r} is not UTF-8")
        if name in names[:place]:
            raise UsageError(f"two splits are called {name!r}")


def _is_utf8(text: str) -> bool:
    """Whether a text can be hashed and written: words of a command line may hold any bytes."""
    return not re.search(r"[\ud800-\udfff]", text)


def _check_fractions(fractions: tuple[float, ...], *, count: int) -> None:
    if len(fractions) != count:
        raise UsageError(f"{len(fractions)} fractions for {count} splits: each split needs one")
    for fraction in fractions:
        if not math.isfinite(fraction) or fraction < 0:
            raise UsageError(f"a fraction must be a number from 0 to 1, not {fraction}")
    if abs(sum(fractions) - 1) > _SUM_TOLERANCE:
        raise UsageError(f"the fractions sum to {sum(fractions):.9g}, not to 1")
