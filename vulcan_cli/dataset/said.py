"""What a shard says of itself, read quickly out of a footer that looks like those we know.

`vacua.shard` decides what is a shard; here is only what it would say too, for the many footers that
two writers lay out alike. Whatever looks unusual is left to it.
"""

from __future__ import annotations

from typing import NamedTuple

from vulcan_cli.errors import TemplateError
from vulcan_cli.files.json_text import parse_json
from vulcan_cli.vacua import shard
from vulcan_cli.vacua.geometry import ABSENT, KEYS, LARGEST_KEY, geometry_id_of, path_in_repo_of
from vulcan_cli.vacua.run_id import check_run_id
from vulcan_cli.vacua.schema import SCHEMA_VERSION

_KEYS = frozenset(KEYS)
_HEX = frozenset(b"0123456789abcdef")
_VERSION = str(SCHEMA_VERSION).encode()


class Said(NamedTuple):
    """The identity of a shard.

    Attributes:
        run_id: Its run.
        geometry_id: The id of its geometry.
        keys: The keys of its geometry, in the order of `KEYS`.
        path_in_repo: Where it belongs.
        schema_version: The version of its columns.
        digest: Its content digest; None where another program wrote it.
    """

    run_id: str
    geometry_id: str
    keys: tuple[int, ...]
    path_in_repo: str
    schema_version: int
    digest: str | None


def thorough(footer: shard.Footer) -> Said:
    """What a footer says that was read the slow way."""
    geometry = footer.geometry
    return Said(
        footer.run_id,
        geometry.geometry_id,
        tuple(geometry.as_dict().values()),
        footer.path_in_repo,
        footer.schema_version,
        footer.digest,
    )


def quick(metadata: bytes, inside: bytes) -> Said | None:
    """What the metadata of a parquet file says of a shard; None where that is left to others.

    Args:
        metadata: The metadata.
        inside: The Arrow schema in it, decoded.
    """
    try:
        provenance = _value_of(metadata, _PROVENANCE)
        digest = _value_of(metadata, _DIGEST)
        # What stands beside the Arrow schema counts only where it stands inside too.
        agreed = provenance in inside and digest in inside
        if not agreed or not provenance or _value_of(metadata, _SCHEMA_VERSION) != _VERSION:
            return None
        return _parsed(parse_json(provenance), digest)
    except (IndexError, ValueError, TypeError, KeyError, TemplateError):
        return None


def _parsed(told: dict[str, object], digest: bytes) -> Said | None:
    geometry, run_id, n_rows = told["geometry"], told["run_id"], told["n_rows"]
    if type(geometry) is not dict or geometry.keys() != _KEYS or type(run_id) is not str:
        return None
    keys = tuple([geometry[key] for key in KEYS])
    whole = {type(key) for key in keys} | {type(n_rows), type(told["schema_version"])} == {int}
    if not whole or told["schema_version"] != SCHEMA_VERSION or n_rows < 0:  # type: ignore[operator]
        return None
    if not min(keys) >= ABSENT < max(keys) <= LARGEST_KEY:
        return None
    if digest and (len(digest) != 32 or not _HEX.issuperset(digest)):
        return None
    geometry_id = geometry_id_of(keys)
    path = path_in_repo_of(keys, geometry_id, check_run_id(run_id))
    return Said(run_id, geometry_id, keys, path, SCHEMA_VERSION, digest.decode() or None)


def _field_of(key: str) -> bytes:
    """How a short key of a key-value pair is spelled, and that a value follows."""
    name = key.encode()
    return b"\x18" + bytes([len(name)]) + name + b"\x18"


_PROVENANCE, _SCHEMA_VERSION, _DIGEST = map(
    _field_of, (shard.PROVENANCE_KEY, shard.VERSION_KEY, shard.DIGEST_KEY)
)


def _value_of(metadata: bytes, field: bytes) -> bytes:
    """The value of a key, empty where there is none."""
    place = metadata.find(field)
    if place < 0:
        return b""
    place += len(field)
    length = metadata[place]
    shift = 7
    while length >> shift:
        place += 1
        length += (metadata[place] << shift) - (1 << shift)
        shift += 7
    place += 1
    return metadata[place : place + length]
