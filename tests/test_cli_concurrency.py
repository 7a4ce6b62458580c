"""P3 and P4: many workers, one geometry, one moment, no seed.

`python -m tests.campaign.workers` does the same with 200 of them.
"""

from pathlib import Path

import polars as pl

from tests.barrier import all_at_once
from tests.cli_in_process import run
from tests.cli_shards import KEYS
from tests.cli_support import Ran
from tests.folders import tree
from tests.vacua_support import rows
from vulcan_cli.vacua.shard import read_footer


def stage(file: str) -> list[str]:
    return ["stage", file, "-g", KEYS, "--staging-dir", "spool", "--set", "date=X", "-q"]


def results(folder: Path, count: int) -> dict[str, list[list[int]]]:
    """Files of different rows; name to flux."""
    flux = {}
    for number in range(count):
        flux_of = [[number, row, *range(10)] for row in range(2)]
        rows(2, flux=flux_of).write_parquet(folder / f"{number}.parquet")
        flux[f"{number}.parquet"] = flux_of
    return flux


def shards(folder: Path) -> list[Path]:
    """All shards in pending/; each stands there with its sidecar, and nothing else does."""
    found = sorted(folder.glob("spool/pending/*.parquet"))
    beside = [path.with_name(f"{path.name}.meta.json") for path in found]
    assert sorted((folder / "spool/pending").iterdir()) == sorted([*found, *beside])
    return found


def check_workers(folder: Path, *, different: int, equal: int) -> None:
    """Some workers stage rows of their own, some all the same rows, at one moment."""
    flux = results(folder, different + 1)
    *own, shared = flux
    files = [*own, *[shared] * equal]
    ran = all_at_once([stage(file) for file in files], cwd=folder)
    assert [(each.code, each.err) for each in ran] == [(0, "")] * len(files)
    told = {file: each.out.rstrip("\n") for file, each in zip(files, ran, strict=True)}
    # Whoever staged the same rows was told the same path.
    assert [each.out for each in ran] == [f"{told[file]}\n" for file in files]
    assert len(set(told.values())) == different + 1
    assert shards(folder) == sorted(folder / path for path in told.values())
    for file, path in told.items():
        assert pl.read_parquet(folder / path)["flux"].to_list() == flux[file]
        assert read_footer(folder / path).n_rows == 2


def test_p4_different_rows_never_share_a_name_and_equal_rows_always_do(tmp_path: Path) -> None:
    check_workers(tmp_path, different=8, equal=6)


def test_p3_one_name_for_different_rows_goes_to_one_worker(tmp_path: Path) -> None:
    flux = results(tmp_path, 8)
    ran = all_at_once([[*stage(file), "--run-id", "r"] for file in flux], cwd=tmp_path)
    assert sorted(each.code for each in ran) == [0, *[3] * 7]
    (won,) = (file for file, each in zip(flux, ran, strict=True) if each.code == 0)
    (path,) = shards(tmp_path)
    assert pl.read_parquet(path)["flux"].to_list() == flux[won]
    assert {each.out for each in ran if each.code} == {""}


def test_workers_stage_while_a_sync_drains(tmp_path: Path) -> None:
    flux = results(tmp_path, 8)
    first, *others = flux
    assert run(*stage(first), cwd=tmp_path).code == 0
    sync = ["sync", "--staging-dir", "spool", "--repo", "./repo", "--create-repo", "-q"]
    ran = all_at_once([sync, *(stage(file) for file in others)], cwd=tmp_path)
    assert [(each.code, each.err) for each in ran] == [(0, "")] * 8
    assert run(*sync, cwd=tmp_path) == Ran(0, "", "")
    assert shards(tmp_path) == []
    held = [
        pl.read_parquet(tmp_path / "repo" / path)["flux"].to_list()
        for path in tree(tmp_path / "repo")
        if path.endswith(".parquet")
    ]
    assert sorted(held) == sorted(flux.values())
