"""Several repos as one: each geometry has its home in one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xxhash


def home_of(geometry_id: str, keys: Sequence[str], published: Mapping[str, str]) -> str:
    """The repo that the shards of a geometry belong into.

    A geometry that is published stays where it is. Another goes to the repo of the highest weight,
    XXH3-64 over key, line feed and geometry id (rendezvous hashing): with one repo more, only about
    one geometry in n + 1 has another home than before.

    Args:
        geometry_id: The geometry.
        keys: The keys of the repos, at least one.
        published: Geometry to the key of the repo that holds it, also of repos not in `keys`.
    """
    home = published.get(geometry_id)
    if home is not None and home in keys:
        return home
    return max(keys, key=lambda key: (_weight(key, geometry_id), key))


def _weight(key: str, geometry_id: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{key}\n{geometry_id}".encode())
