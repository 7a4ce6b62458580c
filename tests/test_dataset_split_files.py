"""Splits as files: they hold the rows of the splits, in any format, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import vulcan_cli
from tests.cli_support import CHECKOUT, clean
from tests.dataset_support import listed, put, vacua
from vulcan_cli.dataset import split_files
from vulcan_cli.dataset.array_files import write_arrays
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.export import write_file
from vulcan_cli.dataset.features import FeatureSpec
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.shuffle import files_for, key, shuffled
from vulcan_cli.dataset.split_files import SplitFiles, write_splits
from vulcan_cli.dataset.split_view import SplitView
from vulcan_cli.dataset.splits import Splits
from vulcan_cli.errors import UsageError

SPEC = FeatureSpec(["moduli", "tau", "flux", "is_susy", "residual"], list_max_len=5)
ROWS = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of six shards of six geometries."""
    folder = tmp_path / "synced"
    folder.mkdir()
    for number in range(6):
        is_susy = [row % 2 == 0 for row in range(ROWS)]
        rows = vacua(ROWS, is_susy=is_susy, residual=[None, 0.5 + number] * (ROWS // 2))
        put(folder, rows, f"r{number}", h11=3, h12=2, ks_id=number)
    return folder


def view(folder: Path, spec: FeatureSpec | None = SPEC, **splits: Any) -> SplitView:
    catalog = Catalog.read(listed(folder))
    splits = {"fractions": (0.5, 0.0, 0.5), **splits}
    return SplitView(catalog=catalog, filters=Filters(), splits=Splits(**splits), spec=spec)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows_of(found: SplitFiles, name: str) -> list[Any]:
    return [file["rows"] for file in found.description["files"][name]]


@pytest.mark.parametrize("seed", [None, 7])
def test_rows_of_one_width_without_their_geometry_are_cut_into_files(
    folder: Path, tmp_path: Path, seed: int | None
) -> None:
    """A row takes 28 bytes: an array of five 32-bit integers, and a 64-bit float."""
    spec = FeatureSpec(["flux", "tau_im"], list_max_len=5, keep_geometry_id=False)
    asked = view(folder, spec, names=("all",), fractions=(1.0,))

    found = write_splits(tmp_path / "ml", asked, seed=seed, most_bytes=28 * 100)

    assert rows_of(found, "all") == [100, 100, 40]
    rows = pl.read_parquet(tmp_path / "ml/all-*.parquet")
    assert_frame_equal(rows, asked.rows("all").collect(), check_row_order=seed is None)


def test_files_hold_the_rows_of_each_split_and_say_how_they_were_made(
    folder: Path, tmp_path: Path
) -> None:
    asked = view(folder, salt="a")

    found = write_splits(tmp_path / "ml", asked)

    written = files(tmp_path / "ml")
    assert list(written) == [
        *("split.json", "test-00000-of-00001.parquet"),
        *("train-00000-of-00001.parquet", "val-00000-of-00001.parquet"),
    ]
    counts = {}
    for name in ("train", "val", "test"):
        rows = asked.rows(name).collect()
        counts[name] = rows.height
        data = written[f"{name}-00000-of-00001.parquet"]
        assert_frame_equal(pl.read_parquet(io.BytesIO(data)), rows)
        assert found.description["files"][name] == [
            {
                "name": f"{name}-00000-of-00001.parquet",
                "rows": rows.height,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        ]
    assert counts["val"] == 0
    described = json.loads(written["split.json"])
    digest = described["catalog_sha256"]
    assert described == found.description
    assert {name: described[name] for name in described if name != "files"} == {
        "vulcan_version": vulcan_cli.__version__,
        "splits": ["train", "val", "test"],
        "fractions": [0.5, 0.0, 0.5],
        "salt": "a",
        "group_by": "geometry",
        "frozen": 0,
        "features": ["moduli", "tau", "flux", "is_susy", "residual"],
        "list_max_len": 5,
        "list_fill": 0,
        "catalog_sha256": digest,
        "format": "parquet",
        "seed": None,
        "rows": counts,
        "geometries": {name: number // ROWS for name, number in counts.items()},
        "cut_short": {"train": {}, "val": {}, "test": {}},
    }
    put(folder, vacua(1), "late", h11=1)
    later = write_splits(tmp_path / "later", view(folder, salt="a"))
    assert later.description["catalog_sha256"] != digest


def test_readers_through_pyarrow_see_lists_of_one_length(folder: Path, tmp_path: Path) -> None:
    write_splits(tmp_path / "ml", view(folder))

    schema = pq.read_schema(tmp_path / "ml/train-00000-of-00001.parquet")

    assert [(field.name, str(field.type)) for field in schema] == [
        ("moduli", "fixed_size_list<element: fixed_size_list<element: double>[2]>[5]"),
        ("tau", "fixed_size_list<element: double>[2]"),
        ("flux", "fixed_size_list<element: int32>[5]"),
        ("is_susy", "bool"),
        ("residual", "double"),
        ("geometry_id", "string"),
    ]


def test_a_seed_shuffles_and_loses_nothing(folder: Path, tmp_path: Path) -> None:
    asked = view(folder)
    for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", None)):
        write_splits(tmp_path / name, asked, seed=seed)
    frames = {
        name: pl.read_parquet(tmp_path / name / "train-00000-of-00001.parquet") for name in "abcd"
    }

    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert not frames["a"].equals(frames["c"])
    assert not frames["a"].equals(frames["d"])
    order = ["geometry_id", "flux"]
    for name in "abc":
        assert_frame_equal(frames[name].sort(order), frames["d"].sort(order))


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(), st.sampled_from([1, 2, 8, 64]))
def test_an_order_hangs_on_neither_batches_nor_files(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int, n_files: int
) -> None:
    rows = pl.DataFrame({"x": range(sum(sizes)), "y": [[1.0]] * sum(sizes)})
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    batches = [rows[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    folder = tmp_path_factory.mktemp("shuffle")

    dealt = list(shuffled(iter(batches), seed, folder, files=n_files))
    at_once = list(shuffled([rows], seed, folder))

    assert pl.concat([rows.head(0), *dealt]).equals(pl.concat([rows.head(0), *at_once]))
    assert pl.concat([rows.head(0), *dealt])["x"].sort().to_list() == rows["x"].to_list()
    assert list(folder.iterdir()) == []


def test_keys_are_those_of_splitmix64() -> None:
    """Steele, Lea, Flood: the generator's output from state 0 is the hash of the state."""
    places = pl.DataFrame({"place": [0, 1, 2**63]}, schema={"place": pl.UInt64})

    found = places.select(key(0, pl.col("place"))).to_series().to_list()

    def mixed(number: int) -> int:
        number = (number + 0x9E3779B97F4A7C15) % 2**64
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        number = (number ^ number >> 27) * 0x94D049BB133111EB % 2**64
        return number ^ number >> 31

    assert mixed(0) == 0xE220A8397B1DCDAF
    assert found == [mixed(place ^ mixed(0)) for place in (0, 1, 2**63)]


def test_files_grow_in_powers_of_two() -> None:
    assert [files_for(size, 10) for size in (0, 10, 11, 40, 41, 10**9)] == [1, 1, 2, 4, 8, 256]


@pytest.mark.parametrize("seed", [None, 3])
def test_a_split_is_cut_into_files_at_the_same_places(
    folder: Path, tmp_path: Path, seed: int | None
) -> None:
    asked = view(folder, names=("all",), fractions=(1.0,))
    whole = write_splits(tmp_path / "whole", asked, seed=seed)

    cut = write_splits(tmp_path / "cut", asked, seed=seed, most_bytes=9_000)

    # 5 complex, 1 complex, 5 int32, a bool, a float, a text of 16: 149 bytes a row.
    assert rows_of(whole, "all") == [240]
    assert rows_of(cut, "all") == [61, 60, 61, 58]
    names = [file["name"] for file in cut.description["files"]["all"]]
    assert names == [f"all-{number:05}-of-00004.parquet" for number in range(4)]
    together = pl.concat(pl.read_parquet(tmp_path / "cut" / name) for name in names)
    assert_frame_equal(together, pl.read_parquet(tmp_path / "whole/all-00000-of-00001.parquet"))
    assert sorted(files(tmp_path / "cut")) == sorted([*names, "split.json"])


def test_bytes_hang_on_no_number_of_threads(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tests.test_dataset_split_files import view, write_splits\n"
        "folder, out = map(pathlib.Path, sys.argv[1:])\n"
        "write_splits(out, view(folder), seed=5, most_bytes=9000)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path / "one"],
        env=clean(tmp_path, POLARS_MAX_THREADS="1"),
        cwd=CHECKOUT,
        check=True,
    )

    write_splits(tmp_path / "here", view(folder), seed=5, most_bytes=9000)

    assert len(files(tmp_path / "one")) == 6
    assert files(tmp_path / "one") == files(tmp_path / "here")


def test_bytes_hang_on_no_number_of_rows_that_are_read_at_a_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_splits(tmp_path / "many", view(folder), seed=5, most_bytes=9000)
    monkeypatch.setattr(split_files, "_BATCH_BYTES", 1)

    write_splits(tmp_path / "one", view(folder), seed=5, most_bytes=9000)

    assert len(files(tmp_path / "one")) == 6
    assert files(tmp_path / "one") == files(tmp_path / "many")


def test_lists_cut_short_are_counted_as_the_rows_pass(folder: Path, tmp_path: Path) -> None:
    asked = view(folder, FeatureSpec(["moduli", "flux", "tau_im"], list_max_len=3))

    found = write_splits(tmp_path / "ml", asked)

    rows = found.description["rows"]
    assert found.cut_short == {name: {"flux": rows[name]} if rows[name] else {} for name in rows}
    assert rows["train"] > 0


@pytest.mark.parametrize("file_format", ["arrow", "ndjson", "csv", "json"])
def test_other_formats_are_what_a_query_writes(
    folder: Path, tmp_path: Path, file_format: str
) -> None:
    asked = view(folder, None)
    write_splits(tmp_path / "ml", asked, file_format=file_format)

    write_file(asked.rows("train"), tmp_path / "wanted", file_format)

    name = f"train-00000-of-00001.{file_format}"
    assert (tmp_path / "ml" / name).read_bytes() == (tmp_path / "wanted").read_bytes()


def test_npz_is_what_numpy_reads(folder: Path, tmp_path: Path) -> None:
    np: Any = pytest.importorskip("numpy")
    asked = view(folder, salt="a")
    write_splits(tmp_path / "ml", asked, file_format="npz")
    for name in ("train", "val", "test"):
        rows = asked.rows(name).collect()

        arrays = dict(np.load(tmp_path / f"ml/{name}-00000-of-00001.npz", allow_pickle=False))

        number = rows.height
        assert {name: (array.dtype.str, array.shape) for name, array in arrays.items()} == {
            "moduli": ("<c16", (number, 5)),
            "tau": ("<c16", (number,)),
            "flux": ("<i4", (number, 5)),
            "is_susy": ("|b1", (number,)),
            "residual": ("<f8", (number,)),
            "geometry_id": ("<U16" if number else "<U1", (number,)),
        }
        pairs = [[complex(*pair) for pair in row] for row in rows["moduli"].to_list()]
        assert arrays["moduli"].tolist() == pairs
        for plain in ("flux", "is_susy", "geometry_id"):
            assert arrays[plain].tolist() == rows[plain].to_list()
        assert np.array_equal(arrays["residual"], rows["residual"].to_numpy(), equal_nan=True)


def test_npz_needs_no_numpy_and_says_what_it_holds(folder: Path, tmp_path: Path) -> None:
    write_splits(tmp_path / "ml", view(folder), file_format="npz")

    with zipfile.ZipFile(tmp_path / "ml/train-00000-of-00001.npz") as archive:
        assert archive.testzip() is None
        held = {info.filename: archive.read(info) for info in archive.infolist()}

    flux = held["flux.npy"]
    rows = view(folder).rows("train").collect()
    size = int.from_bytes(flux[8:10], "little")
    header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({rows.height}, 5), }}"
    assert flux[:8] == b"\x93NUMPY\x01\x00"
    assert (size + 10) % 64 == 0
    assert flux[10 : 10 + size].decode() == header.ljust(size - 1) + "\n"
    values = [number for row in rows["flux"].to_list() for number in row]
    assert flux[10 + size :] == b"".join(
        number.to_bytes(4, "little", signed=True) for number in values
    )


def test_safetensors_hold_aligned_values(folder: Path, tmp_path: Path) -> None:
    write_splits(tmp_path / "ml", view(folder), file_format="safetensors")

    data = (tmp_path / "ml/train-00000-of-00001.safetensors").read_bytes()

    rows = view(folder).rows("train").collect()
    number = rows.height
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    places = {name: header[name].pop("data_offsets") for name in header if name[0] != "_"}
    assert header == {
        "__metadata__": {"moduli": "complex", "tau": "complex"},
        "moduli": {"dtype": "F64", "shape": [number, 5, 2]},
        "tau": {"dtype": "F64", "shape": [number, 2]},
        "residual": {"dtype": "F64", "shape": [number]},
        "flux": {"dtype": "I32", "shape": [number, 5]},
        "is_susy": {"dtype": "BOOL", "shape": [number]},
        "geometry_id": {"dtype": "U8", "shape": [number, 16]},
    }
    assert size % 8 == 0
    begins, ends = zip(*places.values(), strict=True)
    assert (*begins, len(data) - 8 - size) == (0, *ends)
    begin, end = places["geometry_id"]
    texts = data[8 + size :][begin:end].decode()
    assert texts == "".join(rows["geometry_id"])


def test_safetensors_are_what_its_library_reads(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    library: Any = pytest.importorskip("safetensors.numpy")
    asked = view(folder)
    write_splits(tmp_path / "ml", asked, file_format="safetensors")
    rows = asked.rows("train").collect()

    tensors = library.load_file(tmp_path / "ml/train-00000-of-00001.safetensors")

    assert tensors["moduli"].tolist() == rows["moduli"].to_list()
    assert tensors["flux"].tolist() == rows["flux"].to_list()
    assert tensors["is_susy"].tolist() == rows["is_susy"].to_list()


def test_a_dataset_reads_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets: Any = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    asked = view(folder)
    write_splits(tmp_path / "ml", asked, seed=1)

    for name in ("train", "test"):
        rows = pl.read_parquet(tmp_path / f"ml/{name}-00000-of-00001.parquet")
        files = str(tmp_path / f"ml/{name}-*.parquet")
        found = datasets.load_dataset(
            "parquet", data_files={name: files}, split=name, cache_dir=str(tmp_path / "cache")
        )
        assert found.to_list() == rows.to_dicts()


def test_a_loader_of_pytorch_reads_the_files(folder: Path, tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    library: Any = pytest.importorskip("safetensors.torch")
    asked = view(folder)
    write_splits(tmp_path / "ml", asked, file_format="safetensors", seed=1)
    tensors = library.load_file(tmp_path / "ml/train-00000-of-00001.safetensors")
    moduli = torch.view_as_complex(tensors["moduli"])
    data = torch.utils.data.TensorDataset(moduli, tensors["flux"])

    batches = list(torch.utils.data.DataLoader(data, batch_size=32))

    assert sum(len(flux) for _, flux in batches) == asked.rows("train").collect().height
    assert batches[0][0].dtype == torch.complex128


@pytest.mark.parametrize(
    ("spec", "file_format", "sentence"),
    [
        (
            None,
            "npz",
            "npz holds arrays, and the lists of flux, moduli_re, moduli_im need one length in all "
            "files: give list_max_len",
        ),
        (
            FeatureSpec(["created_at"]),
            "safetensors",
            "safetensors holds arrays: created_at holds Datetime(time_unit='us', "
            "time_zone='UTC'): leave it out",
        ),
        (
            FeatureSpec(["is_susy", "words"]),
            "npz",
            "npz holds arrays: is_susy has nulls, which Boolean has not in NumPy: leave it out; "
            "words has nulls, which text has not: leave it out",
        ),
        (
            SPEC,
            "xlsx",
            "no format is called 'xlsx': choose from parquet, csv, ndjson, arrow, json, npz, "
            "safetensors",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_told_and_nothing_is_there(
    folder: Path, tmp_path: Path, spec: FeatureSpec | None, file_format: str, sentence: str
) -> None:
    put(folder, vacua(2, words=["a", None]), "w", h11=1)
    asked = view(folder, spec, names=("all",), fractions=(1.0,))

    with pytest.raises(UsageError) as refused:
        write_splits(tmp_path / "ml", asked, file_format=file_format)

    assert str(refused.value) == sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == ["synced"]


@pytest.mark.parametrize(
    ("name", "file_format", "why"),
    [
        ("../up", "npz", "'../up' names no array of npz, which are files: leave it out"),
        ("/up", "npz", "'/up' names no array of npz, which are files: leave it out"),
        ("a\\b", "npz", "'a\\\\b' names no array of npz, which are files: leave it out"),
        ("a\0b", "npz", "'a\\x00b' names no array of npz, which are files: leave it out"),
        ("__metadata__", "safetensors", "__metadata__ is no array in safetensors: leave it out"),
    ],
)
def test_a_column_that_leads_out_of_its_file_is_refused(
    name: str, file_format: str, why: str
) -> None:
    stream = io.BytesIO()

    with pytest.raises(UsageError) as refused:
        write_arrays(pl.DataFrame({name: [1.0]}), stream, file_format)

    assert (str(refused.value), stream.getvalue()) == (f"{file_format} holds arrays: {why}", b"")


def test_names_that_lead_elsewhere_are_refused(folder: Path, tmp_path: Path) -> None:
    asked = view(folder, names=("../up", "b"), fractions=(0.5, 0.5))

    with pytest.raises(UsageError, match=r"^'\.\./up' is no part of a file name: letters, dig"):
        write_splits(tmp_path / "ml", asked)


def test_a_folder_with_something_in_it_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml/mine").write_text("mine")

    with pytest.raises(UsageError, match=r"is there and not empty; splits go to a new or empty"):
        write_splits(tmp_path / "ml", view(folder))

    assert files(tmp_path / "ml") == {"mine": b"mine"}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_a_folder_stays_one(folder: Path, tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "scratch").mkdir()
    (tmp_path / "link").symlink_to("scratch")

    write_splits(tmp_path / "link", view(folder))
    write_splits(tmp_path / "ml", view(folder))

    assert (tmp_path / "link").is_symlink()
    assert files(tmp_path / "scratch") == files(tmp_path / "ml")


def test_a_disk_that_takes_no_more_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    code = (
        "import pathlib, resource, signal, sys\n"
        "from tests.test_dataset_split_files import view, write_splits\n"
        "folder, out = map(pathlib.Path, sys.argv[1:])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_splits(out, view(folder))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path / "ml"],
        env=clean(tmp_path),
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout == "DiskTrouble\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["synced"]


def test_reading_the_rows_of_a_split_is_told(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    watched = replace(view(folder, None), progress=lambda done, total: told.append((done, total)))
    n_shards = watched.rows("train").collect()["geometry_id"].n_unique()
    assert (told[0], told[-1]) == ((0, n_shards), (n_shards, n_shards))


INTERRUPTED = """
import os, pathlib, signal, sys
from dataclasses import replace
from tests.test_dataset_split_files import view, write_splits
from vulcan_cli.dataset import scan

scan._BATCH_FILES = 1
folder, out = map(pathlib.Path, sys.argv[1:])
everything = view(folder, spec=None)
for shards in range(1, 23, 2):

    def interrupt(done: int, total: int) -> None:
        if done == shards:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        written = write_splits(out / str(shards), replace(everything, progress=interrupt))
    except KeyboardInterrupt:
        assert not any(out.iterdir())
    else:
        # Polars may miss one that comes while it ends a batch.
        assert sum(written.description["rows"].values()) == 120_000
        (out / str(shards)).rename(folder / str(shards))
print("all rows or nothing", flush=True)
os._exit(0)
"""


def test_an_interrupt_while_batches_are_read_leaves_all_rows_or_nothing(tmp_path: Path) -> None:
    """Wherever it comes: Polars may be at work on a batch, on what is made of it, or on neither."""
    (tmp_path / "synced").mkdir()
    (tmp_path / "out").mkdir()
    for number in range(24):
        put(tmp_path / "synced", vacua(5_000), f"r{number}", h11=3, h12=2, ks_id=number)

    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, tmp_path / "synced", tmp_path / "out"],
        cwd=CHECKOUT,
        env=clean(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stdout) == (0, "all rows or nothing\n")
