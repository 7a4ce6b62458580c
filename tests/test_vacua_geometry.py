"""Geometry: ids, buckets, paths and splits' key, against vectors the peer made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_cli.errors import InputRefused
from vulcan_cli.vacua.geometry import KEYS, Geometry, file_name, path_of_file_name

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data/interop/geometries.json").read_text()
)

keys = st.integers(-1, 2**31 - 1)
geometries = (
    st.tuples(*[keys] * 6)
    .filter(lambda values: any(value != -1 for value in values))
    .map(lambda values: Geometry(*values))
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["geometry_id"])
def test_vectors_of_the_peer(vector: dict[str, Any]) -> None:
    geometry = Geometry.from_mapping(vector["geometry"])
    found = (geometry.geometry_id, geometry.bucket, geometry.path_in_repo("RUN"))
    assert found == (vector["geometry_id"], vector["bucket"], vector["path_in_repo"])


@given(geometries)
def test_text_and_mapping_give_the_geometry_back(geometry: Geometry) -> None:
    assert Geometry.parse(str(geometry)) == geometry
    assert Geometry.from_mapping(geometry.as_dict()) == geometry


@given(geometries)
def test_file_name_and_path_are_each_others_inverse(geometry: Geometry) -> None:
    path = geometry.path_in_repo("2026_a-b")
    assert path_of_file_name(file_name(path)) == path


def test_zero_is_a_value_and_minus_one_is_absent() -> None:
    assert Geometry.parse("triang_id=0") != Geometry.parse("ks_id=0")
    assert Geometry.parse("h12=2,ks_id=-1") == Geometry(h12=2)
    assert list(Geometry(h12=2).as_dict()) == list(KEYS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a geometry is written key=value,key=value (found '')"),
        ("h11=3,h12", "a geometry is written key=value,key=value (found 'h12')"),
        ("h11=3,h11=4", "h11 is given twice"),
        (
            "h21=3",
            f"there is no such key; keys are {', '.join(KEYS)}; CYTools' h21 is h12 here "
            "(found 'h21')",
        ),
        ("h13=3", f"there is no such key; keys are {', '.join(KEYS)} (found 'h13')"),
        ("h11=3.0", "h11 must be an integer (found '3.0')"),
        ("h11=two", "h11 must be an integer (found 'two')"),
        ("h11=-2", "h11 must be from -1 to 2147483647 (found -2)"),
        (
            "h11=2147483648",
            "h11 must be from -1 to 2147483647 (found 2147483648)",
        ),
        ("h11=-1", f"a geometry needs at least one of {', '.join(KEYS)}"),
        (
            "h12,h11=x,h11=4,ks_id=-3,h21=3",
            "a geometry is written key=value,key=value (found 'h12'); h11 is given twice; "
            f"there is no such key; keys are {', '.join(KEYS)}; CYTools' h21 is h12 here "
            "(found 'h21'); "
            "h11 must be an integer (found 'x'); "
            "ks_id must be from -1 to 2147483647 (found -3)",
        ),
    ],
)
def test_bad_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        Geometry.parse(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize("value", [True, 3.0, float("nan"), "3 4", [3]])
def test_only_exact_integers_are_keys(value: object) -> None:
    with pytest.raises(InputRefused):
        Geometry.from_mapping({"h11": value})


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "h12_2__h11_3__bucket_16__run_x.parquet",
        "h12_2__h11_3__bucket_1__run_x__y.parquet",
        "h12_2__h11_3__bucket_1__run_.parquet",
        "h12_2__h11_3__bucket_1__run_x.parquet\n",
        "h12_02__h11_3__bucket_1__run_x.parquet",
        "..__h12_2__h11_3__bucket_1__run_x.parquet",
        "h12_2__h11_3__bucket_1__run_x.parquet.meta.json",
    ],
)
def test_a_foreign_name_is_no_shard(name: str) -> None:
    assert path_of_file_name(name) is None
