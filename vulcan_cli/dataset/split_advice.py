"""When splits came out otherwise than wanted: which, and another salt that does better.

Hashing deals geometries out like dice. With a few of them a small split is empty more often than
not, and a geometry with many rows outweighs the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from vulcan_cli.dataset.splits import Share, Splits, assignments, shares

SALTS = tuple(map(str, range(1, 33)))
"""Salts that are tried for a better draw."""

# Trying takes a second or so for these; with more geometries, no draw is far off.
_MOST_SHARDS_TRIED = 5_000

# A share of rows is far off by a tenth of all rows, or by half of what was wanted.
_FAR = 0.1
_FAR_OF_WANTED = 0.5


def is_empty(share: Share) -> bool:
    """Whether a split received nothing although it was to."""
    return share.wanted > 0 and share.geometries == 0


def is_far_off(share: Share) -> bool:
    """Whether a split received far more or fewer rows than its fraction."""
    distance = abs(share.of_rows - share.wanted)
    return distance > min(_FAR, _FAR_OF_WANTED * share.wanted)


def off(found: Sequence[Share]) -> tuple[Share, ...]:
    """The splits that came out otherwise than wanted; none where there are no rows at all."""
    if not any(share.n_rows for share in found):
        return ()
    return tuple(share for share in found if is_empty(share) or is_far_off(share))


def better_salt(shards: pl.DataFrame, splits: Splits) -> tuple[str, tuple[Share, ...]] | None:
    """The salt out of `SALTS` with the least rows out of place, and its shares.

    None where none is better than the one at hand, or there are too many shards to try.

    Args:
        shards: A catalog's rows.
        splits: How they are split now.
    """
    if shards.height > _MOST_SHARDS_TRIED:
        return None
    tried = {
        salt: shares(assignments(shards, candidate), candidate)
        for salt in (splits.salt, *SALTS)
        for candidate in [replace(splits, salt=salt)]
    }
    best = min(tried, key=lambda salt: _distance(tried[salt]))
    return None if best == splits.salt else (best, tried[best])


def _distance(found: Sequence[Share]) -> tuple[int, float]:
    """Empty splits, then the part of all rows that is out of place."""
    return sum(map(is_empty, found)), sum(abs(share.of_rows - share.wanted) for share in found)
