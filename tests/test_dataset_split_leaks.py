"""No geometry ever stands in two splits: not after a refresh, nor on another machine or fold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli_support import CHECKOUT, clean
from tests.dataset_support import put, vacua
from vulcan_cli.dataset.frozen import freeze, read_frozen
from vulcan_cli.dataset.groups import group_ids
from vulcan_cli.dataset.splits import Splits, assignments, uniform
from vulcan_cli.vacua.geometry import KEYS, Geometry

KEY = st.integers(-1, 3)
GEOMETRIES = st.lists(
    st.tuples(*[KEY] * len(KEYS)).filter(lambda keys: any(key >= 0 for key in keys)),
    min_size=1,
    max_size=12,
    unique=True,
)
HOW = st.builds(
    replace,
    st.sampled_from(
        [
            Splits(),
            Splits(salt="s"),
            Splits(("a", "b"), (0.25, 0.75)),
            Splits(("a", "b", "c"), (0.3, 0.3, 0.4)),
        ]
    ),
    group_by=st.sampled_from(["geometry", "polytope"]),
)


def shards(keys: list[tuple[int, ...]]) -> pl.DataFrame:
    """What a catalog says of shards of some geometries, two of each."""
    named = [dict(zip(KEYS, each, strict=True)) for each in keys]
    rows = [{"geometry_id": Geometry(**each).geometry_id, "n_rows": 3, **each} for each in named]
    return pl.DataFrame(rows * 2)


def split_by_geometry(rows: pl.DataFrame, splits: Splits) -> dict[str, str]:
    """Every geometry's split; two of them would be a leak."""
    told = rows.select("geometry_id", splits.of_shards(rows)).unique()
    assert told["geometry_id"].is_unique().all()
    assigned = assignments(rows, splits)
    found = dict(zip(assigned["geometry_id"], assigned["split"], strict=True))
    assert found == dict(told.iter_rows())
    return found


@given(GEOMETRIES, GEOMETRIES, HOW)
def test_what_comes_later_moves_nothing(
    first: list[tuple[int, ...]],
    more: list[tuple[int, ...]],
    splits: Splits,
) -> None:
    before = split_by_geometry(shards(first), splits)
    every = shards([*first, *(each for each in more if each not in first)])
    after = split_by_geometry(every, splits)
    assert {each: after[each] for each in before} == before
    groups = every.select(group_ids(every, splits.group_by).alias("group"), splits.of_shards(every))
    assert groups.unique()["group"].is_unique().all()


@settings(max_examples=15)
@given(GEOMETRIES, GEOMETRIES, HOW, st.text())
def test_what_is_frozen_outlives_any_other_draw(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[int, ...]],
    more: list[tuple[int, ...]],
    splits: Splits,
    salt: str,
) -> None:
    file = tmp_path_factory.mktemp("frozen") / "splits.json"
    salt = salt.encode(errors="ignore").decode()
    before = split_by_geometry(shards(first), splits)
    freeze(file, splits, shards(first))
    for _ in range(2):
        held = read_frozen(file)
        count = len(held.names)
        drawn = Splits(held.names, (1 / count,) * count, salt, held.group_by, held.frozen)
        every = shards([*first, *(each for each in more if each not in first)])
        after = split_by_geometry(every, drawn)
        assert {each: after[each] for each in before} == before
        freeze(file, drawn, every)
        before = after


@given(GEOMETRIES, st.integers(2, 9), st.text("ab"))
def test_folds_cut_the_same_number_and_leave_nobody_out(
    keys: list[tuple[int, ...]], number: int, salt: str
) -> None:
    rows = shards(keys)
    folds = Splits.folds(number, salt=salt)
    found = split_by_geometry(rows, folds)
    assert found.keys() == set(rows["geometry_id"])
    for geometry_id, fold in found.items():
        place = int(uniform(geometry_id, salt=salt) * number)
        # At the very edge, the sum of the fractions decides.
        assert abs(folds.names.index(fold) - place) <= 1
        twice = Splits.folds(2 * number, salt=salt).of(geometry_id)
        assert int(twice.removeprefix("fold")) // 2 == folds.names.index(fold)


def test_another_process_says_the_same(tmp_path: Path) -> None:
    """With other hashes, threads and locale, as on another machine."""
    ids = [f"{number:016x}" for number in range(500)]
    code = (
        "import json, sys, polars as pl\n"
        "from vulcan_cli.dataset.splits import Splits\n"
        "print(json.dumps(Splits(salt='\u00fc').of_all(pl.Series(json.load(sys.stdin))).to_list()))"
    )
    env = clean(tmp_path, PYTHONHASHSEED="7", POLARS_MAX_THREADS="1", LC_ALL="C")
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code],
        input=json.dumps(ids).encode(),
        env=env,
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    assert json.loads(done.stdout) == [Splits(salt="\u00fc").of(each) for each in ids]


WRITE = """
import sys
from pathlib import Path
from tests.dataset_support import listed
from vulcan_cli.dataset import split_files
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.split_view import SplitView
from vulcan_cli.dataset.splits import Splits
from vulcan_cli.files import paths
shards = Catalog.read(listed(Path(sys.argv[1])))
view = SplitView(catalog=shards, filters=Filters(), splits=Splits())
def slow(path):
    print(path, flush=True)
    sys.stdin.read()
if len(sys.argv) > 3:
    paths.fsync_dir = slow
split_files.write_splits(Path(sys.argv[2]), view, seed=1)
"""


def test_killed_while_it_writes_it_leaves_no_folder_and_runs_again(tmp_path: Path) -> None:
    folder = tmp_path / "synced"
    folder.mkdir()
    put(folder, vacua(5), "a", h11=3, h12=2)
    command = [sys.executable, "-c", WRITE, str(folder), str(tmp_path / "ml")]
    child = subprocess.Popen(
        [*command, "slow"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean(tmp_path),
    )
    assert child.stdout is not None
    # All files are written by then, and the folder has still to get its name.
    making = Path(child.stdout.readline().decode().strip())
    child.kill()
    child.communicate()
    assert len(list(making.iterdir())) == 4
    assert not (tmp_path / "ml").exists()
    subprocess.run(command, cwd=CHECKOUT, check=True, env=clean(tmp_path))
    assert len(list((tmp_path / "ml").iterdir())) == 4
    assert making.exists()
    long_ago = making.stat().st_mtime - 2 * 86_400
    os.utime(making, (long_ago, long_ago))
    shutil.rmtree(tmp_path / "ml")
    subprocess.run(command, cwd=CHECKOUT, check=True, env=clean(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ml", "synced"]
