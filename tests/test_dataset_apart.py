"""Many footers read in several processes: the same catalog as in one, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from tests.dataset_support import put, vacua
from vulcan_cli.dataset import apart
from vulcan_cli.dataset.catalog import Catalog, Source


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    """Seven shards of two schemas, in parts of two, and three files that are none."""
    monkeypatch.setattr(apart, "_PART", 2)
    frames = [vacua(2, **({"extra": 1.5} if number % 3 == 0 else {})) for number in range(7)]
    good = [put(tmp_path, frame, f"r{n}", h11=3, h12=2, ks_id=n) for n, frame in enumerate(frames)]
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(good[0].file.read_bytes()[:-5])
    gone = Source("h12_2/h11_3/bucket_3/run_gone.parquet", tmp_path / "gone", "synced")
    bad = Source("h12_2/h11_3/bucket_3/run_cut.parquet", cut, "synced")
    other = Source("h12_2/h11_3/bucket_3/run_other.parquet", good[0].file, "synced")
    return [*good[:3], gone, *good[3:5], bad, other, *good[5:]]


def check_equal(found: Catalog, wanted: Catalog) -> None:
    schemas = [found.schemas[number] for number in found.rows["schema"]]
    assert schemas == [wanted.schemas[number] for number in wanted.rows["schema"]]
    assert_frame_equal(found.rows.drop("schema"), wanted.rows.drop("schema"))
    reasons = [
        [(each.path, each.reason, type(each.__cause__)) for each in catalog.bad]
        for catalog in (found, wanted)
    ]
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_several_processes_read_what_one_reads(shards: list[Source], processes: int) -> None:
    told: list[tuple[int, int]] = []
    found = apart.read_many(shards, lambda *step: told.append(step), processes=processes)
    check_equal(found, Catalog.read(shards))
    assert told[-1] == (10, 10)


def test_a_child_that_is_killed_is_done_without(
    shards: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_CHILD", f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")
    check_equal(apart.read_many(shards, processes=2), Catalog.read(shards))


def test_where_no_child_can_be_started_one_process_reads_all(
    shards: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    check_equal(apart.read_many(shards, processes=2), Catalog.read(shards))


def test_nothing_is_read_of_no_shards() -> None:
    assert apart.read_many([], processes=2).rows.height == 0


def test_a_script_that_reads_many_runs_once(tmp_path: Path, shards: list[Source]) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from vulcan_cli.dataset.apart import read_many\n"
        "from vulcan_cli.dataset.catalog import Source\n"
        f"source = Source({shards[0].path_in_repo!r}, Path({str(shards[0].file)!r}), 'synced')\n"
        "print(read_many([source], processes=2).rows.height)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1\n", "")
