"""Many footers read in several processes: the same catalog as in one, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from tests.dataset_support import put, vacua
from vulcan_cli.dataset.catalog import Catalog, Source
from vulcan_cli.dataset.processes import read_folder
from vulcan_cli.vacua.geometry import path_of_file_name

MODULE = "vulcan_cli.dataset.processes"
OTHER = "h12_2__h11_3__bucket_3__run_"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven shards of two schemas, to be read in parts of two, and three files that are none."""
    monkeypatch.setattr(f"{MODULE}._PART", 2)
    frames = [vacua(2, **({"extra": 1.5} if number % 3 == 0 else {})) for number in range(7)]
    good = [put(tmp_path, frame, f"r{n}", h11=3, h12=2, ks_id=n) for n, frame in enumerate(frames)]
    (tmp_path / f"{OTHER}cut.parquet").write_bytes(good[0].file.read_bytes()[:-5])
    (tmp_path / f"{OTHER}other.parquet").write_bytes(good[0].file.read_bytes())
    return tmp_path


def names(folder: Path) -> list[str]:
    """What stands there, and what is gone since it was listed."""
    found = sorted(path.name for path in folder.iterdir())
    return [*found[:3], f"{OTHER}gone.parquet", *found[3:]]


def alone(folder: Path) -> Catalog:
    """What one look at all of them finds."""
    paths = {name: path_of_file_name(name) for name in names(folder)}
    return Catalog.read(
        Source(path, folder / name, "synced") for name, path in paths.items() if path is not None
    )


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
def test_several_processes_read_what_one_reads(folder: Path, processes: int) -> None:
    told: list[tuple[int, int]] = []
    found = read_folder(
        folder, names(folder), "synced", lambda *step: told.append(step), processes=processes
    )
    check_equal(found, alone(folder))
    assert len(found.bad) == 3
    assert told[-1] == (10, 10)


def test_a_child_that_is_killed_is_done_without(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        f"{MODULE}._CHILD", f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    )
    found = read_folder(folder, names(folder), "synced", processes=2)
    check_equal(found, alone(folder))


def test_where_no_child_can_be_started_one_process_reads_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = read_folder(folder, names(folder), "synced", processes=2)
    check_equal(found, alone(folder))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_name_that_no_shard_can_have_is_passed_over(folder: Path, processes: int) -> None:
    given = ["x.parquet", *names(folder)]
    found = read_folder(folder, given, "synced", processes=processes)
    check_equal(found, alone(folder))


def test_nothing_is_read_of_no_shards(tmp_path: Path) -> None:
    assert read_folder(tmp_path, [], "synced", processes=2).rows.height == 0


def test_who_is_interrupted_does_not_wait_for_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper is at work when it happens: it ends its part, and begins no other."""
    busy, cleared = threading.Event(), threading.Event()
    in_time: list[bool] = []

    class Waiting(deque[object]):
        def clear(self) -> None:
            super().clear()
            cleared.set()

    def help_with(_child: object, _part: object) -> list[Catalog]:
        busy.set()
        in_time.append(cleared.wait(20))
        return []

    def interrupt(*_: int) -> None:
        assert busy.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{MODULE}.deque", Waiting)
    monkeypatch.setattr(f"{MODULE}._Child.read", help_with)
    with pytest.raises(KeyboardInterrupt):
        read_folder(folder, names(folder), "synced", interrupt, processes=2)
    assert in_time == [True]


def test_a_script_that_reads_many_runs_once(tmp_path: Path, folder: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from vulcan_cli.dataset.processes import read_folder\n"
        f"found = read_folder(Path({str(folder)!r}), {names(folder)!r}, 'synced', processes=2)\n"
        "print(found.rows.height)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "7\n", "")
