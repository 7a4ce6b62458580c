"""The Python reader: what it keeps in memory never shows, except in how few files it opens."""

from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any, Self

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.dataset_support import STAGING, listed, put, vacua
from vulcan_cli import FeatureSpec, Vulcan, VulcanMLView, VulcanReader
from vulcan_cli.dataset import away, footers
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.memory import MOST_BYTES, Memory
from vulcan_cli.dataset.sources import Found
from vulcan_cli.errors import UsageError
from vulcan_cli.vacua.held import held_schema

QUERIES: list[dict[str, Any]] = [
    {},
    {"h12": 2},
    {"ks_id": 5},
    {"ks_id": -1},
    {"run_id": "2026-11-23-195030_landscape_h11-132_h12-2_ks-5_triang-0_seed-205003"},
    {"geometry_id": "53c720309c3cfd39"},
    {"is_susy": True, "solver_name": "newton_SUSY_ISD+"},
    {"is_isd": True},
    {"columns": ["tau_im", "flux"], "sort": ("-tau_im",), "limit": 7},
    {"columns": ["tau_im"], "is_susy": False},
    {"where": "tau_im > 5 AND flux[1] > 0"},
]


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """The synced part of a staging directory: the peer's four shards and two of ours."""
    root = tmp_path / "staging"
    shutil.copytree(STAGING / "synced", root / "synced")
    put(root / "synced", vacua(3, is_isd=[True, False, None], extra=1), "a", h11=2, h12=2)
    put(root / "synced", vacua(2, extra=["x", "y"], tags="t").drop("extra"), "b", ks_id=5)
    return root


def test_a_reader_and_its_view_show_where_they_read_and_no_secret(tmp_path: Path) -> None:
    token = "hf_" + 24 * "a"
    local = VulcanReader.from_local(tmp_path / "none")
    hub = VulcanReader.from_hf("owner/name", revision=token, token=token)
    folder = VulcanReader.from_hf("file:///a%20b")
    vulcan = Vulcan(repo="owner/name", staging_dir="/spool", token=token)
    names = (token, "https://me:secret@val")

    shown = {
        local: f"VulcanReader.from_local('{tmp_path}/none')",
        hub: "VulcanReader.from_hf('owner/name', revision='[hidden]')",
        folder: "VulcanReader.from_hf('file:///a%20b', revision='main')",
        vulcan.reader(): "Vulcan(repo='owner/name', staging_dir='/spool').reader()",
        VulcanReader(source=listed_nowhere): "VulcanReader(source=listed_nowhere)",
        VulcanReader(source=partial(listed_nowhere)): "VulcanReader(source=partial)",
        VulcanMLView(folder, folds=2): (
            "VulcanMLView(VulcanReader.from_hf('file:///a%20b', revision='main'), "
            "splits=('fold0', 'fold1'), fractions=(0.5, 0.5))"
        ),
        VulcanMLView(local, splits=names, fractions=(1, 0)): (
            f"VulcanMLView(VulcanReader.from_local('{tmp_path}/none'), "
            "splits=('[hidden]', '[hidden]val'), fractions=(1.0, 0.0))"
        ),
    }

    assert [repr(each) for each in shown] == [*shown.values()]
    assert repr(pickle.loads(pickle.dumps(hub))) == shown[hub]


def listed_nowhere() -> Found:
    raise AssertionError("nothing is read to be shown")


@pytest.mark.parametrize("asked", QUERIES, ids=str)
def test_memory_changes_no_answer(staging: Path, asked: dict[str, Any]) -> None:
    keeping = VulcanReader.from_local(staging)
    forgetful = VulcanReader.from_local(staging, cache_size=0)

    answers = [reader.query(**asked) for reader in (forgetful, keeping, keeping)]

    for answer in answers[1:]:
        assert answer.schema == answers[0].schema
        assert answer.equals(answers[0])


def test_memory_holds_a_column_whose_name_is_empty(staging: Path) -> None:
    source = put(staging / "synced", vacua(2, named=[7, 8]), "nameless", h11=2)
    # We refuse to stage such a column; the peer does not.
    table = pq.read_table(source.file)
    names = ["" if name == "named" else name for name in table.column_names]
    kept = pq.read_schema(source.file).metadata
    pq.write_table(table.rename_columns(names).replace_schema_metadata(kept), source.file)
    forgetful = VulcanReader.from_local(staging, cache_size=0)
    keeping = VulcanReader.from_local(staging)

    found = keeping.query(h11=2)

    assert found.equals(forgetful.query(h11=2))
    assert found[""].to_list() == [7, 8, None, None, None]
    assert keeping.fetch_run("nameless")[""].to_list() == [7, 8]


def test_a_schema_is_parsed_once_for_all_shards_of_a_repo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vulcan = Vulcan(repo=tmp_path / "repo", staging_dir=tmp_path / "staging")
    for ks_id in range(3):
        keys = {"h11": 3, "h12": 2, "ks_id": ks_id}
        vulcan.write(vacua(2), geometry=keys, tadpole_charge=9)
    assert vulcan.sync(create_repo=True).n_committed == 3
    parsed: list[bytes] = []

    def parse(tail: bytes) -> pl.Schema:
        parsed.append(tail)
        return held_schema(tail)

    monkeypatch.setattr(away, "AT_ONCE", 1)
    monkeypatch.setattr(footers, "held_schema", parse)

    assert VulcanReader.from_hf(tmp_path / "repo").query().height == 6
    assert len(parsed) == 1


def test_a_reader_keeps_no_fewer_shards_than_none(staging: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        VulcanReader.from_local(staging, cache_size=-1)

    assert str(refusal.value) == "cache_size must be at least 0, not -1"
    assert VulcanReader.from_local(staging, cache_size=0).query(h11=2).height == 3


def test_a_key_may_be_the_largest_of_its_kind_in_numpy(staging: Path) -> None:
    np = pytest.importorskip("numpy")
    put(staging / "synced", vacua(2), "far", h11=127, ks_id=2**31 - 1)
    reader = VulcanReader.from_local(staging)
    expected = reader.fetch_run("far")

    assert expected.height == 2
    assert reader.query(h11=np.int8(127)).equals(expected)
    assert reader.query(ks_id=np.int32(2**31 - 1)).equals(expected)


def test_columns_that_a_shard_lacks_are_left_out(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    path = reader.catalog().filter(run_id="b")["path_in_repo"].item()

    found = reader.read_columns(path, ["tags", "is_susy", "tau_im", "tags", "*", "^flux$"])

    assert found.equals(reader.fetch_shard(path).select("tags", "tau_im"))


def test_a_second_lookup_opens_no_file(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    before = reader.query(h12=2)

    shutil.rmtree(staging / "synced")

    assert reader.query(h12=2).equals(before)
    narrower = reader.query(h12=2, ks_id=5)
    assert narrower.equals(before.filter(ks_id=5).select(narrower.columns))


def test_a_reader_keeps_only_the_shards_used_last(staging: Path) -> None:
    reader = VulcanReader.from_local(staging, cache_size=2)
    first, second, third = reader.catalog()["path_in_repo"][:3]
    kept = {path: reader.fetch_shard(path) for path in (first, second, first, third)}

    shutil.rmtree(staging / "synced")

    assert reader.fetch_shard(first).equals(kept[first])
    assert reader.fetch_shard(third).equals(kept[third])
    with pytest.raises(FileNotFoundError):
        reader.fetch_shard(second)


def test_a_shard_that_others_push_out_is_still_in_the_answer(staging: Path) -> None:
    reader = VulcanReader.from_local(staging, cache_size=3)
    everything = VulcanReader.from_local(staging).query()
    for path in reader.catalog()["path_in_repo"][:3]:
        reader.fetch_shard(path)
    for keys in ({"ks_id": 5}, {"ks_id": 4}, {"ks_id": -1}, {"ks_id": 3}, {"ks_id": 5}):
        found = reader.query(**dict[str, Any](keys))
        assert found.equals(everything.filter(**keys).select(found.columns))
        assert found.height > 0


def test_a_question_asked_again_has_its_answer_until_the_catalog_is_read_anew(
    staging: Path,
) -> None:
    reader = VulcanReader.from_local(staging)
    first = reader.query(ks_id=5, sort=["tau_im"])
    mine = reader.query(ks_id=5, sort=["tau_im"])
    mine.drop_in_place("flux")
    put(staging / "synced", vacua(1), "later", ks_id=5)

    assert reader.query(ks_id=5, sort=["tau_im"]).equals(first)
    assert reader.query(ks_id=5).height == first.height
    reader.catalog(refresh=True)
    assert reader.query(ks_id=5, sort=["tau_im"]).height == first.height + 1


def test_an_answer_of_a_catalog_that_was_read_anew_meanwhile_is_not_kept(staging: Path) -> None:
    """Another thread may ask for a new catalog while a query runs; here the query itself does."""

    class Renewing(Catalog):
        def where(self, condition: pl.Expr) -> Self:
            if len(catalogs) == 1:
                put(staging / "synced", vacua(1), "later", ks_id=5)
                reader.catalog(refresh=True)
            return super().where(condition)

    def source() -> Found:
        found = Catalog.read(listed(staging / "synced"))
        catalogs.append(found)
        return Found(Renewing(found.rows, found.schemas), "here")

    catalogs: list[Catalog] = []
    reader = VulcanReader(source=source)
    first = reader.query(ks_id=5)

    assert len(catalogs) == 2
    assert reader.query(ks_id=5).height == first.height + 1


def test_a_file_of_most_bytes_is_read_but_not_kept(tmp_path: Path) -> None:
    source = put(tmp_path, vacua(2), "a", h11=2)
    memory = Memory(5)

    memory.load("small", source.file, MOST_BYTES)
    memory.load("large", source.file, MOST_BYTES + 1)

    assert memory.get("large") is None
    assert memory.get("small") is not None
    memory.load("other", source.file, 1)
    assert memory.get("small") is None


def test_threads_that_load_one_shard_at_once_keep_it_once(tmp_path: Path) -> None:
    rows = vacua(50)
    source = put(tmp_path, rows, "a", h11=2)
    memory = Memory(2)
    together = Barrier(8)

    def load(name: str) -> list[int]:
        together.wait()
        return memory.load(name, source.file, MOST_BYTES // 2)["flux"].list.first().to_list()

    with ThreadPoolExecutor(8) as threads:
        for name in map(str, range(10)):
            assert list(threads.map(load, [name] * 8)) == [list(range(50))] * 8
            assert memory.get(name) is not None

    assert memory.get("8") is not None


def test_a_caller_may_change_what_it_was_given(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    path = reader.catalog()["path_in_repo"][0]
    before = reader.fetch_shard(path).clone()

    mine = reader.fetch_shard(path)
    mine.drop_in_place("flux")
    mine[0, "tau_im"] = -1.0

    assert reader.fetch_shard(path).equals(before)


def test_a_bad_shard_is_left_out_of_an_answer_from_memory_too(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    expected = reader.query(cicy_id=-1).filter(pl.col.run_id != "a")
    reader.clear_cache()
    reader.catalog()

    (broken,) = (staging / "synced").glob("*run_a.parquet")
    broken.unlink()

    assert reader.query(cicy_id=-1).equals(expected)


def test_clearing_forgets_shards_and_catalog(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    assert reader.query(h11=2).height == 3

    shutil.rmtree(staging / "synced")
    (staging / "synced").mkdir()
    reader.clear_cache()

    assert reader.query(h11=2).height == 0
    assert reader.catalog().height == 0


def test_every_split_has_the_same_columns(staging: Path) -> None:
    """Also where only shards of another split have them."""
    reader = VulcanReader.from_local(staging)
    everything = reader.query()
    for seed in range(20):
        view = VulcanMLView(reader, fractions=(0.5, 0.5), splits=("a", "b"), salt=str(seed))
        assigned = dict(view.split_assignments().iter_rows())
        spec = FeatureSpec(features=everything.columns)
        for split in ("a", "b"):
            found = view.as_dataframe(split, feature_spec=spec)
            mine = everything.filter(pl.col("geometry_id").replace_strict(assigned) == split)
            assert found.schema == everything.schema
            assert found.equals(mine)
            assert view.as_dataframe(split).columns == view.as_dataframe("a").columns


def test_features_may_be_filtered_and_chosen(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    view = VulcanMLView(reader, fractions=(1.0,), splits=("all",))
    spec = FeatureSpec(features=["tau_im"], keep_geometry_id=False)

    found = view.as_dataframe("all", feature_spec=spec, query_filters={"ks_id": 5, "is_susy": True})

    assert found.equals(reader.query(ks_id=5, is_susy=True, columns=["tau_im"]))
    assert 0 < found.height < reader.query().height


def test_columns_of_a_filter_are_the_features_beside_the_geometry(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    view = VulcanMLView(reader, fractions=(1.0,), splits=("all",))
    asked = {"ks_id": 5, "columns": ["tau_im", "flux"]}

    kept = view.as_dataframe("all", query_filters=asked)
    alone = view.as_dataframe(
        "all", query_filters=asked, feature_spec=FeatureSpec(keep_geometry_id=False)
    )

    assert kept.equals(reader.query(ks_id=5, columns=["tau_im", "flux", "geometry_id"]))
    assert alone.equals(reader.query(ks_id=5, columns=["tau_im", "flux"]))


def test_a_text_where_names_are_asked_for_is_one_name(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    path = reader.catalog()["path_in_repo"][0]

    found = reader.query(columns="tau_im", sort="tau_im")

    assert found.equals(reader.query(columns=["tau_im"], sort=("tau_im",)))
    assert reader.read_columns(path, "tau_im").equals(reader.read_columns(path, ["tau_im"]))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"h11": [2, 3]}, "h11 is one integer, not [2, 3]: where='h11 IN (2, 3)' takes several"),
        ({"ks_id": "5"}, "ks_id is one integer, not '5'"),
        ({"h12": 2.0}, "h12 is one integer, not 2.0"),
        (
            {"run_id": ["a", "b"]},
            "run_id is one text, not ['a', 'b']: where=\"run_id IN ('a', 'b')\" takes several",
        ),
        ({"solver_name": 3}, "solver_name is one text, not 3"),
    ],
)
def test_a_filter_is_one_value(staging: Path, asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        VulcanReader.from_local(staging).query(**asked)
    assert str(refused.value) == sentence


def test_several_values_are_a_condition(staging: Path) -> None:
    reader = VulcanReader.from_local(staging)

    assert reader.query(where="h12 IN (2, 4)").equals(
        reader.query().filter(pl.col("h12").is_in([2, 4]))
    )
    assert reader.query(where="run_id IN ('a', 'b')")["run_id"].unique().sort().to_list() == [
        "a",
        "b",
    ]
