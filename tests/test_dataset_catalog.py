"""The catalog: what footers say, of good shards and of everything else."""

from __future__ import annotations

import base64
import io
import math
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.dataset_support import STAGING, footer_of, listed, put, vacua
from tests.hostile_parquet import (
    NO_CATEGORIES,
    VIEWS,
    WIDE,
    categories,
    rewritten,
    spelled_longer,
    spread_arrow_schema,
    twins,
    with_arrow_schema,
    with_column,
    with_notes,
)
from vulcan_cli.dataset import footers
from vulcan_cli.dataset.catalog import COLUMNS, SCHEMA, Catalog, Source
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.footers import MEASURED, FooterReader
from vulcan_cli.dataset.query import query
from vulcan_cli.dataset.said import quick, thorough
from vulcan_cli.errors import BadShard
from vulcan_cli.vacua import arrow_ipc, shard

PEERS = [*STAGING.glob("*/*.parquet")]


def reasons(catalog: Catalog) -> list[tuple[str, str]]:
    return [(bad.path.name, bad.reason) for bad in catalog.bad]


def told_by(file: Path) -> tuple[bytes, bytes]:
    """A footer, and the Arrow schema in it."""
    message = pl.read_parquet_metadata(file)[arrow_ipc.KEY]
    return footer_of(file.read_bytes()), base64.b64decode(message)


def test_the_catalog_of_the_peers_folder_is_the_peers_catalog() -> None:
    theirs = pl.read_csv(STAGING.parent / "catalog_synced.csv")

    ours = Catalog.read(listed(STAGING / "synced"))

    assert_frame_equal(ours.rows.select(theirs.columns), theirs)
    assert dict(ours.rows.schema) == {**COLUMNS, SCHEMA: pl.UInt32()}
    assert ours.rows["digest"].null_count() == 4
    assert ours.bad == ()


def test_it_says_where_a_shard_is_and_what_it_holds(tmp_path: Path) -> None:
    source = put(tmp_path, vacua(5, is_susy=True), "a", h11=3, h12=2)

    catalog = Catalog.read([source])

    assert catalog.rows.row(0, named=True) == {
        "path_in_repo": "h12_2/h11_3/bucket_3/run_a.parquet",
        "run_id": "a",
        "geometry_id": "f5872de1ce10c010",
        "h11": 3,
        "h12": 2,
        "ks_id": -1,
        "triang_id": -1,
        "conifold_id": -1,
        "cicy_id": -1,
        "n_rows": 5,
        "schema_version": 1,
        "digest": shard.read_footer(source.file).digest,
        "bytes": source.file.stat().st_size,
        "sha256": None,
        "time": datetime.fromtimestamp(source.file.stat().st_mtime_ns // 1000 / 1e6, UTC),
        "state": "synced",
        "file": str(source.file),
        **dict.fromkeys(f"{end}_{name}" for name in MEASURED for end in ("min", "max")),
        "min_tau_re": 0.25,
        "max_tau_re": 0.25,
        "min_tau_im": 1.0,
        "max_tau_im": 5.0,
        "min_tadpole_charge": 3.0,
        "max_tadpole_charge": 3.0,
        "min_is_susy": 1.0,
        "max_is_susy": 1.0,
        SCHEMA: 0,
    }
    assert catalog.schemas == (pl.read_parquet_schema(source.file),)


def test_shards_stand_in_the_order_of_their_paths(tmp_path: Path) -> None:
    sources = [put(tmp_path, vacua(1), run, h11=3, h12=h12) for h12 in (10, 2) for run in "Bab"]

    paths = Catalog.read(sources).rows["path_in_repo"].to_list()

    assert paths == sorted(source.path_in_repo for source in sources)


def test_of_two_files_of_one_path_the_first_that_is_a_shard_counts(tmp_path: Path) -> None:
    for state in ("bad", "first", "second"):
        (tmp_path / state).mkdir()
    first = put(tmp_path / "first", vacua(1), "a", h11=3, h12=2)
    put(tmp_path / "second", vacua(2), "a", h11=3, h12=2)
    (tmp_path / "bad" / first.file.name).write_bytes(b"")

    catalog = Catalog.read(
        source for state in ("bad", "first", "second") for source in listed(tmp_path / state, state)
    )

    assert catalog.rows.select("state", "n_rows").rows() == [("first", 1)]
    assert reasons(catalog) == [(first.file.name, "unreadable as parquet: no footer at its end")]


def test_no_sources_make_an_empty_catalog() -> None:
    catalog = Catalog.read([])

    assert catalog.rows.is_empty()
    assert dict(catalog.rows.schema) == {**COLUMNS, SCHEMA: pl.UInt32()}


@pytest.mark.parametrize("file", PEERS, ids=lambda file: file.name[-20:])
def test_the_fast_way_reads_what_the_thorough_way_reads(file: Path) -> None:
    seen = FooterReader().read(file)

    assert seen.said == quick(*told_by(file)) == thorough(shard.read_footer(file))
    assert seen.n_rows == pq.read_metadata(file).num_rows
    assert seen.size == file.stat().st_size


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (b'"h11": 3', b'"h11": 3.0'),
        (b'"h11": 3', b'"h11": true'),
        (b'"h11": 3', b'"h11": 2147483648'),
        (b'"h11": 3', b'"h11": -2'),
        (b'"h11": 3', b'"more": 3'),
        (b'"run_id": "a"', b'"run_id": "a__b"'),
        (b'"run_id": "a"', b'"run_id": 7'),
        (b'"n_rows": 1', b'"n_rows": -1'),
        (b'"n_rows": 1', b'"n_rows": true'),
        (b'"schema_version": 1', b'"schema_version": 2'),
        (b'"schema_version": 1', b'"schema_version": true'),
        (b"{", b"["),
        (b"vulcan.digest\x18 ", b"vulcan.digest\x18\x1f"),
    ],
    ids=repr,
)
def test_the_quick_way_leaves_what_is_unusual_to_the_thorough(
    tmp_path: Path, said: bytes, instead: bytes
) -> None:
    source = put(tmp_path, vacua(1), "a", h11=3, h12=2)
    provenance = pl.read_parquet_metadata(source.file)[shard.PROVENANCE_KEY].encode()

    def told(change: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
        """Key-value pairs as a footer spells them, and all of them inside the Arrow schema."""
        length = len(change(provenance))
        pairs = b"\x18\x1dstringforge.vulcan.provenance\x18" + bytes(
            [length & 127 | 128, length >> 7]
        )
        pairs += change(provenance) + b"\x18\x0eschema_version\x18\x011"
        pairs += change(b"\x18\x0dvulcan.digest\x18 " + b"0a" * 16)
        return pairs, pairs

    usual = quick(*told(lambda text: text))
    assert usual == thorough(shard.read_footer(source.file))._replace(digest="0a" * 16)
    assert quick(*told(lambda text: text.replace(said, instead))) is None


def test_what_is_shared_by_shards_is_shared_only_by_those_that_have_it(tmp_path: Path) -> None:
    """One reader over many schemas: nothing of one shard rubs off on another."""
    frames = [vacua(3), vacua(300, mass2=[[1.0]] * 300), vacua(70_000), vacua(1, odd="x")]
    sources = [put(tmp_path, rows, f"r{n}", h11=3, h12=2) for n, rows in enumerate(frames)]
    files = [*(source.file for source in sources), *PEERS] * 2
    reader = FooterReader()

    seen = [reader.read(file) for file in files]

    assert [each.n_rows for each in seen] == [pq.read_metadata(file).num_rows for file in files]
    for each, file in zip(seen, files, strict=True):
        assert reader.schemas[each.schema] == pl.read_parquet_schema(file)


ALIKE_IN_PARQUET = [
    (pa.array([1]), pa.array([1], pa.duration("ms"))),
    (pa.array([1], pa.duration("ns")), pa.array([1], pa.duration("us"))),
    (pa.array([1], pa.timestamp("us", "UTC")), pa.array([1], pa.timestamp("us", "Asia/Tokyo"))),
    (pa.array([[1, 2]], pa.list_(pa.int64())), pa.array([[1, 2]], pa.list_(pa.int64(), 2))),
    (pa.array(["a"]), pa.array(["a"]).dictionary_encode()),
]


@pytest.mark.parametrize("columns", ALIKE_IN_PARQUET, ids=lambda pair: f"{pair[0].type}")
@pytest.mark.parametrize("writer", ["us", "pyarrow"])
def test_columns_that_only_the_arrow_schema_tells_apart_are_told_apart(
    tmp_path: Path, columns: tuple[pa.Array, pa.Array], writer: str
) -> None:
    """A duration of another unit would be read as so many of the first one's, or as a number."""
    files = []
    for number, cells in enumerate((*columns, *columns)):
        column = pl.Series(cells) if writer == "us" else [0]
        source = put(tmp_path, vacua(1, x=column), f"run-{number:0{3 * number + 1}}", h11=3, h12=2)
        if writer == "pyarrow":
            source.file.write_bytes(rewritten(source.file.read_bytes(), with_column("x", cells)))
        files.append(source.file)
    reader = FooterReader()

    seen = [reader.read(file).schema for file in files]

    assert [reader.schemas[number] for number in seen] == [*map(pl.read_parquet_schema, files)]


def test_an_arrow_schema_whose_fields_stand_in_pieces_is_looked_at_each_time(
    tmp_path: Path,
) -> None:
    """All that is in one piece is the same here; what the pieces mean is told behind it."""
    took = pl.Series([1], dtype=pl.Duration("us"))
    source = put(tmp_path, vacua(1, took=took), "a", h11=3, h12=2)
    told = spread_arrow_schema(source.file)
    with_unit, without = struct.pack("<4H", 6, 8, 4, 0), struct.pack("<4H", 6, 8, 0, 0)
    assert told.count(with_unit) == 1
    files = [tmp_path / "micro.parquet", tmp_path / "whole.parquet"]
    for file, message in zip(files, (told, told.replace(with_unit, without)), strict=True):
        file.write_bytes(with_arrow_schema(source.file.read_bytes(), message))
    reader = FooterReader()

    seen = [reader.read(file).schema for file in files]

    units = [reader.schemas[number]["took"] for number in seen]
    assert units == [pl.Duration("us"), pl.Duration("ms")]


def test_the_row_count_is_the_files_own(tmp_path: Path) -> None:
    """A writer that claims other numbers does not make the sums wrong."""
    source = put(tmp_path, vacua(5), "a", h11=3, h12=2)
    table = pq.read_table(source.file)
    pq.write_table(table.slice(0, 2), source.file)

    assert shard.read_footer(source.file).n_rows == 5
    assert Catalog.read([source]).rows["n_rows"].to_list() == [2]


def test_a_footer_longer_than_the_first_read_is_read_whole(tmp_path: Path) -> None:
    wide = {f"column_{number:04}": number for number in range(600)}
    source = put(tmp_path, vacua(2, **wide), "a", h11=3, h12=2)

    catalog = Catalog.read([source])

    assert source.file.stat().st_size > 64 * 1024
    assert catalog.rows["n_rows"].to_list() == [2]
    assert set(wide) <= set(catalog.schemas[0])


def test_bad_shards_are_listed_beside_the_good_ones(tmp_path: Path) -> None:
    good = put(tmp_path, vacua(1), "good", h11=3, h12=2)
    whole = good.file.read_bytes()
    made: dict[str, Callable[[Path], object]] = {
        "cut": lambda path: path.write_bytes(whole[:-20]),
        "empty": lambda path: path.write_bytes(b""),
        "fifo": os.mkfifo,
        "folder": lambda path: path.mkdir(),
        "footer_of_nothing": lambda path: path.write_bytes(b"PAR1" + bytes(50) + b"\x14\0\0\0PAR1"),
        "foreign": lambda path: pl.DataFrame({"x": [1]}).write_parquet(path),
        "other_name": lambda path: shutil.copy(good.file, path),
        # Of what this account may read and its writer perhaps may not.
        "link": lambda path: path.symlink_to(good.file),
    }
    sources = [good]
    for name, make in made.items():
        path = good.path_in_repo.replace("good", name)
        file = tmp_path / f"{name}.parquet"
        make(file)
        sources.append(Source(path, file, "pending"))
    sources.append(Source(good.path_in_repo.replace("good", "gone"), tmp_path / "gone", "pending"))

    catalog = Catalog.read(sources)

    assert catalog.rows["run_id"].to_list() == ["good"]
    assert reasons(catalog) == [
        ("cut.parquet", "unreadable as parquet: no footer at its end"),
        ("empty.parquet", "unreadable as parquet: no footer at its end"),
        ("fifo.parquet", "a FIFO, not a regular file"),
        ("folder.parquet", "a folder, not a regular file"),
        ("footer_of_nothing.parquet", "unreadable as parquet: a footer begins with its version"),
        ("foreign.parquet", "its footer: no provenance in the Arrow schema's metadata"),
        ("other_name.parquet", f"its footer says that it is {good.path_in_repo}"),
        ("link.parquet", "a symbolic link, not a regular file"),
        ("gone", "it is gone since it was listed"),
    ]


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (pa.array([[10**60]], pa.list_(WIDE)), "a decimal number of 70 digits"),
        (twins()[:1], "a struct names two of its fields alike"),
        (pa.array([[]], pa.list_(pa.int64(), 0)), "arrays of no entries"),
        (pa.nulls(1, pa.map_(pa.string(), WIDE)), "a decimal number of 70 digits"),
    ],
)
def test_a_type_that_polars_names_and_cannot_hold_makes_no_shard(
    tmp_path: Path, cells: pa.Array, why: str
) -> None:
    """One such file would end every query, and every sync that keeps a catalog, in a panic."""
    good = put(tmp_path, vacua(1), "good", h11=3, h12=2)
    bad = put(tmp_path, vacua(1), "bad", h11=3, h12=2)
    bad.file.write_bytes(rewritten(bad.file.read_bytes(), with_column("x", cells)))

    catalog = Catalog.read([good, bad])

    assert catalog.rows["run_id"].to_list() == ["good"]
    assert reasons(catalog) == [(bad.file.name, f"unreadable as parquet: {why}")]


@pytest.mark.parametrize(
    ("name", "cells", "pattern"),
    [
        ("*", pa.array([1]), "*"),
        ("^flux$", pa.array([1]), "^flux$"),
        ("x", pa.array([{"*": math.nan}]), "*"),
        ("x", pa.array([[{"a": [{"^.*$": 1}]}]]), "^.*$"),
    ],
)
def test_a_pattern_in_place_of_a_name_makes_no_shard(
    tmp_path: Path, name: str, cells: pa.Array, pattern: str
) -> None:
    """Whoever asks for all columns would ask for some of them twice."""
    good = put(tmp_path, vacua(1), "good", h11=3, h12=2)
    bad = put(tmp_path, vacua(1), "bad", h11=3, h12=2)
    bad.file.write_bytes(rewritten(bad.file.read_bytes(), with_column(name, cells)))

    catalog = Catalog.read([good, bad])

    why = f"{pattern!r} is a pattern for names, no name of a column or field"
    assert catalog.rows["run_id"].to_list() == ["good"]
    assert reasons(catalog) == [(bad.file.name, f"unreadable as parquet: {why}")]


@pytest.mark.parametrize("name", ["^", "$", "a*", "^a", "a$", "**", "$^", ".*", "^a$ "])
def test_a_name_that_only_looks_like_a_pattern_is_one(tmp_path: Path, name: str) -> None:
    source = put(tmp_path, vacua(1, **{name: [1]}), "a", h11=3, h12=2)
    catalog = Catalog.read([source])
    assert query(catalog, Filters(columns=(name,))).rows.collect().to_dict(as_series=False) == {
        name: [1]
    }


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (pa.timestamp("us", "Nowhere"), "there is no time zone 'Nowhere'"),
        (pa.list_(pa.timestamp("ms", "+05:30")), "there is no time zone '+05:30'"),
        *((kind, "a view of lists, which Polars cannot read") for kind in VIEWS),
    ],
)
def test_a_type_over_which_polars_panics_is_no_shard_and_nothing_panics(
    tmp_path: Path, kind: pa.DataType, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = put(tmp_path, vacua(1), "bad", h11=3, h12=2)
    cells = pa.array([None], kind)
    bad.file.write_bytes(rewritten(bad.file.read_bytes(), with_column("x", cells)))

    assert reasons(Catalog.read([bad])) == [(bad.file.name, f"unreadable as parquet: {why}")]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("kind", "like"),
    [
        (pa.timestamp("us", "+05:30"), pa.timestamp("us", "UTC")),
        (pa.list_view(pa.int64()), pa.list_(pa.int64())),
    ],
)
def test_a_type_over_which_polars_panics_is_no_shard_behind_one_that_is_alike_in_parquet(
    tmp_path: Path, kind: pa.DataType, like: pa.DataType, capfd: pytest.CaptureFixture[str]
) -> None:
    sources = [put(tmp_path, vacua(1), name, h11=3, h12=2) for name in ("good", "worse")]
    for source, of in zip(sources, (like, kind), strict=True):
        cells = pa.array([None], of)
        source.file.write_bytes(rewritten(source.file.read_bytes(), with_column("x", cells)))

    catalog = Catalog.read(sources)

    assert query(catalog, Filters(columns=("run_id", "x"))).rows.collect().rows() == [
        ("good", None)
    ]
    assert [bad.path for bad in catalog.bad] == [sources[1].file]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "longer",
    [
        b"\x08\x02\x0cARROW:schema\x18",
        b"\x18\x8c\x00ARROW:schema\x18",
        b"\x18\x8c\x80\x00ARROW:schema\x18",
        b"\x18\x0cARROW:schema\x08\x04",
    ],
)
def test_an_arrow_schema_under_a_key_in_more_bytes_is_no_way_around_what_is_looked_at(
    tmp_path: Path, longer: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = put(tmp_path, vacua(1), "bad", h11=3, h12=2)
    cells = pa.array([None], pa.timestamp("us", "Nowhere"))
    data = rewritten(bad.file.read_bytes(), with_column("x", cells))
    bad.file.write_bytes(spelled_longer(data, longer))

    why = "its Arrow schema is spelled as no writer does"
    assert reasons(Catalog.read([bad])) == [(bad.file.name, f"unreadable as parquet: {why}")]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("notes", NO_CATEGORIES)
def test_categories_that_are_told_wrongly_are_no_shard_and_nothing_panics(
    tmp_path: Path, notes: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    bad = put(tmp_path, vacua(3), "bad", h11=3, h12=2)
    bad.file.write_bytes(rewritten(bad.file.read_bytes(), with_notes(categories(), **notes)))

    assert [bad.path for bad in Catalog.read([bad]).bad] == [bad.file]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Enum(["a", "\u00e9;", ""]),
        pl.Categorical(),
        pl.Categorical(pl.Categories("n;", "of\u00e9", pl.UInt8)),
    ],
)
def test_categories_as_polars_notes_them_are_read(tmp_path: Path, dtype: pl.DataType) -> None:
    source = put(tmp_path, vacua(2), "a", h11=3, h12=2)
    file = io.BytesIO()
    column = pl.Series("x", ["a", None], dtype=dtype)
    pl.read_parquet(source.file).with_columns(column).write_parquet(file)
    own = pq.read_schema(source.file).metadata
    pq.write_table(pq.read_table(file).replace_schema_metadata(own), source.file)

    catalog = Catalog.read([source])

    assert (catalog.bad, catalog.schemas[0]["x"]) == ((), dtype)


def test_metadata_outside_the_arrow_schema_makes_no_shard(tmp_path: Path) -> None:
    """As for the peer: the same pairs, but where its readers do not look."""
    source = put(tmp_path, vacua(1), "a", h11=3, h12=2)
    metadata = pl.read_parquet_metadata(source.file)
    rows = pl.read_parquet(source.file)
    rows.write_parquet(
        source.file, metadata={key: metadata[key] for key in metadata if key != "ARROW:schema"}
    )

    assert reasons(Catalog.read([source])) == [
        (source.file.name, "its footer: no provenance in the Arrow schema's metadata")
    ]


def test_a_lie_beside_the_arrow_schema_is_not_believed(tmp_path: Path) -> None:
    source = put(tmp_path, vacua(1), "a", h11=3, h12=2)
    metadata = pl.read_parquet_metadata(source.file)
    lie = metadata[shard.PROVENANCE_KEY].replace('"run_id": "a"', '"run_id": "b"')
    assert lie != metadata[shard.PROVENANCE_KEY]
    pl.read_parquet(source.file).write_parquet(
        source.file, metadata={**metadata, shard.PROVENANCE_KEY: lie}
    )

    assert FooterReader().read(source.file).said.run_id == "a"


@given(st.data())
def test_a_file_of_any_damage_is_bad_or_read_but_never_raises(data: st.DataObject) -> None:
    whole = bytearray(PEERS[0].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(1, 9000))
        whole[-place] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "damaged.parquet"
        file.write_bytes(whole)
        catalog = Catalog.read([Source("h12_2/h11_3/bucket_3/run_damaged.parquet", file, "x")])

    assert [type(bad) for bad in catalog.bad] == [BadShard]


def test_a_fixed_size_list_of_another_writer_is_one_schema_of_its_own(tmp_path: Path) -> None:
    source = put(tmp_path, vacua(2, extra=[[1.0, 2.0], [3.0, 4.0]]), "a", h11=3, h12=2)
    table = pq.read_table(source.file)
    place = table.schema.get_field_index("extra")
    fixed = table.set_column(place, "extra", table["extra"].cast(pa.list_(pa.float64(), 2)))
    stream = io.BytesIO()
    pq.write_table(fixed, stream)
    other = tmp_path / "other.parquet"
    other.write_bytes(stream.getvalue())
    reader = FooterReader()

    numbers = [reader.read(file).schema for file in (source.file, other)]

    assert numbers == [0, 1]
    assert reader.schemas[1]["extra"] == pl.Array(pl.Float64, 2)


VALUES = {
    "tau_re": st.none() | st.floats(),
    "tadpole_charge": st.none() | st.integers(-(2**31), 2**31 - 1),
    "is_susy": st.none() | st.booleans(),
}


@given(
    st.integers(1, 20).flatmap(
        lambda n: st.fixed_dictionaries(
            {name: st.lists(values, min_size=n, max_size=n) for name, values in VALUES.items()}
        )
    ),
    st.sampled_from(["polars", "pyarrow"]),
    st.integers(1, 3),
)
def test_bounds_are_those_of_the_rows_or_unknown(
    columns: dict[str, list[object]], writer: str, groups: int
) -> None:
    types = {"tau_re": pl.Float64, "tadpole_charge": pl.Int32, "is_susy": pl.Boolean}
    rows = pl.DataFrame(columns, schema=types)
    with tempfile.TemporaryDirectory() as folder:
        source = put(Path(folder), vacua(1), "a", h11=3, h12=2)
        metadata = pq.read_schema(source.file).metadata
        if writer == "polars":
            plain = {key.decode(): value.decode() for key, value in metadata.items()}
            message = arrow_ipc.schema_message(rows.schema, plain)
            rows.write_parquet(
                source.file,
                metadata={arrow_ipc.KEY: message},
                row_group_size=-(-rows.height // groups),
            )
        else:
            table = rows.to_arrow().replace_schema_metadata(metadata)
            pq.write_table(table, source.file, row_group_size=-(-rows.height // groups))
        n_groups = pq.read_metadata(source.file).num_row_groups
        (row,) = Catalog.read([source]).rows.iter_rows(named=True)

    for name in types:
        known = rows[name].drop_nulls()
        known = known.drop_nans() if name == "tau_re" else known
        found = (row[f"min_{name}"], row[f"max_{name}"])
        whole = all(
            not part[name].drop_nulls().is_empty()
            for part in rows.with_row_index()
            .with_columns(pl.col("index") // -(-rows.height // groups))
            .partition_by("index")
        )
        if found != (None, None):
            assert found == (float(known.min()), float(known.max()))  # type: ignore[arg-type]
        elif name != "tau_re":
            assert not whole or n_groups == 0
    assert row["min_W_re"] is None


@pytest.mark.parametrize("slow_s", [0, 3600], ids=["slow", "fast"])
def test_footers_come_in_order_be_the_disk_slow_or_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_s: float
) -> None:
    monkeypatch.setattr(footers, "_SLOW_S", slow_s)
    sources = [put(tmp_path, vacua(1), "a", h11=3, h12=2)]
    for number in range(700):
        file = tmp_path / f"{number}"
        if number % 3:
            os.link(sources[0].file, file)
        elif number % 2:
            file.write_bytes(b"")
        sources.append(Source(f"h12_2/h11_3/bucket_3/run_{number}.parquet", file, "pending"))

    catalog = Catalog.read(sources)

    assert catalog.rows["run_id"].to_list() == ["a"]
    assert reasons(catalog) == [
        (
            str(number),
            f"its footer says that it is {sources[0].path_in_repo}"
            if number % 3
            else "unreadable as parquet: no footer at its end"
            if number % 2
            else "it is gone since it was listed",
        )
        for number in range(700)
    ]
    lasting = [isinstance(bad.__cause__, OSError) for bad in catalog.bad]
    assert lasting == [number % 6 == 0 for number in range(700)]
