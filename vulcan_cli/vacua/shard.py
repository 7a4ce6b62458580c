"""One parquet file of one geometry and one run: written, and read back by its footer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import IO, Any, cast

import polars as pl

import vulcan_cli
from vulcan_cli.errors import BadShard, InputRefused, TemplateError
from vulcan_cli.files.json_text import parse_json
from vulcan_cli.other_errors import first_line
from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.digest import CIRCUMSTANCES, content_digest
from vulcan_cli.vacua.geometry import KEYS, Geometry
from vulcan_cli.vacua.nesting import check_nesting
from vulcan_cli.vacua.run_id import check_run_id
from vulcan_cli.vacua.schema import SCHEMA_VERSION
from vulcan_cli.vacua.tail import tail_of

PROVENANCE_KEY = "stringforge.vulcan.provenance"
"""Metadata key of the peer, whose readers look there."""

VERSION_KEY = "schema_version"
DIGEST_KEY = "vulcan.digest"
CIRCUMSTANCES_KEY = "vulcan.digest_without"
WRITER_KEY = "vulcan.version"

# A panic of Rust's is no Exception.
_POLARS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shard:
    """Rows that are ready to be written: conformed, named, of one geometry and one run.

    Attributes:
        run_id: The run.
        geometry: The geometry of all rows.
        digest: Content digest, 32 hex digits.
        circumstances: Columns that the digest leaves out.
        provenance: What the footer and the sidecar tell, ready for JSON.
        frame: The rows with all columns, in their order.
    """

    run_id: str
    geometry: Geometry
    digest: str
    circumstances: tuple[str, ...]
    provenance: Mapping[str, Any]
    frame: pl.DataFrame

    @property
    def path_in_repo(self) -> str:
        """Where the shard will stand in the repo."""
        return self.geometry.path_in_repo(self.run_id)

    @property
    def n_rows(self) -> int:
        """How many vacua it holds."""
        return self.frame.height

    def sidecar(self) -> dict[str, Any]:
        """What stands in the file beside it, in the peer's words."""
        return {
            "path_in_repo": self.path_in_repo,
            "run_id": self.run_id,
            "n_rows": self.n_rows,
            "provenance": dict(self.provenance),
        }

    def write(self, file: IO[bytes]) -> None:
        """Write the parquet file.

        The metadata stands twice: inside the Arrow schema, where readers through pyarrow find
        it, and beside it, where it is read without decoding that schema.

        Raises:
            OSError: The file does not take it.
        """
        metadata = {
            VERSION_KEY: str(SCHEMA_VERSION),
            PROVENANCE_KEY: json.dumps(self.provenance, sort_keys=True),
            DIGEST_KEY: self.digest,
            CIRCUMSTANCES_KEY: ",".join(self.circumstances),
            WRITER_KEY: vulcan_cli.__version__,
        }
        arrow_schema = arrow_ipc.schema_message(self.frame.schema, metadata)
        passing = _Passing(file)
        out = cast("IO[bytes]", passing)
        try:
            self.frame.write_parquet(out, metadata={arrow_ipc.KEY: arrow_schema, **metadata})
        except pl.exceptions.PolarsError:
            if passing.error is not None:
                raise passing.error from None
            raise


class _Passing(RawIOBase):
    """Passes bytes on, and keeps the error of a file that refuses them: Polars loses it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        return len(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What a shard says of itself, read without its rows.

    Attributes:
        run_id: The run.
        geometry: The geometry of all rows.
        n_rows: How many rows it claims to hold.
        schema_version: Version of its columns.
        digest: Content digest, None where another program wrote it.
        circumstances: Columns that the digest leaves out.
        provenance: The whole object that the peer's readers see.
    """

    run_id: str
    geometry: Geometry
    n_rows: int
    schema_version: int
    digest: str | None
    circumstances: tuple[str, ...]
    provenance: Mapping[str, Any]

    @property
    def path_in_repo(self) -> str:
        """Where a shard of this identity belongs."""
        return self.geometry.path_in_repo(self.run_id)


def read_footer(path: Path) -> Footer:
    """Read a shard's identity from its footer.

    Raises:
        BadShard: The file is no parquet, or no shard.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return footer_of(file, path)


def sidecar_of(path: Path) -> dict[str, Any] | None:
    """What belongs into the sidecar of a shard, by its footer; None where it is no shard."""
    try:
        footer = read_footer(path)
    except BadShard:
        return None
    return {
        "path_in_repo": footer.path_in_repo,
        "run_id": footer.run_id,
        "n_rows": footer.n_rows,
        "provenance": dict(footer.provenance),
    }


def digest_of_rows(path: Path) -> str | None:
    """The content digest of a shard, from its rows and not from what its footer claims.

    None where that cannot be had: no shard, or one of another program.

    Raises:
        OSError: The file cannot be read, or there is too little memory.
    """
    # Polars ends the whole process over some broken pages, and this file may be anyone's.
    import pyarrow as pa  # noqa: PLC0415 - only where a name is taken already

    from vulcan_cli.vacua.unpacked import is_of_the_system, opened, within_limits  # noqa: PLC0415

    with path.open("rb") as file:
        try:
            footer = footer_of(file, path)
            # A file that names more columns could hide some from the comparison.
            if footer.digest is None or not CIRCUMSTANCES.issuperset(footer.circumstances):
                return None
            source = pa.PythonFile(file, mode="r")
            with opened(source, path) as parquet:
                within_limits(parquet.metadata, source, source.size())
                # Threads that still start when the process ends would abort it.
                rows = pl.DataFrame(parquet.read(use_threads=False))
        except (BadShard, *_POLARS) as error:
            if is_of_the_system(error.__cause__):
                raise error.__cause__ from None
            return None
    return content_digest(rows, footer.geometry, leave_out=footer.circumstances)


def footer_of(file: IO[bytes], path: Path) -> Footer:
    """Read the footer of an open file.

    Args:
        file: Open for reading, seekable.
        path: What to call it in an error.

    Raises:
        BadShard: The file is no parquet, or no shard.
    """
    try:
        tail = tail_of(file)
        check_nesting(tail)
        metadata = pl.read_parquet_metadata(BytesIO(tail))
    except (*_POLARS, OSError, ValueError) as error:
        raise BadShard(path, f"unreadable as parquet: {first_line(error)[:200]}") from error
    try:
        return parse_footer(_seen_by_arrow(metadata))
    except (ValueError, TypeError, KeyError) as error:
        raise BadShard(path, f"its footer: {first_line(error)[:200]}") from error


def parse_footer(metadata: Mapping[str, str]) -> Footer:
    """Make sense of a shard's metadata.

    Raises:
        ValueError, TypeError, KeyError: It says nothing that we understand.
    """
    if PROVENANCE_KEY not in metadata:
        raise ValueError("no provenance in the Arrow schema's metadata")
    provenance = parse_json(metadata[PROVENANCE_KEY])
    version = provenance["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ValueError(f"schema version {version!r}, we know {SCHEMA_VERSION}")
    beside = metadata.get(VERSION_KEY)
    if beside != str(SCHEMA_VERSION):
        raise ValueError(f"schema version {beside!r}, we know {SCHEMA_VERSION}")
    n_rows = provenance["n_rows"]
    if not isinstance(n_rows, int) or isinstance(n_rows, bool) or n_rows < 0:
        raise ValueError(f"n_rows is {n_rows!r}")
    return Footer(
        run_id=_run_id(provenance["run_id"]),
        geometry=_geometry(provenance["geometry"]),
        n_rows=n_rows,
        schema_version=SCHEMA_VERSION,
        digest=_digest(metadata.get(DIGEST_KEY)),
        circumstances=tuple(filter(None, metadata.get(CIRCUMSTANCES_KEY, "").split(","))),
        provenance=provenance,
    )


def _seen_by_arrow(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """The metadata that readers through pyarrow see: that inside the Arrow schema."""
    message = metadata.get(arrow_ipc.KEY)
    if message is None:
        raise ValueError("no Arrow schema")
    return arrow_ipc.schema_metadata(message)


def _geometry(keys: object) -> Geometry:
    if not isinstance(keys, dict) or set(keys) != set(KEYS):
        raise ValueError("geometry is not the six keys")
    if any(type(value) is not int for value in keys.values()):
        raise ValueError("geometry keys are not all integers")
    try:
        return Geometry(**keys)
    except InputRefused as refusal:
        raise ValueError(f"geometry: {refusal}") from refusal


def _run_id(run_id: object) -> str:
    if not isinstance(run_id, str):
        raise TypeError("run_id is not text")
    try:
        return check_run_id(run_id)
    except TemplateError as error:
        raise ValueError(str(error)) from error


def _digest(text: str | None) -> str | None:
    if text is not None and (len(text) != 32 or set(text) - set("0123456789abcdef")):
        raise ValueError("digest is not 32 hex digits")
    return text
