"""The sidecar beside a shard: a record of what the peer's program wants to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vulcan_cli.staging.records import RecordError, parse_record, sha256_in, text_of, whole_of


class Sidecar(NamedTuple):
    """What stands in the `.meta.json` beside a shard; the last four only where we wrote it."""

    path_in_repo: str
    run_id: str
    n_rows: int
    provenance: Mapping[str, object]
    sha256: str | None = None
    size: int | None = None
    digest: str | None = None
    staged_by: str | None = None


def parse_sidecar(data: bytes) -> Sidecar:
    """Read the bytes of a sidecar.

    Raises:
        RecordError: It lacks one of the peer's four keys, or some value has the wrong type.
    """
    record = parse_record(data)
    provenance = record.get("provenance")
    if not isinstance(provenance, dict):
        raise RecordError("provenance is no object")
    return Sidecar(
        path_in_repo=text_of(record, "path_in_repo"),
        run_id=text_of(record, "run_id"),
        n_rows=whole_of(record, "n_rows"),
        provenance=provenance,
        sha256=sha256_in(record) if "sha256" in record else None,
        size=whole_of(record, "size") if "size" in record else None,
        digest=text_of(record, "digest") if "digest" in record else None,
        staged_by=text_of(record, "staged_by") if "staged_by" in record else None,
    )
