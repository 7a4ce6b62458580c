"""The view for training: arrays, tensors and datasets hold what the frame holds."""

from __future__ import annotations

import math
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.dataset_support import STAGING, put, vacua
from vulcan_cli import FeatureSpec, VulcanMLView, VulcanReader
from vulcan_cli.dataset.features import ListsCutShort
from vulcan_cli.dataset.frozen import freeze
from vulcan_cli.dataset.splits import Splits
from vulcan_cli.dataset.tensors import as_numpy, numbers_only
from vulcan_cli.errors import NotSetUp, UnevenLists, UsageError
from vulcan_cli.vacua.geometry import Geometry

COMPLEX = FeatureSpec(["moduli", "tau", "flux", "tau_im", "is_susy"], list_max_len=20)
"""Every kind of feature that is a number; no list of the peer's shards is longer."""


@pytest.fixture
def view(tmp_path: Path) -> VulcanMLView:
    """The peer's shards in one split."""
    # A copy: readers keep their catalog beside what they read.
    reader = VulcanReader.from_local(shutil.copytree(STAGING, tmp_path / "staging"))
    return VulcanMLView(reader, splits=("all",), fractions=(1.0,), feature_spec=COMPLEX)


def numbers(frame: pl.DataFrame, name: str, width: int = 20) -> list[list[complex]]:
    """What a complex list feature must be, by a loop over its two columns."""
    found = []
    for re, im in frame.select(f"{name}_re", f"{name}_im").iter_rows():
        row = [complex(*pair) for pair in zip(re, im, strict=True)]
        found.append(row + [0j] * (width - len(row)))
    return found


def test_complex_features_are_pairs_of_numbers(view: VulcanMLView) -> None:
    rows = view.reader.query()

    frame = view.as_dataframe("all")

    assert dict(frame.schema) == {
        "moduli": pl.Array(pl.Float64, (20, 2)),
        "tau": pl.Array(pl.Float64, 2),
        "flux": pl.Array(pl.Int32, 20),
        "tau_im": pl.Float64,
        "is_susy": pl.Boolean,
        "geometry_id": pl.String,
    }
    found = [[complex(*pair) for pair in row] for row in frame["moduli"].to_list()]
    assert found == numbers(rows, "moduli")
    assert frame["tau"].to_list() == [list(x) for x in rows.select("tau_re", "tau_im").iter_rows()]


def test_a_complex_fill_is_real_and_no_rows_have_the_same_types() -> None:
    rows = pl.DataFrame({"z_re": [[1.0], None], "z_im": [[2.0], [None]]})
    spec = FeatureSpec(["z"], 2, -1, keep_geometry_id=False)

    found, cut = spec.collect(rows.lazy())
    none, _ = spec.collect(rows.head(0).lazy())

    assert found["z"].to_list() == [[[1.0, 2.0], [-1.0, 0.0]], [[-1.0, None], [-1.0, 0.0]]]
    assert none.schema == found.schema
    assert cut == {}
    _, cut = FeatureSpec(["z"], 1, keep_geometry_id=False).collect(
        pl.LazyFrame({"z_re": [[1.0, 2.0]], "z_im": [[2.0, 3.0]]})
    )
    assert cut == {"z": 1}


def test_a_complex_list_needs_a_length(view: VulcanMLView) -> None:
    with pytest.raises(UnevenLists) as refused:
        view.as_dataframe("all", feature_spec=FeatureSpec(["moduli", "tau"]))
    assert (str(refused.value), refused.value.columns) == (
        "the complex feature moduli needs lists of one length: give list_max_len",
        ("moduli", "tau"),
    )
    with pytest.raises(UsageError, match=r"^there is no column 'modul'"):
        view.as_dataframe("all", feature_spec=FeatureSpec(["modul"]))


def test_no_length_makes_a_number_and_a_list_complex() -> None:
    rows = pl.LazyFrame({"z_re": [[1.0]], "z_im": [2.0]})
    with pytest.raises(UsageError) as refused:
        FeatureSpec(["z"], 1, keep_geometry_id=False).collect(rows)
    assert str(refused.value) == "of the complex feature z only one part is lists"


def test_arrays_hold_what_the_frame_holds(view: VulcanMLView) -> None:
    np: Any = pytest.importorskip("numpy")
    rows, frame = view.reader.query(), view.as_dataframe("all")

    arrays = view.as_numpy("all")

    assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == {
        "moduli": (np.complex128, (rows.height, 20)),
        "tau": (np.complex128, (rows.height,)),
        "flux": (np.int32, (rows.height, 20)),
        "tau_im": (np.float64, (rows.height,)),
        "is_susy": (np.bool_, (rows.height,)),
        "geometry_id": (np.object_, (rows.height,)),
    }
    assert arrays["moduli"].tolist() == numbers(rows, "moduli")
    assert arrays["tau"].imag.tolist() == rows["tau_im"].to_list()
    for name in ("flux", "tau_im", "is_susy", "geometry_id"):
        assert arrays[name].tolist() == frame[name].to_list()
    assert [array.flags.writeable for array in arrays.values()] == [False] * 6


def test_arrays_of_one_piece_are_not_copied() -> None:
    pytest.importorskip("numpy")
    frame = COMPLEX.collect(vacua(100, is_susy=True, geometry_id="g").lazy())[0].rechunk()
    held = {name: frame[name] for name in ("moduli", "tau", "flux", "tau_im")}
    before = {name: column.to_numpy(allow_copy=False) for name, column in held.items()}

    arrays = as_numpy(frame, frozenset({"moduli", "tau"}))

    assert {name: arrays[name].ctypes.data for name in held} == {
        name: array.ctypes.data for name, array in before.items()
    }


def test_nulls_are_nan_where_there_is_one_and_refused_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    (tmp_path / "synced").mkdir()
    rows = vacua(
        2,
        mass2=[[0.5], [0.5, 1.5]],
        residual=[None, 1.5],
        n_iterations=[None, 3],
        is_susy=[None, True],
        tags=[None, "t"],
    )
    put(tmp_path / "synced", rows, "a", h11=2)
    view = VulcanMLView(VulcanReader.from_local(tmp_path), splits=("all",), fractions=(1.0,))

    arrays = view.as_numpy("all", feature_spec=FeatureSpec(["residual", "tags"]))
    assert math.isnan(arrays["residual"][0])
    assert arrays["residual"][1] == 1.5
    assert arrays["tags"].tolist() == [None, "t"]

    with pytest.raises(UsageError) as refused:
        view.as_numpy("all", feature_spec=FeatureSpec(["mass2", "n_iterations", "is_susy"]))
    assert str(refused.value) == (
        "no arrays: the lists of mass2 have 1 to 2 elements: give list_max_len; "
        "n_iterations has nulls, which Int32 has not in NumPy: leave it out; "
        "is_susy has nulls, which Boolean has not in NumPy: leave it out"
    )


def test_lists_of_one_length_are_arrays(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    (tmp_path / "synced").mkdir()
    put(tmp_path / "synced", vacua(2), "a", h11=2)
    view = VulcanMLView(VulcanReader.from_local(tmp_path), splits=("all",), fractions=(1.0,))

    arrays = view.as_numpy("all", feature_spec=FeatureSpec(["flux"], keep_geometry_id=False))

    (flux,) = arrays.values()
    assert (flux.dtype.str, flux.tolist()) == ("<i4", [[0, 1, -2, 3], [1, 1, -2, 3]])


def test_tensors_hold_what_the_arrays_hold(view: VulcanMLView) -> None:
    torch: Any = pytest.importorskip("torch")
    arrays = view.as_numpy("all")

    tensors = view.as_torch("all")

    assert list(tensors) == ["moduli", "tau", "flux", "tau_im", "is_susy"]
    assert tensors["moduli"].dtype == torch.complex128
    for name, tensor in tensors.items():
        assert tensor.tolist() == arrays[name].tolist()
    everything = view.as_torch("all", feature_spec=FeatureSpec(list_max_len=20))
    assert "solver_name" not in everything
    assert everything["flux"].shape == (view.reader.query().height, 20)
    with pytest.raises(UsageError, match=r"^no tensors: solver_name holds no numbers; leave it"):
        view.as_torch("all", feature_spec=FeatureSpec(["solver_name"]))


def test_tensors_are_made_of_every_column_of_numbers_lists_too() -> None:
    schema = pl.Schema(
        {
            "flux": pl.List(pl.Int32),
            "hessian": pl.List(pl.List(pl.Float64)),
            "signs": pl.Array(pl.Boolean, 3),
            "words": pl.List(pl.String),
            "tau_im": pl.Float64(),
            "count": pl.UInt64(),
            "is_susy": pl.Boolean(),
            "price": pl.Decimal(10, 2),
            "day": pl.Date(),
            "solver_name": pl.String(),
            "parts": pl.Struct({"x": pl.Int64}),
            "nothing": pl.Null(),
        }
    )

    assert numbers_only(schema) == ["flux", "hessian", "signs", "tau_im", "count", "is_susy"]


def test_tensors_leave_no_list_out_in_silence(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    rows = vacua(2, price=[Decimal("1.5"), None])
    (tmp_path / "synced").mkdir()
    put(tmp_path / "synced", rows, "a", h11=2)
    view = VulcanMLView(VulcanReader.from_local(tmp_path), splits=("all",), fractions=(1.0,))

    tensors = view.as_torch("all")

    wanted = rows.drop("price").with_columns(tadpole_charge=3)
    found = {name: tensor.tolist() for name, tensor in tensors.items()}
    assert found == wanted.to_dict(as_series=False)
    put(tmp_path / "synced", vacua(1, flux=[[1]]), "b", h11=2)
    view.reader.catalog(refresh=True)
    with pytest.raises(UsageError) as refused:
        view.as_torch("all")
    assert str(refused.value) == (
        "no arrays: the lists of flux have 1 to 4 elements: give list_max_len"
    )


def test_lists_inside_lists_that_no_length_evens_are_to_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "synced").mkdir()
    put(tmp_path / "synced", vacua(2, odd=pl.Series([[[1, 2], [3]], None])), "a", h11=2)
    view = VulcanMLView(VulcanReader.from_local(tmp_path), splits=("all",), fractions=(1.0,))
    spec = FeatureSpec(["odd"], list_max_len=2)

    with pytest.raises(UsageError) as refused:
        view.as_numpy("all", feature_spec=spec)

    assert str(refused.value) == "no arrays: the lists of odd have 0 to 2 elements: leave it out"
    found = view.as_dataframe("all", feature_spec=spec)["odd"].to_list()
    assert found == [[[1, 2], [3]], [[], []]]


def test_a_dataset_holds_what_the_frame_holds(view: VulcanMLView) -> None:
    datasets: Any = pytest.importorskip("datasets")
    frame = view.as_dataframe("all")

    dataset = view.as_hf_dataset("all")

    value = datasets.Value
    assert dataset.features == datasets.Features(
        {
            "moduli": datasets.List(datasets.List(value("float64"), length=2), length=20),
            "tau": datasets.List(value("float64"), length=2),
            "flux": datasets.List(value("int32"), length=20),
            "tau_im": value("float64"),
            "is_susy": value("bool"),
            "geometry_id": value("string"),
        }
    )
    assert dataset.to_list() == frame.to_dicts()
    ragged = view.as_hf_dataset("all", feature_spec=FeatureSpec(["flux"]))
    assert ragged.features["flux"] == datasets.List(value("int32"))
    assert ragged["flux"][:] == view.reader.query()["flux"].to_list()


def test_a_loader_of_pytorch_reads_the_dataset_in_batches(view: VulcanMLView) -> None:
    torch: Any = pytest.importorskip("torch")
    pytest.importorskip("datasets")
    dataset = view.as_hf_dataset("all").with_format("torch")

    batches = list(torch.utils.data.DataLoader(dataset, batch_size=16))

    assert batches[0]["moduli"].shape == (16, 20, 2)
    fluxes = torch.cat([batch["flux"] for batch in batches])
    assert fluxes.tolist() == view.as_dataframe("all")["flux"].to_list()


def test_lists_cut_short_are_told(view: VulcanMLView) -> None:
    spec = FeatureSpec(["flux", "tau_im"], list_max_len=3)
    number = view.reader.query().height

    with pytest.warns(ListsCutShort, match=rf"^cut short: {number} lists of flux$"):
        view.as_dataframe("all", feature_spec=spec)


def test_a_view_groups_folds_and_freezes_as_the_command_does(tmp_path: Path) -> None:
    (tmp_path / "synced").mkdir()
    twins = [{"h11": 3, "h12": 2, "ks_id": 5, "triang_id": number} for number in range(6)]
    for number, keys in enumerate(twins):
        put(tmp_path / "synced", vacua(2), f"r{number}", **keys)
    reader = VulcanReader.from_local(tmp_path)
    ids = sorted(Geometry(**keys).geometry_id for keys in twins)
    together = VulcanMLView(reader, group_by="polytope")
    split = Splits().of(Geometry(h11=3, h12=2, ks_id=5).geometry_id)

    assert together.split_assignments().rows() == [(each, split) for each in ids]
    assert {together.split_of(each) for each in ids} == {split}
    assert together.as_dataframe(split).height == 12
    with pytest.raises(UsageError, match=r"^no shard tells the polytope of geometry 00$"):
        together.split_of("00")

    assert VulcanMLView(reader, folds=3).splits == ("fold0", "fold1", "fold2")
    freeze(tmp_path / "held", Splits(("a", "b"), (0.0, 1.0)), reader.shards().rows)
    frozen = VulcanMLView(reader, frozen=tmp_path / "held")
    assert frozen.split_assignments().rows() == [(each, "b") for each in ids]
    assert (frozen.splits, frozen.fractions) == (("a", "b"), (0.0, 1.0))


@pytest.mark.parametrize("package", ["numpy", "torch", "datasets"])
def test_what_is_not_installed_is_named(package: str, view: VulcanMLView) -> None:
    try:
        __import__(package)
    except ImportError:
        method = {"datasets": "hf_dataset"}.get(package, package)
        with pytest.raises(NotSetUp) as missing:
            getattr(view, f"as_{method}")("all")
        assert str(missing.value) == (
            f"{package} is not installed: pip install 'vulcan-cli[{package}]'"
        )
    else:
        pytest.skip(f"{package} is installed")
