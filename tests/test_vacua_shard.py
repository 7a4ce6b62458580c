"""One parquet file: written, read back bit for bit, seen by pyarrow, and hostile footers."""

from __future__ import annotations

import base64
import json
import random
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vulcan_cli
from tests.hostile_parquet import many_columns
from tests.strategies import geometries, slugs, vacua
from tests.vacua_support import DATA, GEOMETRY, NOW, REAL, Found, prepared, refused, rows
from vulcan_cli.errors import BadShard
from vulcan_cli.vacua.arrow_ipc import KEY, schema_message
from vulcan_cli.vacua.digest import content_digest
from vulcan_cli.vacua.geometry import KEYS, Geometry, file_name
from vulcan_cli.vacua.inputs import read_file
from vulcan_cli.vacua.prepare import Run, prepare
from vulcan_cli.vacua.schema import DTYPES
from vulcan_cli.vacua.shard import (
    PROVENANCE_KEY,
    Shard,
    digest_of_rows,
    footer_of,
    parse_footer,
    read_footer,
)

PEERS = sorted((DATA / "interop/staging").glob("*/*.parquet"))


def written(shard: Shard) -> bytes:
    file = BytesIO()
    shard.write(file)
    return file.getvalue()


def put(shard: Shard, folder: Path) -> Path:
    path = folder / file_name(shard.path_in_repo)
    path.write_bytes(written(shard))
    return path


@given(vacua(), geometries(), slugs())
def test_round_trip_bit_for_bit(frame: pl.DataFrame, geometry: Geometry, run_id: str) -> None:
    (shard,) = prepare(frame, Run(geometry=geometry, run_id=run_id), now=NOW).shards
    data = written(shard)
    back = pl.read_parquet(BytesIO(data))
    assert (back.schema, back.columns) == (shard.frame.schema, shard.frame.columns)
    assert content_digest(back, geometry) == content_digest(shard.frame, geometry)
    keys = back.select("run_id", "geometry_id", *KEYS).unique().rows()
    assert keys == [(run_id, geometry.geometry_id, *geometry.as_dict().values())]
    footer = footer_of(BytesIO(data), Path("x"))
    assert (footer.run_id, footer.geometry, footer.n_rows, footer.digest) == (
        run_id,
        geometry,
        frame.height,
        shard.digest,
    )
    assert footer.path_in_repo == shard.path_in_repo
    assert footer.provenance == shard.provenance


@given(vacua(), geometries())
def test_pyarrow_sees_the_same_rows_types_and_metadata(
    frame: pl.DataFrame, geometry: Geometry
) -> None:
    (shard,) = prepare(frame, Run(geometry=geometry, run_id="r"), now=NOW).shards
    table = pq.read_table(pa.BufferReader(written(shard)))
    message = schema_message(shard.frame.schema, {})
    assert (
        table.schema.remove_metadata()
        == pq.ParquetFile(pa.BufferReader(written(shard))).schema_arrow.remove_metadata()
    )
    assert table.schema.names == shard.frame.columns
    assert table.schema.types == _types_in(message)
    assert content_digest(pl.DataFrame(table), geometry) == content_digest(shard.frame, geometry)


def _types_in(message: str) -> list[pa.DataType]:
    return list(pa.ipc.read_schema(pa.py_buffer(base64.b64decode(message))).types)


def test_identity_as_pyarrow_and_so_the_peer_sees_it(tmp_path: Path) -> None:
    run = {
        "solver": {"name": "newton", "config_hash": "abc"},
        "provenance": {"git_sha": "d34d", "seed": "42", "wall_clock_s": "3.5", "note": "ä"},
    }
    (shard,) = prepared(rows(), run_id="run-1", **run).shards
    path = put(shard, tmp_path)
    metadata = pq.read_schema(path).metadata
    identity = {
        "schema_version": 1,
        "run_id": "run-1",
        "geometry": GEOMETRY.as_dict(),
        "solver": {"name": "newton", "config_hash": "abc"},
        "provenance": {"git_sha": "d34d", "seed": 42, "wall_clock_s": 3.5, "note": "ä"},
        "n_rows": 2,
    }
    assert json.loads(metadata.pop(PROVENANCE_KEY.encode())) == identity
    assert metadata == {
        b"schema_version": b"1",
        b"vulcan.digest": shard.digest.encode(),
        b"vulcan.digest_without": b"created_at,wall_clock_s",
        b"vulcan.version": vulcan_cli.__version__.encode(),
    }
    beside = pq.read_metadata(path).metadata
    assert {key: beside[key] for key in metadata} == metadata
    assert shard.sidecar() == {
        "path_in_repo": GEOMETRY.path_in_repo("run-1"),
        "run_id": "run-1",
        "n_rows": 2,
        "provenance": identity,
    }
    table = pq.read_table(path)
    assert table.schema.field("flux").type == pa.list_(pa.field("element", pa.int32()))
    assert table.schema.field("run_id").type == pa.string()
    assert table.schema.field("created_at").type == pa.timestamp("us", "UTC")


def test_a_real_shard_is_written_the_same_twice() -> None:
    frame = pl.read_parquet(REAL / "model_h12-2_3_batch3.parquet")
    one, other = (
        prepare(frame, Run(geometry=Geometry(h12=2, ks_id=3)), now=NOW).shards[0] for _ in range(2)
    )
    assert written(one) == written(other)


@pytest.mark.parametrize("path", PEERS, ids=lambda path: path.name[-40:])
def test_shards_of_the_peer(path: Path) -> None:
    sidecar = json.loads(path.with_name(path.name + ".meta.json").read_text())
    footer = read_footer(path)
    assert (footer.path_in_repo, footer.run_id, footer.n_rows) == (
        sidecar["path_in_repo"],
        sidecar["run_id"],
        sidecar["n_rows"],
    )
    assert file_name(footer.path_in_repo) == path.name
    assert footer.provenance == sidecar["provenance"]
    assert (footer.digest, footer.circumstances) == (None, ())
    assert footer.n_rows == pl.read_parquet(path, glob=False).height
    assert digest_of_rows(path) is None
    schema = pl.read_parquet_schema(path)
    assert {name: schema[name] for name in schema if name in DTYPES} == {
        name: dtype for name, dtype in DTYPES.items() if name in schema
    }


# Digests from rows


def test_the_digest_of_rows_is_that_of_the_footer(tmp_path: Path) -> None:
    (shard,) = prepared(rows(note=["a", None]), provenance={"wall_clock_s": 5}).shards
    assert digest_of_rows(put(shard, tmp_path)) == shard.digest


def test_the_digest_of_rows_does_not_believe_the_footer(tmp_path: Path) -> None:
    (shard,) = prepared(rows(), run_id="r").shards
    (other,) = prepared(rows(tau_re=[5.0, 6.0]), run_id="r").shards
    lie = Shard(
        run_id="r",
        geometry=GEOMETRY,
        digest=shard.digest,
        circumstances=shard.circumstances,
        provenance=shard.provenance,
        frame=other.frame,
    )
    path = put(lie, tmp_path)
    assert read_footer(path).digest == shard.digest
    assert digest_of_rows(path) == other.digest


def test_no_column_hides_from_the_digest_by_the_footers_word(tmp_path: Path) -> None:
    """Else a file with a column more would pass for ours."""
    (shard,) = prepared(rows(), run_id="r").shards
    lie = Shard(
        run_id="r",
        geometry=GEOMETRY,
        digest=shard.digest,
        circumstances=(*shard.circumstances, "smuggled"),
        provenance=shard.provenance,
        frame=shard.frame.with_columns(smuggled=pl.lit("x")),
    )
    assert digest_of_rows(put(lie, tmp_path)) is None


@pytest.mark.parametrize("data", [b"", b"PAR1", b"<html></html>" * 100])
def test_what_is_no_shard_has_no_digest(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    assert digest_of_rows(tmp_path / "x") is None


def test_rows_that_cannot_be_read_have_no_digest(tmp_path: Path) -> None:
    data = bytearray(written(prepared(rows(), run_id="r").shards[0]))
    data[4:200] = b"\xff" * 196
    (tmp_path / "x").write_bytes(data)
    assert read_footer(tmp_path / "x").run_id == "r"
    assert digest_of_rows(tmp_path / "x") is None


# Hostile files


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P",
        b"PAR1",
        b"PAR1" * 3,
        b"\0" * 1000,
        b"<!DOCTYPE html><html><body>Not found</body></html>" * 20,
        b"PAR1\x00\x00\x00\x80PAR1",
        b"PAR1" + b"\xff" * 8 + b"PAR1",
        b"PAR1" + b"\x00" * 16 + b"\x10\x00\x00\x00PAR1",
    ],
)
def test_what_is_no_parquet(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(data)
    with pytest.raises(BadShard) as error:
        read_footer(path)
    assert error.value.path == path


def test_p14_a_footer_has_a_hundred_thousand_columns_and_no_more(tmp_path: Path) -> None:
    data = written(prepared(rows(), run_id="r").shards[0])
    assert footer_of(BytesIO(many_columns(data, 99_999)), Path("x")).run_id == "r"
    (tmp_path / "x").write_bytes(many_columns(data, 100_000))
    with pytest.raises(BadShard) as error:
        read_footer(tmp_path / "x")
    why = "its footer has 100001 columns, 100000 are read"
    assert error.value.reason == f"unreadable as parquet: {why}"
    found: list[Found] = [(None, None, None, why)]
    assert refused(lambda: read_file(tmp_path / "x")) == found


def test_an_absent_file_is_no_bad_shard(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_footer(tmp_path / "absent")


GOOD = PEERS[0].read_bytes()
OURS = written(prepared(rows(), run_id="r").shards[0])


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 100, 1000, 2000])
@pytest.mark.parametrize("data", [GOOD, OURS], ids=["peer", "ours"])
def test_a_cut_shard(data: bytes, cut: int) -> None:
    for piece in (data[:-cut], data[cut:]):
        reads_or_is_bad(piece)
    with pytest.raises(BadShard):
        footer_of(BytesIO(data[:-cut]), Path("x"))


def reads_or_is_bad(data: bytes) -> None:
    try:
        footer = footer_of(BytesIO(data), Path("x"))
    except BadShard:
        return
    assert isinstance(footer.geometry, Geometry)
    assert (type(footer.n_rows), footer.schema_version) == (int, 1)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_footers(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from([GOOD, OURS])))
    length = int.from_bytes(raw[-8:-4], "little")
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(len(raw) - 8 - length, len(raw) - 5))
        raw[place] = data.draw(st.integers(0, 255))
    reads_or_is_bad(bytes(raw))


@pytest.mark.parametrize("seed", range(12))
def test_broken_rows_have_no_digest_and_end_no_process(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    path = tmp_path / "x"
    for _ in range(10):
        raw = bytearray(OURS)
        for _ in range(draw.randint(1, 4)):
            raw[draw.randrange(len(raw))] = draw.randrange(256)
        path.write_bytes(raw)
        digest = digest_of_rows(path)
        assert digest is None or re.fullmatch("[0-9a-f]{32}", digest)


@given(st.binary(max_size=300))
def test_random_footers(middle: bytes) -> None:
    reads_or_is_bad(b"PAR1" + middle + len(middle).to_bytes(4, "little") + b"PAR1")


PROVENANCE: dict[str, Any] = {
    "schema_version": 1,
    "run_id": "r",
    "geometry": {
        "h11": 1,
        "h12": -1,
        "ks_id": -1,
        "triang_id": 0,
        "conifold_id": -1,
        "cicy_id": -1,
    },
    "solver": {},
    "provenance": {},
    "n_rows": 3,
}


def metadata(version: str = "1", digest: str | None = None, **said: Any) -> dict[str, str]:
    pairs = {"schema_version": version, PROVENANCE_KEY: json.dumps(PROVENANCE | said)}
    return pairs if digest is None else pairs | {"vulcan.digest": digest}


def with_h11(value: object) -> dict[str, str]:
    return metadata(geometry=PROVENANCE["geometry"] | {"h11": value})


def test_a_footer_of_the_least() -> None:
    footer = parse_footer(metadata())
    assert (footer.run_id, footer.geometry, footer.n_rows) == ("r", Geometry(h11=1, triang_id=0), 3)
    assert (footer.digest, footer.circumstances) == (None, ())


@pytest.mark.parametrize(
    "pairs",
    [
        {},
        {PROVENANCE_KEY: json.dumps(PROVENANCE)},
        {"schema_version": "1", PROVENANCE_KEY: "{"},
        {"schema_version": "1", PROVENANCE_KEY: "[]"},
        {"schema_version": "1", PROVENANCE_KEY: "{}"},
        {"schema_version": "1", PROVENANCE_KEY: "[" * 100_000},
        metadata("2"),
        metadata(schema_version=2),
        metadata(schema_version=True),
        metadata(schema_version=1.0),
        metadata(schema_version=None),
        metadata(n_rows=-1),
        metadata(n_rows=3.0),
        metadata(n_rows=True),
        metadata(n_rows="3"),
        metadata(n_rows=None),
        metadata(run_id=""),
        metadata(run_id="a__b"),
        metadata(run_id="../x"),
        metadata(run_id="r\n"),
        metadata(run_id=5),
        metadata(run_id=None),
        metadata(geometry=None),
        metadata(geometry=[]),
        metadata(geometry={}),
        metadata(geometry={"h11": 1}),
        metadata(geometry=PROVENANCE["geometry"] | {"h21": 1}),
        *map(with_h11, ("1", 1.0, True, None, -2, 2**31, [], 10**400)),
        metadata(geometry=dict.fromkeys(KEYS, -1)),
        metadata(digest=""),
        metadata(digest="A" * 32),
        metadata(digest="0" * 31),
    ],
)
def test_footers_that_say_nothing_we_understand(pairs: dict[str, str], tmp_path: Path) -> None:
    message = schema_message({"x": pl.Int8()}, pairs)
    path = tmp_path / "x.parquet"
    pl.DataFrame({"x": [1]}, schema={"x": pl.Int8}).write_parquet(path, metadata={KEY: message})
    with pytest.raises(BadShard):
        read_footer(path)


def test_metadata_that_the_peer_does_not_see_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(path, metadata=metadata())
    with pytest.raises(BadShard) as error:
        read_footer(path)
    assert error.value.reason == "its footer: no provenance in the Arrow schema's metadata"


def test_a_reason_is_one_short_line(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    message = schema_message({"x": pl.Int64()}, metadata(run_id="a\nb\x1b[2J" * 1000))
    pl.DataFrame({"x": [1]}).write_parquet(path, metadata={KEY: message})
    with pytest.raises(BadShard) as error:
        read_footer(path)
    assert len(error.value.reason) < 250
    assert error.value.reason.isprintable()


def test_reading_the_rows_back_leaves_no_thread_that_could_abort_the_process(
    tmp_path: Path,
) -> None:
    """Arrow's threads, where the process ends while they start, end it with SIGABRT."""
    (shard,) = prepared(rows(1000)).shards
    with (tmp_path / "shard").open("wb") as file:
        shard.write(file)
    script = """
import os, sys
from pathlib import Path
import polars as pl
import pyarrow.parquet
from vulcan_cli.vacua.shard import digest_of_rows

path = Path(sys.argv[1])
pl.DataFrame(pl.read_parquet(path).to_arrow()).write_parquet("/dev/null")  # starts those of Polars
before = set(os.listdir("/proc/self/task"))
print(digest_of_rows(path), len(set(os.listdir("/proc/self/task")) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "shard")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{shard.digest} 0\n"
