"""What solvers write, as a frame: formats by their first bytes, a stranger's CSV, odd columns."""

from __future__ import annotations

import json
import os
import threading
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.vacua_support import REAL, Found, prepared, refused, rows
from vulcan_cli.errors import InputRefused, UsageError
from vulcan_cli.vacua import inputs
from vulcan_cli.vacua.casts import flatten

VACUA = pl.read_parquet(REAL / "model_h12-2_1_batch0.parquet")


def read(data: bytes | str, format: inputs.Format = "auto") -> pl.DataFrame:  # noqa: A002
    raw = data.encode() if isinstance(data, str) else data
    return inputs.read_bytes(raw, format, name="in").frame


def faults(data: bytes | str, format: inputs.Format = "auto") -> list[Found]:  # noqa: A002
    return refused(lambda: read(data, format))


def written(write: str, **options: Any) -> bytes:
    file = BytesIO()
    getattr(VACUA, write)(file, **options)
    return file.getvalue()


def test_a_time_zone_that_is_none_is_refused_and_nothing_panics(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in.parquet"
    none = [None] * len(VACUA)
    table = VACUA.to_arrow()
    for name, kind in {
        "x": pa.timestamp("us", "Nowhere"),
        "good": pa.timestamp("us", "+02:00"),
        "in lists": pa.list_(pa.struct({"x": pa.int8(), "y": pa.timestamp("ms", "+05:30")})),
    }.items():
        table = table.append_column(name, pa.array(none, kind))
    pq.write_table(table, file)

    found: list[Found] = [
        ("x", None, None, "there is no time zone 'Nowhere': write its times in UTC"),
        ("in lists", None, None, "there is no time zone '+05:30': write its times in UTC"),
    ]
    assert refused(lambda: inputs.read_file(file).frame) == found
    assert faults(file.read_bytes()) == found
    assert capfd.readouterr() == ("", "")


# Formats


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (written("write_parquet"), "parquet"),
        (written("write_ipc"), "arrow"),
        (written("write_ipc_stream"), "arrow"),
        (written("write_ndjson"), "ndjson"),
        (b"\xef\xbb\xbf" + written("write_ndjson"), "ndjson"),
        (b"\n  " + written("write_ndjson"), "ndjson"),
    ],
)
def test_a_format_is_told_by_its_first_bytes(
    data: bytes,
    format: inputs.Format,  # noqa: A002
    tmp_path: Path,
) -> None:
    file = tmp_path / "no ending"
    file.write_bytes(data)
    assert read(data).equals(VACUA)
    assert read(data, format).equals(VACUA)
    assert inputs.read_file(file).frame.equals(VACUA)
    assert inputs.read_file(file, format).frame.equals(VACUA)


def test_the_csv_twin_tells_the_same_rows() -> None:
    twin = inputs.read_file(REAL / "model_h12-2_1_batch0.csv").frame
    (from_csv,), (from_parquet,) = prepared(twin).shards, prepared(VACUA).shards
    assert from_csv.frame.equals(from_parquet.frame)


@pytest.mark.parametrize("csv", ["model_h12-2_1_batch0.csv", "model_h12-2_1_batch0.parquet"])
def test_a_pipe_is_read_once(csv: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = (REAL / csv).read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    frame = inputs.read_file(pipe).frame
    writer.join()
    assert frame.equals(inputs.read_file(REAL / csv).frame)


def test_a_name_with_wildcards_is_a_name(tmp_path: Path) -> None:
    for name in ("a*.parquet", "ab.parquet", "[x]=1.parquet"):
        (tmp_path / name).write_bytes(written("write_parquet"))
    assert inputs.read_file(tmp_path / "a*.parquet").frame.equals(VACUA)
    assert inputs.read_file(tmp_path / "[x]=1.parquet").frame.equals(VACUA)


def test_hive_folders_add_no_columns(tmp_path: Path) -> None:
    folder = tmp_path / "h12=5"
    folder.mkdir()
    (folder / "x.parquet").write_bytes(written("write_parquet"))
    assert inputs.read_file(folder / "x.parquet").frame.columns == VACUA.columns


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the input is empty"),
        (b" \n \n", "the input is empty"),
        (b"[]", "looks like json"),
        (b"\x1f\x8b\x08rest", "looks like gzip"),
        (b"\x89HDF\r\n", "looks like HDF5"),
        (b"\x93NUMPY\x01\x00", "looks like npy"),
        (b"\x80\x04\x95", "looks like a pickle"),
        (b"BZh9", "looks like bzip2"),
        (b"\xfd7zXZ\x00", "looks like xz"),
        (b"\x28\xb5\x2f\xfd\x04", "looks like zstd"),
        ("a,b\n1,2\n".encode("utf-16"), "looks like UTF-16 text"),
    ],
)
def test_what_is_not_read_is_called_by_its_name(data: bytes, message: str) -> None:
    known = ", which is not read here; parquet, csv, ndjson, arrow, npz are"
    expected = message if message.endswith("empty") else message + known
    assert faults(data) == [(None, None, None, expected)]


@pytest.mark.parametrize(
    ("data", "format", "message"),
    [
        (written("write_parquet"), "arrow", "looks like parquet, not like arrow"),
        (written("write_parquet"), "ndjson", "looks like parquet, not like ndjson"),
        (written("write_ipc"), "npz", "looks like arrow, not like npz"),
        (written("write_parquet"), "csv", "looks like parquet, not like csv"),
        (written("write_ipc_stream"), "csv", "looks like arrow, not like csv"),
        (written("write_ndjson"), "parquet", "looks like ndjson, not like parquet"),
        (
            b"\x1f\x8b\x08rest",
            "csv",
            "looks like gzip, which is not read here; parquet, csv, ndjson, arrow, npz are",
        ),
    ],
)
def test_another_format_than_the_one_that_is_said(
    data: bytes,
    format: inputs.Format,  # noqa: A002
    message: str,
    tmp_path: Path,
) -> None:
    file = tmp_path / "in"
    file.write_bytes(data)
    assert faults(data, format) == [(None, None, None, message)]
    assert refused(lambda: inputs.read_file(file, format)) == [(None, None, None, message)]


def test_text_may_begin_as_other_formats_do() -> None:
    assert read("PAR1,b\n1,2\n", "csv").to_dict(as_series=False) == {"PAR1": [1], "b": [2]}
    assert read("{x},b\n1,2\n", "csv").to_dict(as_series=False) == {"{x}": [1], "b": [2]}
    assert read("{τ},b\n1,2\n", "csv").to_dict(as_series=False) == {"{τ}": [1], "b": [2]}
    assert read(" " * 9 + "a,b\n1,2\n", "csv").to_dict(as_series=False) == {"a": [1], "b": [2]}
    assert faults('[info] begun\n{"a": 1}\n', "ndjson") == [
        (None, 1, None, "is no JSON object: Expecting value: line 1 column 2 (char 1)")
    ]


@pytest.mark.parametrize("length", [100, 5000, -100])
@pytest.mark.parametrize("write", ["write_parquet", "write_ipc", "write_ipc_stream"])
def test_a_cut_file_is_refused(write: str, length: int, tmp_path: Path) -> None:
    file = tmp_path / "cut"
    file.write_bytes(written(write)[:length])
    with pytest.raises(InputRefused) as refusal:
        inputs.read_file(file)
    assert [problem.source for problem in refusal.value.problems] == [str(file)]


def test_the_systems_own_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inputs.read_file(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        inputs.read_file(tmp_path)


# Arrow


IN_UTC = ": write its times in UTC"


@pytest.mark.parametrize("write", [pa.ipc.new_stream, pa.ipc.new_file])
def test_arrow_columns_that_cannot_be_read_are_named_and_nothing_panics(
    write: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    views = pa.array([[1], [2]], pa.list_view(pa.int32()))
    table = pa.Table.from_arrays(
        [
            pa.array([1, 2]),
            views,
            pa.StructArray.from_arrays([views], ["inside"]),
            pa.RunEndEncodedArray.from_arrays([2], pa.array([7])),
            pa.array([1, 2], pa.timestamp("us", "+05:30")),
            pa.array([[1], [2]], pa.list_(pa.timestamp("s", "Nowhere"))),
            pa.array([1, 2], pa.timestamp("us", "+02:00")),
            pa.array([1, 2], pa.decimal256(50)),
            pa.StructArray.from_arrays([pa.array([1, 2])] * 2, ["a", "a"]),
            pa.array([1, 2]),
        ],
        ["x", "views", "deep", "runs", "when", "whens", "good", "long", "twins", "x"],
    )
    out = BytesIO()
    with write(out, table.schema) as writer:
        writer.write_table(table)
    found: list[Found] = [
        ("x", None, None, "column stands there twice"),
        ("views", None, None, "list_view<item: int32> is not read here"),
        ("deep", None, None, "struct<inside: list_view<item: int32>> is not read here"),
        ("runs", None, None, "run_end_encoded<run_ends: int64, values: int64> is not read here"),
        ("when", None, None, f"timestamp[us, tz=+05:30] is not read here{IN_UTC}"),
        ("whens", None, None, f"list<item: timestamp[s, tz=Nowhere]> is not read here{IN_UTC}"),
        ("long", None, None, "decimal256(50, 0) is not read here"),
        ("twins", None, None, "struct<a: int64, a: int64> is not read here"),
    ]
    assert faults(out.getvalue()) == found
    assert capfd.readouterr() == ("", "")


# CSV


@pytest.mark.parametrize(
    "text",
    [
        'flux,tau_re,note\n"[1, -2]",0.5,a\n',
        '\ufeffflux,tau_re,note\n"[1, -2]",0.5,a\n',
        ' flux , tau_re ,  note\n"[1, -2]",0.5,a\n',
        '"flux","tau_re","note"\n"[1, -2]","0.5","a"\n',
        'flux, "tau_re", "note"\n"[1, -2]",0.5,a\n',
        'flux,tau_re,note\r\n"[1, -2]",0.5,a\r\n',
        'flux,tau_re,note\n"[1, -2]",0.5,a',
        'flux,tau_re,note\n"[1, -2]",0.5,a\n\n\r\n\n',
        '\n\nflux,tau_re,note\n"[1, -2]",0.5,a\n',
        'flux,tau_re,note\n\n"[1, -2]",0.5,a\n',
        '# by a solver, of 2026\n\n# in "units"\nflux,tau_re,note\n"[1, -2]",0.5,a\n',
        "sep=;\r\nflux;tau_re;note\r\n[1, -2];0.5;a\r\n",
        'flux, tau_re, note\n"[1, -2]", 0.5, a\n',
        '"flux", "tau_re", "note"\n"[1, -2]", "0.5", "a"\n',
        ',flux,tau_re,note\n7,"[1, -2]",0.5,a\n',
        'flux,tau_re,note,\n"[1, -2]",0.5,a,\n',
        "flux|tau_re|note\n[1, -2]|0.5|a\n",
        "flux;tau_re;note\n[1, -2];0.5;a\n",
        "flux\ttau_re\tnote\n[1, -2]\t0.5\ta\n",
        '"flux"\t"tau_re"\t"note"\r\n"[1, -2]"\t0.5\ta\r\n',
    ],
)
def test_csv_as_people_write_it(text: str) -> None:
    frame = pl.DataFrame({"flux": ["[1, -2]"], "tau_re": ["0.5"], "note": ["a"]})
    assert read(text, "csv").equals(frame)


@pytest.mark.parametrize(
    "text", ["[1, -2]", "1 -2", "[1 -2]", "[ 1\n -2]", "[1.0, -2.0]", "1,-2", "(1, -2)", "{1 , -2}"]
)
def test_csv_lists(text: str) -> None:
    frame = read(f'flux,x\n"{text}",1\n')
    assert flatten(frame["flux"]).lists.to_list() == [[1.0, -2.0]]


def test_a_cell_over_several_lines_and_a_name_too() -> None:
    frame = read('"two\nlines",flux\n"a\nb","[1]"\n"c""d","[2]"\n')
    assert frame.to_dict(as_series=False) == {
        "two\nlines": ["a\nb", 'c"d'],
        "flux": ["[1]", "[2]"],
    }


def test_missing_cells_are_null_and_known_numbers_are_so_where_quoted_too() -> None:
    frame = read('tau_re,solver_name,note,n\n,,,\n"","","",""\n1,x,y,2\n')
    assert frame.to_dict(as_series=False) == {
        "tau_re": [None, None, "1"],
        "solver_name": [None, "", "x"],
        "note": [None, "", "y"],
        "n": [None, "", "2"],
    }


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2", ""], [1, -2, None]),
        (["1", "2.5", "1e-3", "nan"], [1.0, 2.5, 0.001, float("nan")]),
        (["true", "False", ""], [True, False, None]),
        (["007", "1"], ["007", "1"]),
        ([" 7", "12 ", "+3"], [7, 12, 3]),
        ([" 007", "1 "], [" 007", "1 "]),
        ([" 9007199254740993", ""], [9007199254740993, None]),
        (["9007199254740993 ", " 1.5"], ["9007199254740993 ", " 1.5"]),
        ([" true", "False "], [True, False]),
        (["1", "2", "x"], ["1", "2", "x"]),
        (["12345678901234567890"], ["12345678901234567890"]),
        (["9007199254740993", "1.5"], ["9007199254740993", "1.5"]),
        (["12e4567"], ["12e4567"]),
        (["0x10"], ["0x10"]),
        (["1_000"], ["1_000"]),
        (["2026-06-01"], ["2026-06-01"]),
        (["", ""], [None, None]),
        (["2\x00"], ["2\x00"]),
    ],
)
def test_foreign_columns_become_numbers_only_where_nothing_is_lost(
    cells: list[str], values: list[Any]
) -> None:
    frame = read("x,flux\n" + "".join(f"{cell},1\n" for cell in cells))
    assert frame["x"].equals(pl.Series(values, dtype=pl.String if values == [None] * 2 else None))


def test_seeds_in_csv_keep_every_digit() -> None:
    lines = ["flux,moduli_re,moduli_im,tau_re,tau_im,seed,tadpole_charge"]
    lines += [f'"{list(range(12))}","[1, 2]","[1, 2]",0,1,{seed},3' for seed in (2**63 - 1, 5)]
    (shard,) = prepared(read("\n".join(lines))).shards
    assert shard.frame["seed"].to_list() == [2**63 - 1, 5]


STRAY = "is no CSV: a quote stands within a cell that is not in quotes"
NAMELESS = "the first line must name the columns, and not in a comment"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("flux,a,flux,a\n1,2,3,4\n", [
            ("a", None, None, "column stands there twice"),
            ("flux", None, None, "column stands there twice"),
        ]),
        ("flux, flux \n1,2\n", [("flux", None, None, "column stands there twice")]),
        ("a,b\n1,2\n3\n4,5\n6\n", [
            (None, 2, None, "has 1 cells where the header has 2"),
            (None, 4, None, "has 1 cells where the header has 2"),
        ]),
        ("a,b\n1,2\n3", [(None, 2, None, "has 1 cells where the header has 2")]),
        ("a,b\n1,2\n3,4,5\n", [(None, 2, None, "has 3 cells where the header has 2")]),
        ("flux,b\n[1, 2],2\n", [(None, 1, None, "has 3 cells where the header has 2; "
            "a list with commas in it stands in quotes")]),
        ("1.0e+00,2.0e+00\n3,4\n", [(None, None, "1.0e+00 2.0e+00", NAMELESS)]),
        ("# flux tau_re\n1.5 2.5\n3 4\n", [(None, None, "1.5 2.5", NAMELESS)]),
        ("# nothing\n\n", [(None, None, None, "there is no header")]),
        ('a, b\n"1", "2"\n3\n', [(None, 2, None, "has 1 cells where the header has 2")]),
        ('a,b\n"1,2\n', [(None, 1, None, "is no CSV: unexpected end of data")]),
        ('a,b\n1,5" tape\n2,x "y" z\n3,6" tape\n4,5\n', [
            (None, 1, None, STRAY), (None, 3, None, STRAY)
        ]),
        ('a,b,c\n"",6" tape,5" tape\n' + "2,3,4\n" * 20, [(None, 1, None, STRAY)]),
        ('a;b\n"x;""";5" tape\n"2\n";3\n', [(None, 1, None, STRAY)]),
        ('a,b\n1,2\n3,"4" 5\n', [(None, 2, None, """is no CSV: ',' expected after '"'""")]),
    ],
)  # fmt: skip
def test_csv_that_is_refused(text: str, found: list[Found]) -> None:
    assert faults(text) == found


def test_many_uneven_rows_are_counted() -> None:
    found = faults("a,b\n" + "1\n" * 50)
    named: list[Found] = [
        (None, row, None, "has 1 cells where the header has 2") for row in range(1, 21)
    ]
    assert found == [*named, (None, None, None, "30 more rows cannot be read")]


def test_a_last_column_of_missing_cells_is_not_short() -> None:
    frame = read('a,note\n1,\n"x,\ny",\n')
    assert frame.rows() == [("1", None), ("x,\ny", None)]


@pytest.mark.parametrize("header", ["a,b", "a, b"])
def test_rows_that_are_not_utf_8_are_named(header: str) -> None:
    text = f"{header}\n1,ä\n2,ö\n\n3,\n".replace("ö", "\udcf6")
    found: list[Found] = [(None, 2, None, "is not UTF-8")]
    assert faults(text.encode(errors="surrogateescape")) == found


@pytest.mark.parametrize("data", [b"a\xff,b\n1,2\n", b"a\rb\r1\r"])
def test_bytes_that_are_no_csv_are_refused(data: bytes) -> None:
    with pytest.raises(InputRefused) as refusal:
        read(data)
    assert [problem.source for problem in refusal.value.problems] == ["in"]


def test_empty_lines_are_no_rows_but_in_quotes() -> None:
    frame = read('a,note\n\n1,"x\n\ny"\n  \n\r\n2,z\n')
    assert frame.rows() == [(1, "x\n\ny"), (2, "z")]


@pytest.mark.parametrize("index", [[0, 1], [5, 9], [-3, 2**40], [None, None]])
def test_what_only_counts_the_rows_is_left_out(index: list[int | None]) -> None:
    """Pandas writes its index so."""
    assert read(numbered(index)).columns == rows().columns


@pytest.mark.parametrize("index", [[1, 0], [1, 1], [0.5, 1.5], ["a", "b"], [0, None]])
def test_another_column_without_a_name_is_refused(index: list[Any]) -> None:
    found = refused(lambda: prepared(read(numbered(index))))
    assert found == [(None, None, None, "column 1 has no name; an index is best left out")]


def numbered(index: list[Any]) -> str:
    text = rows().with_columns(
        pl.col("flux", "moduli_re", "moduli_im").cast(pl.List(pl.String)).list.join(" ")
    )
    return text.insert_column(0, pl.Series("", index)).write_csv()


@pytest.mark.parametrize("word", ["NA", "N/A", "null", "NULL", "None", '""', ""])
def test_words_for_missing_numbers_are_null_but_in_text(word: str) -> None:
    frame = read(f"residual,tags\n{word},{word}\n1,x\n")
    assert frame["residual"].to_list() == [None, "1"]
    assert frame["tags"].to_list() == [{"": None, '""': ""}.get(word, word), "x"]


def test_only_a_header_is_an_empty_frame() -> None:
    assert read("flux,tau_re").shape == (0, 2)


# NDJSON

ROUNDED = "must be exact as a 64-bit float, as there are floats beside it"
PAIR = r'"d": "\ud83d\ude00"'
TOO_LONG = "must be within the range of a 128-bit integer, or a float with an exponent"


def test_ndjson_with_missing_keys_and_objects() -> None:
    frame = read('{"flux": [1, 2], "x": {"a": 1}}\n\n{"flux": [3, 4], "y": "b"}\n')
    assert frame.to_dict(as_series=False) == {
        "flux": [[1, 2], [3, 4]],
        "x": [{"a": 1}, None],
        "y": [None, "b"],
    }


def test_ndjson_floats_in_flux_stay_floats() -> None:
    frame = read('{"flux": [1, 2]}\n{"flux": [1.5, 2]}\n')
    assert frame["flux"].to_list() == [[1.0, 2.0], [1.5, 2.0]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}\n{"a": NaN}\n', [(None, 2, None, "is no JSON object: NaN is no JSON; null is")]),
        ('{"a": 1}\n[1]\n', [(None, 2, None, "is no JSON object: it is a list")]),
        ('{"a": 1}\n{"a": 2', [
            (None, 2, None, "is no JSON object: Expecting ',' delimiter: line 1 column 8 (char 7)")
        ]),
        ('{"a": 1}\r\n{"a"\r: 2}\n \r\n1\r2\n[1]\r\n', [
            (None, 3, None, "is no JSON object: Extra data: line 1 column 3 (char 2)"),
            (None, 4, None, "is no JSON object: it is a list"),
        ]),
        ('{"a": 1}\n{"a": 1e400}\n{"a": 2}\n', [
            (None, 2, None, "is no JSON object: 1e400 is beyond the range of a 64-bit float"),
        ]),
        ('{"a": 1}\n{"a": true}\n{"a": 2}\n', [
            ("a", 2, None, "holds truth values where other rows hold numbers"),
        ]),
        ('{"a": [1], "b": {"c": 1}}\n\n{"a": [true], "b": 2}\n{"a": [2]}\n{"a": 3, "b": {}}\n', [
            ("a", 2, None, "holds lists of truth values where other rows hold lists of numbers"),
            ("b", 2, None, "holds numbers where other rows hold objects"),
            ("a", 4, None, "holds numbers where other rows hold lists of numbers"),
        ]),
        ('{"a": "\\ud83d\\ude00"}\n{"a": "x\\ud83d"}\n', [
            (None, 2, None, "is no JSON object: 'utf-8' codec can't encode character '\\ud83d' "
                "in position 8: surrogates not allowed"),
        ]),
        ('{"a": 1, "b": "x:y", "c": null}\n\n{"a": 1, "b": "z", "a" : 2}\n{"b": "\\":"}\n', [
            (None, 2, None, "is no JSON object: it has the key 'a' twice"),
        ]),
        ('{"a": 1, "\\u0061": null}\n', [
            (None, 1, None, "is no JSON object: it has the key 'a' twice"),
        ]),
        ('{"a": 1, "a": null}\n{"a": 2, "b": 1}\n', [
            (None, 1, None, "is no JSON object: it has the key 'a' twice"),
        ]),
        ('{"a": "x:y", "b": null, "a" : "z"}\n{"a": null, "b": 1}\n', [
            (None, 1, None, "is no JSON object: it has the key 'a' twice"),
        ]),
        ('{"a": {"b": 1}, "c": 1}\n{"a": {"b": null}, "c": 1, "c": null}\n', [
            (None, 2, None, "is no JSON object: it has the key 'c' twice"),
        ]),
        ('{"a": {"b": 1}}\n{"a": {"b": 1, "b": 2}}\n', [
            (None, 2, None, "is no JSON object: it has the key 'b' twice"),
        ]),
        ('{"a": 9007199254740993, "b": {"c": [-9007199254740995, 0.5]}}\n{"a": 0.5}\n', [
            ("a", 1, "9007199254740993", ROUNDED), ("b", 1, "-9007199254740995", ROUNDED),
        ]),
        ('{"a": 0.5}\n{"a": 18446744073709551617}\n', [
            ("a", 2, "18446744073709551617", ROUNDED)
        ]),
        (f'{{"a": 1}}\n{{"a": {"9" * 400}}}\n{{"b": {{"c": -{"8" * 5000}, {PAIR}}}}}', [
            ("a", 2, "99999999999999999999…", TOO_LONG),
            ("b", 3, "-8888888888888888888…", TOO_LONG),
        ]),
        (f'{{"a": {2**127 - 1}, "b": {2**127}}}\n{{"a": {-(2**127)}, "b": {-(2**127) - 1}}}\n', [
            ("b", 1, "17014118346046923173…", TOO_LONG),
            ("b", 2, "-1701411834604692317…", TOO_LONG),
        ]),
    ],
)  # fmt: skip
def test_ndjson_that_is_refused(text: str, found: list[Found]) -> None:
    assert faults(text) == found


def test_ndjson_with_large_integers_keeps_every_digit() -> None:
    """Of those beside floats, all digits that the float has."""
    text = '{"a": 9007199254740993, "b": 9007199254740992, "c": 123456789012345680000, "d": 0.5}\n'
    frame = read(text + '{"a": -1, "b": 1e300, "c": 0.5, "d": 1152921504606846976}\n')
    assert frame.to_dict(as_series=False) == {
        "a": [9007199254740993, -1],
        "b": [9007199254740992.0, 1e300],
        "c": [1.2345678901234568e20, 0.5],
        "d": [0.5, 2.0**60],
    }


def test_ndjson_that_repeats_no_key_is_read_whatever_its_text_and_nulls_look_like() -> None:
    rows = [
        {"a": 1, "b": "x: y", "c": None, "d": {"e": None}},
        {"a": None, "b": ' "c":null', "c": 2, "d": {"e": 3}},
        {"a": 3, "b": "12:00", "c": None, "d": None},
    ]
    assert read("\n".join(json.dumps(row) for row in rows)).to_dicts() == rows


def test_ndjson_with_escapes_is_text() -> None:
    text = '{"a": "\\ud83d\\ude00"}\n{"a": "\\\\ud83d"}\n'
    assert read(text).to_dict(as_series=False) == {"a": ["😀", "\\ud83d"]}


def test_many_lines_that_are_no_rows_are_counted() -> None:
    found = faults('{"a": 1}\n' + "junk\n" * 50, "ndjson")
    message = "is no JSON object: Expecting value: line 1 column 1 (char 0)"
    named: list[Found] = [(None, row, None, message) for row in range(2, 22)]
    assert found == [*named, (None, None, None, "30 more rows cannot be read")]
    assert faults("x", "ndjson") == [(None, 1, None, message)]


# Parquet and frames of other libraries


def odd_columns() -> pa.Table:
    return pa.table(
        {
            "flux": pa.array([list(range(12))] * 2, pa.large_list(pa.int16())),
            "moduli_re": pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2)),
            "moduli_im": pa.array([[Decimal(1), Decimal(2)]] * 2, pa.list_(pa.decimal128(9, 3))),
            "tau_re": pa.array([1, 2], pa.uint8()),
            "tau_im": pa.array(["1.5", "2.5"]).dictionary_encode(),
            "tadpole_charge": pa.array([1.0, 2.0], pa.float32()),
            "created_at": pa.array([0, 10**9], pa.timestamp("ns", "America/New_York")),
            "kinds": pa.array(["x", None]).dictionary_encode(),
            "fixed": pa.array([b"ab", None], pa.binary(2)),
            "text": pa.array(["ä", None], pa.large_string()),
        }
    )


def test_parquet_that_pyarrow_wrote_with_every_kind_of_column(tmp_path: Path) -> None:
    pq.write_table(odd_columns(), tmp_path / "odd.parquet", row_group_size=1)
    (shard,) = prepared(inputs.read_file(tmp_path / "odd.parquet").frame).shards
    found = shard.frame.select(pl.exclude("run_id", "geometry_id", "^(h1|.*_id).*$"))
    time = pl.Series([0, 10**6]).cast(pl.Datetime("us", "UTC"))
    assert found.select(pl.exclude("created_at")).to_dict(as_series=False) == {
        "flux": [list(range(12))] * 2,
        "moduli_re": [[1.0, 2.0]] * 2,
        "moduli_im": [[1.0, 2.0]] * 2,
        "tau_re": [1.0, 2.0],
        "tau_im": [1.5, 2.5],
        "tadpole_charge": [1, 2],
        "kinds": ["x", None],
        "fixed": [b"ab", None],
        "text": ["ä", None],
    }
    assert found["created_at"].equals(time)


def test_maps_are_refused_by_their_column() -> None:
    maps = pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32()))
    frame = inputs.from_frame(odd_columns().append_column("map", maps))
    message = "Map(String, Int32) has no place in a shard"
    assert refused(lambda: prepared(frame)) == [("map", None, None, message)]


def test_frames_of_polars_and_arrow() -> None:
    table = VACUA.to_arrow()
    for frame in (VACUA, VACUA.lazy(), table, pa.RecordBatchReader.from_batches(
        table.schema, table.to_batches(max_chunksize=100)
    )):  # fmt: skip
        assert inputs.from_frame(frame).equals(VACUA)
    assert prepared(inputs.from_frame(odd_columns())).shards[0].n_rows == 2


@pytest.mark.parametrize("thing", [[1, 2], {"flux": [[1]]}, None, "file.csv"])
def test_what_is_no_frame(thing: object) -> None:
    with pytest.raises(UsageError) as error:
        inputs.from_frame(thing)
    kind = type(thing).__name__
    message = f"{kind} is no frame: Polars, pandas and Arrow frames are, among others"
    assert str(error.value) == message


def test_pandas_frames() -> None:
    pd = pytest.importorskip("pandas")
    np = pytest.importorskip("numpy")
    columns = VACUA.to_dict(as_series=False)
    lists = pd.DataFrame(columns, index=range(5, 5 + VACUA.height))
    arrays = lists.assign(
        **{name: [np.array(cell) for cell in columns[name]] for name in ("flux", "moduli_re")}
    )
    for frame in (lists, arrays):
        assert inputs.from_frame(frame).equals(VACUA)


def test_pandas_columns_of_mixed_types_are_refused() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": [1, "a", None]})
    message = "Could not convert 'a' with type str: tried to convert to int64"
    assert refused(lambda: inputs.from_frame(frame)) == [(None, None, None, message)]


def test_pandas_with_a_missing_number_keeps_null_and_nan_apart_from_numbers() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"g_s": [1.0, float("nan")], "seed": pd.array([2**60 + 1, None], "Int64")})
    assert inputs.from_frame(frame)["seed"].to_list() == [2**60 + 1, None]
    assert inputs.from_frame(frame)["g_s"].to_list() == [1.0, None]
