"""Rows out: what is written reads back as it was, in every format, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import stat
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.dataset_support import STAGING, listed
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.export import FORMATS, Written, format_of, write_file, write_stream
from vulcan_cli.dataset.features import FeatureSpec
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query
from vulcan_cli.errors import DiskTrouble, UsageError

VACUA = query(Catalog.read(listed(STAGING / "pending")), Filters()).rows
ODD = pl.DataFrame(
    {
        "floats": [1e-300, math.inf, math.nan, None],
        "lists": [[1.5, math.nan, None], [], None, [-math.inf]],
        "text": ['comma, "quote"\r\nline', "", None, "é\U0001f30b"],
        "texts": [['a"b', None], [], None, [""]],
        "large": [2**62 + 1, -1, None, 0],
        "flag": [True, None, False, True],
        "day": [date(2026, 1, 1)] * 4,
        "time": [datetime(2026, 1, 1, 1, 2, 3, 456, tzinfo=UTC)] * 4,
        "pair": [{"a": 1, "b": math.nan}, None, {"a": None, "b": 0.5}, {"a": 3, "b": 1.0}],
    }
)


def written(rows: pl.LazyFrame | pl.DataFrame, file_format: str) -> tuple[bytes, Written]:
    stream = io.BytesIO()
    report = write_stream(rows.lazy(), stream, file_format)
    assert report.n_bytes == len(stream.getvalue())
    return stream.getvalue(), report


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def test_vacua_read_back_as_they_were() -> None:
    rows = VACUA.collect()

    parquet, report = written(VACUA, "parquet")
    assert_frame_equal(pl.read_parquet(io.BytesIO(parquet)), rows)
    assert report == Written(rows.height, len(parquet), 0)

    arrow, _ = written(VACUA, "arrow")
    assert_frame_equal(pl.read_ipc(io.BytesIO(arrow)), rows)

    lines, _ = written(VACUA, "ndjson")
    texts = pl.read_ndjson(io.BytesIO(lines), schema={**rows.schema, "created_at": pl.String()})
    time = pl.col("created_at").str.to_datetime(time_unit="us", time_zone="UTC")
    assert_frame_equal(texts.with_columns(time), rows)


def test_readers_through_pyarrow_see_plain_lists_and_text() -> None:
    data, _ = written(VACUA, "parquet")

    schema = pq.read_schema(pa.BufferReader(data))

    assert schema.field("flux").type == pa.list_(pa.int32())
    assert schema.field("moduli_re").type == pa.list_(pa.float64())
    assert schema.field("run_id").type == pa.string()
    assert schema.field("created_at").type == pa.timestamp("us", "UTC")


def test_readers_through_pyarrow_see_arrays_of_features() -> None:
    data, _ = written(FeatureSpec(["flux"], list_max_len=12).select(VACUA), "parquet")

    table = pq.read_table(pa.BufferReader(data))

    assert table.schema.field("flux").type == pa.list_(pa.int32(), 12)
    assert table["flux"].to_pylist() == VACUA.collect()["flux"].list.head(12).to_list()


def test_csv_is_rfc_4180_with_lists_as_json() -> None:
    data, report = written(ODD, "csv")

    assert data.startswith(b"floats,lists,text,texts,large,flag,day,time,pair\r\n")
    rows = read_csv(data)
    assert [row["text"] for row in rows] == ['comma, "quote"\r\nline', "", "", "é\U0001f30b"]
    assert [row["floats"] for row in rows] == ["1e-300", "inf", "NaN", ""]
    assert [row["lists"] for row in rows] == ["[1.5,null,null]", "[]", "", "[null]"]
    assert [row["texts"] for row in rows] == ['["a\\"b",null]', "[]", "", '[""]']
    assert [row["pair"] for row in rows] == [
        '{"a":1,"b":null}',
        "",
        '{"a":null,"b":0.5}',
        '{"a":3,"b":1.0}',
    ]
    assert [row["large"] for row in rows] == [str(2**62 + 1), "-1", "", "0"]
    assert [row["time"] for row in rows] == ["2026-01-01T01:02:03.000456+0000"] * 4
    assert report.not_finite == 3
    assert report.n_rows == 4


def test_an_empty_text_and_a_null_differ_in_csv() -> None:
    data, _ = written(pl.DataFrame({"a": ["", None], "b": [1, 2]}), "csv")

    assert data == b'a,b\r\n"",1\r\n,2\r\n'


@pytest.mark.parametrize("file_format", ["ndjson", "json"])
def test_json_has_null_for_what_is_no_number_and_says_so(file_format: str) -> None:
    data, report = written(ODD, file_format)

    lines = (
        data.splitlines() if file_format == "ndjson" else [json.dumps(x) for x in json.loads(data)]
    )
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [row["floats"] for row in rows] == [1e-300, None, None, None]
    assert [row["lists"] for row in rows] == [[1.5, None, None], [], None, [None]]
    assert [row["text"] for row in rows] == ODD["text"].to_list()
    assert [row["large"] for row in rows] == ODD["large"].to_list()
    assert rows[0]["pair"] == {"a": 1, "b": None}
    assert report == Written(4, len(data), 5)


@given(
    st.lists(
        st.tuples(
            st.floats(),
            st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        ),
        max_size=6,
    )
)
def test_values_of_csv_and_json_are_unaltered(values: list[tuple[Any, ...]]) -> None:
    rows = pl.DataFrame(
        values,
        schema={"x": pl.Float64, "xs": pl.List(pl.Float64), "s": pl.String},
        orient="row",
    )

    cells = read_csv(written(rows, "csv")[0])
    objects = json.loads(written(rows, "json")[0])

    assert [repr(float(cell["x"])) for cell in cells] == [repr(x) for x, _, _ in values]
    assert [json.loads(cell["xs"] or "null") for cell in cells] == [xs for _, xs, _ in values]
    assert [cell["s"] for cell in cells] == [s or "" for _, _, s in values]
    assert [each["x"] for each in objects] == [
        x if math.isfinite(x) else None for x, _, _ in values
    ]
    assert [each["xs"] for each in objects] == [xs for _, xs, _ in values]
    assert [each["s"] for each in objects] == [s for _, _, s in values]


@pytest.mark.parametrize(
    ("file_format", "data"), [("csv", b"a,b\r\n"), ("ndjson", b""), ("json", b"[]\n")]
)
def test_nothing_is_written_as_nothing(file_format: str, data: bytes) -> None:
    none = pl.DataFrame(schema={"a": pl.Int8, "b": pl.List(pl.Float64)})

    assert written(none, file_format) == (data, Written(0, len(data), 0))


@pytest.mark.parametrize("file_format", ["parquet", "arrow"])
def test_an_empty_result_keeps_its_types(file_format: str) -> None:
    none = VACUA.collect().clear()
    read = {"parquet": pl.read_parquet, "arrow": pl.read_ipc}[file_format]

    assert_frame_equal(read(io.BytesIO(written(none, file_format)[0])), none)


@pytest.mark.parametrize(
    ("file_format", "data"),
    [
        ("csv", b"raw\r\nAAH/\r\n\r\n"),
        ("ndjson", b'{"raw":"AAH/"}\n{"raw":null}\n'),
        ("json", b'[\n{"raw":"AAH/"},\n{"raw":null}\n]\n'),
    ],
)
def test_bytes_are_base64_in_text(file_format: str, data: bytes) -> None:
    rows = pl.DataFrame({"raw": [b"\x00\x01\xff", None]})
    assert written(rows, file_format) == (data, Written(2, len(data), 0))


def stored_as(storage: pa.Array, kind: str = "somebody.s") -> pl.Series:
    """A column of a type of somebody's own, as it comes from a file."""
    field = pa.field("x", storage.type, metadata={"ARROW:extension:name": kind})
    file = io.BytesIO()
    pq.write_table(pa.table([storage], schema=pa.schema([field])), file)
    return pl.read_parquet(file.getvalue())["x"]


# A column, then its cells of CSV, None where one is empty, and its values of JSON.
FORMS: dict[str, tuple[pl.Series, list[str | None], list[Any]]] = {
    "bytes in lists": (
        pl.Series([[b"\xff", None], [], None]),
        ['["/w==",null]', "[]", None],
        [["/w==", None], [], None],
    ),
    "bytes in arrays": (
        pl.Series([[b"a", b"b"], None, [None, b""]], dtype=pl.Array(pl.Binary, 2)),
        ['["YQ==","Yg=="]', None, '[null,""]'],
        [["YQ==", "Yg=="], None, [None, ""]],
    ),
    "bytes in lists of structs": (
        pl.Series([[{"a": [b"a"], "b": 1}, None], [], None]),
        ['[{"a":["YQ=="],"b":1},null]', "[]", None],
        [[{"a": ["YQ=="], "b": 1}, None], [], None],
    ),
    "maps": (
        pl.Series([{"a": 1, "b": None}, {}, None], dtype=pl.Map(pl.String, pl.Int64)),
        ['{"a":1,"b":null}', "{}", None],
        [{"a": 1, "b": None}, {}, None],
    ),
    "maps to bytes": (
        pl.Series([{"a": b"1", "b": None}, {}, None], dtype=pl.Map(pl.String, pl.Binary)),
        ['{"a":"MQ==","b":null}', "{}", None],
        [{"a": "MQ==", "b": None}, {}, None],
    ),
    "maps from numbers": (
        pl.Series([{1: b"1"}, {}, None], dtype=pl.Map(pl.Int64, pl.Binary)),
        ['[{"key":1,"value":"MQ=="}]', "[]", None],
        [[{"key": 1, "value": "MQ=="}], [], None],
    ),
    "maps in lists": (
        pl.Series([[{b"k": 1}, None], [], None], dtype=pl.List(pl.Map(pl.Binary, pl.Int8))),
        ['[[{"key":"aw==","value":1}],null]', "[]", None],
        [[[{"key": "aw==", "value": 1}], None], [], None],
    ),
    "durations": (
        pl.Series([1, -5_000_000_001, None], dtype=pl.Duration("ns")),
        ["PT0.000000001S", "-PT5.000000001S", None],
        ["PT0.000000001S", "-PT5.000000001S", None],
    ),
    "durations in lists": (
        pl.Series([[1000, None], [], None], dtype=pl.List(pl.Duration("ms"))),
        ['["PT1S",null]', "[]", None],
        [["PT1S", None], [], None],
    ),
    "numbers of somebody's own type": (
        stored_as(pa.array([1, None, -3], pa.int8())),
        ["1", None, "-3"],
        [1, None, -3],
    ),
    "bytes of somebody's own type": (
        stored_as(pa.array([b"\xff", b"", None])),
        ["/w==", "", None],
        ["/w==", "", None],
    ),
    "text of a type that Arrow knows": (
        stored_as(pa.array(["{", None, ""]), "arrow.json"),
        ["{", None, ""],
        ["{", None, ""],
    ),
    "arrays of somebody's own type": (
        stored_as(pa.array([[1, 2], None, [3, None]], pa.list_(pa.int32(), 2))),
        ["[1,2]", None, "[3,null]"],
        [[1, 2], None, [3, None]],
    ),
}


def cell(text: str | None) -> str:
    """A cell of CSV; an empty text stands in quotes, and an empty cell is null."""
    if text is None:
        return ""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') or not text else text


@pytest.mark.parametrize("what", FORMS)
def test_every_column_has_a_form_in_text(what: str) -> None:
    """One column that could not be written would end the output of all others."""
    column, cells, values = FORMS[what]
    rows = column.alias("x").to_frame()

    data, report = written(rows, "csv")
    lines = "".join(f"{cell(text)}\r\n" for text in ["x", *cells])
    assert (data.decode(), report.not_finite) == (lines, 0)
    assert [json.loads(line) for line in written(rows, "ndjson")[0].splitlines()] == [
        {"x": value} for value in values
    ]
    assert json.loads(written(rows, "json")[0]) == [{"x": value} for value in values]
    assert written(rows.clear(), "csv")[0] == b"x\r\n"


def test_what_is_no_number_is_counted_also_in_maps() -> None:
    maps = [{"a": 1.5, "b": math.nan}, {}, None, {"c": math.inf}]
    rows = pl.Series("x", maps, dtype=pl.Map(pl.String, pl.Float64)).to_frame()

    data, report = written(rows, "ndjson")

    assert [json.loads(line)["x"] for line in data.splitlines()] == [
        {"a": 1.5, "b": None},
        {},
        None,
        {"c": None},
    ]
    assert report.not_finite == 2


def test_many_rows_keep_their_order() -> None:
    rows = pl.LazyFrame({"n": range(300_000)}).map_batches(lambda frame: frame, streamable=True)

    data, report = written(rows, "ndjson")

    assert [json.loads(line)["n"] for line in data.splitlines()[::1000]] == [
        *range(0, 300_000, 1000)
    ]
    assert report.n_rows == 300_000


def groups_written(rows: pl.DataFrame, row_bytes: int) -> tuple[list[int], list[int]]:
    """Rows of each row group of parquet, and of each record batch of Arrow."""
    files = {}
    for file_format in ("parquet", "arrow"):
        files[file_format] = io.BytesIO()
        write_stream(rows.lazy(), files[file_format], file_format, row_bytes=row_bytes)
    parquet, arrow = pq.ParquetFile(files["parquet"]), pa.ipc.open_file(files["arrow"])
    assert_frame_equal(pl.DataFrame(parquet.read()), rows)
    assert_frame_equal(pl.DataFrame(arrow.read_all()), rows)
    footer = parquet.metadata
    return (
        [footer.row_group(number).num_rows for number in range(footer.num_row_groups)],
        [arrow.get_batch(number).num_rows for number in range(arrow.num_record_batches)],
    )


def test_a_row_group_holds_few_rows_that_are_wide() -> None:
    """Polars holds three groups while it writes."""
    rows = VACUA.collect()
    numbers = rows.select("tau_re", "is_susy", "created_at")
    n_groups, more = divmod(rows.height, 32)
    in_groups, in_one = [32] * n_groups + [more] * (more > 0), [rows.height]

    assert groups_written(rows, row_bytes=1 << 20) == (in_groups, in_groups)
    assert groups_written(rows, row_bytes=300) == (in_one, in_one)
    assert groups_written(numbers, row_bytes=1 << 20) == (in_one, in_one)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_reader_that_went_away_is_a_broken_pipe(file_format: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):
        write_stream(VACUA, stream, file_format)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_full_disk_is_the_disks_trouble(file_format: str) -> None:
    with pytest.raises(DiskTrouble) as trouble:
        write_file(VACUA, Path("/dev/full"), file_format)
    assert str(trouble.value) == "/dev/full: No space left on device"


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_holds_what_a_stream_gets(tmp_path: Path, file_format: str) -> None:
    file = tmp_path / "out"

    report = write_file(VACUA, file, file_format)

    assert (file.read_bytes(), report) == written(VACUA, file_format)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_file_is_as_open_to_others_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "any").touch()

    write_file(VACUA, tmp_path / "out", "csv")

    modes = {stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_query_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    fails = VACUA.select(pl.col("run_id").cast(pl.Int32))

    with pytest.raises(pl.exceptions.PolarsError):
        write_file(fails, file, "csv")

    assert file.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]


def test_an_old_file_is_replaced_and_a_link_to_it_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "out.csv", tmp_path / "link.csv"
    file.write_text("old")
    link.symlink_to(file)

    write_file(pl.LazyFrame({"a": [1]}), link, "csv")

    assert link.readlink() == file
    assert file.read_bytes() == b"a\r\n1\r\n"


def test_a_fifo_is_written_to_as_it_is(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    reader.start()

    write_file(pl.LazyFrame({"a": [1]}), fifo, "csv")

    reader.join()
    assert found == [b"a\r\n1\r\n"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_folder_that_is_not_there_is_the_disks_trouble(tmp_path: Path) -> None:
    with pytest.raises(DiskTrouble) as trouble:
        write_file(VACUA, tmp_path / "none" / "out.csv", "csv")
    assert str(trouble.value) == f"{tmp_path}/none/out.csv: No such file or directory"


@pytest.mark.parametrize(
    ("name", "file_format"),
    [("a.parquet", "parquet"), ("a.CSV", "csv"), ("a.jsonl", "ndjson"), ("a.b.arrow", "arrow")],
)
def test_the_format_follows_from_the_ending(name: str, file_format: str) -> None:
    assert format_of(Path(name)) == file_format


def test_an_unknown_ending_or_format_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^a\.xlsx ends in no known format: choose from \.parq"):
        format_of(Path("a.xlsx"))
    with pytest.raises(UsageError, match=r"^no format is called 'xlsx': choose from parquet, csv"):
        write_stream(VACUA, io.BytesIO(), "xlsx")
