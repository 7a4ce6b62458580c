"""The catalog that is kept beside the folders: always what reading every footer would tell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.cli_support import clean
from tests.dataset_support import put, vacua
from vulcan_cli.dataset import catalog_words, local_catalog
from vulcan_cli.dataset.catalog import SCHEMA, Catalog, Source
from vulcan_cli.dataset.local_catalog import keep, read_state
from vulcan_cli.dataset.state_folder import listing_of
from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.area import STATES, StagingArea
from vulcan_cli.staging.ledger import Ledger, LedgerEntry
from vulcan_cli.vacua.geometry import path_of_file_name

SHA = "ab" * 32


@contextmanager
def staging() -> Iterator[StagingArea]:
    with tempfile.TemporaryDirectory() as folder:
        area = StagingArea(Path(folder))
        area.create()
        yield area


@pytest.fixture
def area() -> Iterator[StagingArea]:
    with staging() as made:
        yield made


def stored(area: StagingArea) -> Path:
    return area.private / "catalog" / "synced.catalog"


def read_anew(area: StagingArea) -> Catalog:
    files = sorted(area.synced.glob("h12_*.parquet"))
    paths = [path_of_file_name(file.name) for file in files]
    return Catalog.read(
        Source(path, file, "synced") for path, file in zip(paths, files, strict=True) if path
    )


def assert_same(found: Catalog, wanted: Catalog) -> None:
    """The same shards, each with the same schema, and the same bad ones."""
    assert_frame_equal(found.rows.drop(SCHEMA), wanted.rows.drop(SCHEMA))
    assert [found.schemas[n] for n in found.rows[SCHEMA]] == [
        wanted.schemas[n] for n in wanted.rows[SCHEMA]
    ]
    assert len(found.schemas) == wanted.rows[SCHEMA].n_unique()
    assert [(bad.path, bad.reason) for bad in found.bad] == [
        (bad.path, bad.reason) for bad in wanted.bad
    ]


def entry(path: str, size: int, moment: float, repo: str = "me") -> LedgerEntry:
    return LedgerEntry(path, SHA, size, repo, "main", "c" * 40, moment)


def name_in(area: StagingArea, number: int) -> Path:
    """One of a few names, whether or not a file has it."""
    name = f"h12_2__h11_3__bucket_3__run_r{number}.parquet"
    return area.synced / name


def add(area: StagingArea, number: int) -> None:
    """A shard, of one of a few schemas; it takes the place of what was there."""
    source = put(
        area.pending, vacua(number % 3 + 1, **{f"extra{number % 2}": 1}), f"r{number}", h11=3, h12=2
    )
    source.file.replace(name_in(area, number))


def replace_alike(area: StagingArea, number: int) -> None:
    """Another file of the same name, size and time, if there is one: other rows, say."""
    there = name_in(area, number)
    if there.is_file():
        status = there.stat()
        source = put(area.pending, vacua(4, tau_re=[9.0] * 4), f"r{number}", h11=3, h12=2)
        os.utime(source.file, ns=(status.st_atime_ns, status.st_mtime_ns))
        source.file.replace(there)


def rewrite(area: StagingArea, number: int) -> None:
    """Other rows in the same file, as `cp` over a file leaves them; before, half of them."""
    there = name_in(area, number)
    if there.is_file():
        source = put(area.pending, vacua(5, tau_re=[7.0] * 5), f"r{number}", h11=3, h12=2)
        data = source.file.read_bytes()
        source.file.unlink()
        there.write_bytes(data[: len(data) // 2])
        read_state(area, "synced")
        there.write_bytes(data)


def truncate(area: StagingArea, number: int) -> None:
    if name_in(area, number).is_file():
        os.truncate(name_in(area, number), 3)


def spoil(area: StagingArea, number: int) -> None:
    temporary = area.root / "spoiled"
    temporary.write_bytes(b"no parquet" * (number + 1))
    temporary.replace(name_in(area, number))


def remove(area: StagingArea, number: int) -> None:
    name_in(area, number).unlink(missing_ok=True)


def foreign(area: StagingArea, number: int) -> None:
    (area.synced / f"notes{number}.parquet").write_text("not a shard's name")
    (area.synced / os.fsdecode(b"\xff.parquet")).write_text("nor text")


def tear(area: StagingArea, number: int) -> None:
    """The stored catalog loses its end."""
    if stored(area).exists():
        stored(area).write_bytes(stored(area).read_bytes()[: -number - 1])


def flip(area: StagingArea, number: int) -> None:
    """A bit of the stored catalog turns."""
    if stored(area).exists():
        data = bytearray(stored(area).read_bytes())
        data[number * 997 % len(data)] ^= 1 << number % 8
        stored(area).write_bytes(data)


def look(area: StagingArea, _: int) -> None:
    read_state(area, "synced")


def look_twice(area: StagingArea, _: int) -> None:
    read_state(area, "synced")
    read_state(area, "synced")


def keep_all(area: StagingArea, _: int) -> None:
    keep(area)


ACTS: list[Callable[[StagingArea, int], None]] = [
    add,
    replace_alike,
    rewrite,
    truncate,
    spoil,
    remove,
    foreign,
    tear,
    flip,
    look,
    look_twice,
    keep_all,
]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5)), max_size=14))
def test_whatever_happens_behind_its_back_it_tells_what_is_there(
    acts: list[tuple[Callable[[StagingArea, int], None], int]],
) -> None:
    with staging() as area:
        for act, number in acts:
            act(area, number)

        assert_same(read_state(area, "synced").catalog, read_anew(area))
        assert_same(read_state(area, "synced").catalog, read_anew(area))


def test_what_is_known_is_not_read_again(area: StagingArea) -> None:
    """A footer spoiled in place, behind the same name, size and time, is not looked at."""
    add(area, 1)
    add(area, 2)
    read_state(area, "synced")
    file = name_in(area, 1)
    status = file.stat()
    with file.open("r+b") as stream:
        stream.seek(-8, os.SEEK_END)
        stream.write(b"....XXXX")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    add(area, 3)

    assert read_state(area, "synced").catalog.rows["run_id"].to_list() == ["r1", "r2", "r3"]
    assert [bad.path for bad in read_anew(area).bad] == [file]


def test_a_shard_that_is_still_copied_counts_once_it_is_there(area: StagingArea) -> None:
    add(area, 1)
    add(area, 2)
    whole = name_in(area, 1).read_bytes()
    name_in(area, 1).write_bytes(whole[:-100])
    assert [bad.path for bad in read_state(area, "synced").catalog.bad] == [name_in(area, 1)]
    name_in(area, 1).write_bytes(whole)
    assert_same(read_state(area, "synced").catalog, read_anew(area))


@pytest.mark.parametrize(("few", "told"), [(2, ["r0", "r2"]), (1, ["r0", "r1", "r2"])])
def test_of_few_shards_each_is_looked_at_of_many_the_folder(
    area: StagingArea, monkeypatch: pytest.MonkeyPatch, few: int, told: list[str]
) -> None:
    for number in range(3):
        add(area, number)
    read_state(area, "synced")
    os.truncate(name_in(area, 1), 3)
    monkeypatch.setattr(local_catalog, "_FEW", few)
    read_state(area, "synced", where=pl.col("run_id") != "r2")
    monkeypatch.setattr(local_catalog, "_FEW", 0)
    assert read_state(area, "synced").catalog.rows["run_id"].to_list() == told


def test_footers_are_told_of_as_they_are_read(area: StagingArea) -> None:
    told: list[tuple[int, int]] = []
    add(area, 1)
    add(area, 2)
    read_state(area, "synced", lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]
    add(area, 3)
    read_state(area, "synced", lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2), (1, 1)]
    read_state(area, "synced", lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2), (1, 1)]


def test_one_look_at_the_folder_is_enough_while_nothing_changes(area: StagingArea) -> None:
    add(area, 1)
    first = read_state(area, "synced").catalog
    moment = area.synced.stat().st_mtime_ns
    written = stored(area).stat()

    again = read_state(area, "synced").catalog

    assert_same(again, first)
    assert area.synced.stat().st_mtime_ns == moment
    assert stored(area).stat() == written


@pytest.mark.parametrize("at_once", [True, False], ids=["healed", "stored"])
def test_shards_are_told_that_were_asked_for(area: StagingArea, *, at_once: bool) -> None:
    for number in range(4):
        add(area, number)
    spoil(area, 5)
    if not at_once:
        read_state(area, "synced")
    wanted = read_anew(area).where(pl.col("run_id") == "r2")

    held = read_state(area, "synced", where=pl.col("run_id") == "r2")

    assert held.catalog.rows["run_id"].to_list() == ["r2"]
    assert_frame_equal(held.catalog.rows.drop(SCHEMA), wanted.rows.drop(SCHEMA))
    assert held.n_shards == 4
    assert len(held.catalog.schemas) == len(wanted.schemas) == 2
    assert [bad.path for bad in held.catalog.bad] == [name_in(area, 5)]


def test_the_folder_keeps_its_second(area: StagingArea) -> None:
    add(area, 1)
    os.utime(area.synced, ns=(10**18, 1_600_000_000 * 10**9 + 5))

    read_state(area, "synced")

    assert int(area.synced.stat().st_mtime) == 1_600_000_000


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another account")
def test_who_may_not_write_works_from_memory(area: StagingArea) -> None:
    for number in (1, 2):
        add(area, number)
    read_state(area, "synced")
    add(area, 3)
    moments = (area.synced.stat().st_mtime_ns, stored(area).read_bytes())
    area.root.chmod(0o755)

    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from vulcan_cli.dataset.local_catalog import keep, read_state\n"
        "from vulcan_cli.staging.area import StagingArea\n"
        # Whatever is loaded late is loaded now, while we may read it.
        "read_state(StagingArea(Path(sys.argv[2])), 'synced')\n"
        "os.setuid(65534)\n"
        "area = StagingArea(Path(sys.argv[1]))\n"
        "keep(area)\n"
        "print(*read_state(area, 'synced').catalog.rows['run_id'])\n"
    )
    with staging() as other:
        add(other, 1)
        said = subprocess.run(
            [sys.executable, "-c", code, area.root, other.root],
            env=clean(Path("/")),
            capture_output=True,
            text=True,
            check=False,
        )

    assert (said.stdout, said.stderr) == ("r1 r2 r3\n", "")
    assert (area.synced.stat().st_mtime_ns, stored(area).read_bytes()) == moments


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give a folder away")
def test_a_staging_directory_of_another_account_gets_no_private_folder(area: StagingArea) -> None:
    add(area, 1)
    os.chown(area.root, 65534, 65534)

    assert read_state(area, "synced").catalog.rows.height == 1
    assert not area.private.exists()


def test_the_ledger_tells_sha256_of_the_bytes_it_saw(area: StagingArea) -> None:
    for number in (1, 2, 3, 4):
        add(area, number)
    files = [name_in(area, number) for number in (1, 2, 3)]
    paths = read_state(area, "synced").catalog.rows["path_in_repo"]
    sizes = [file.stat().st_size for file in files]
    Ledger(area).append(
        [
            entry(paths[0], sizes[0], time.time()),
            entry(paths[1], sizes[1] + 1, time.time()),
            entry(paths[2], sizes[2], time.time() - 86_400),
        ]
    )

    rows = read_state(area, "synced").catalog.rows

    assert rows["sha256"].to_list() == [SHA, None, None, None]
    keep(area)
    assert read_state(area, "synced").catalog.rows["sha256"].to_list() == [SHA, None, None, None]


def test_what_the_ledger_knows_and_the_folder_lacks_was_trimmed(area: StagingArea) -> None:
    add(area, 1)
    (path,) = read_state(area, "synced").catalog.rows["path_in_repo"]
    gone = [path.replace("r1", f"r{number}") for number in (8, 9)]
    Ledger(area).append([entry(each, 1, 0.0) for each in (path, *gone)])
    Ledger(area).append([entry(gone[1], 1, 0.0, repo="other")])

    assert read_state(area, "synced").trimmed == {gone[0]: "me", gone[1]: "other"}
    remove(area, 1)
    assert read_state(area, "synced").trimmed == {path: "me", gone[0]: "me", gone[1]: "other"}


def test_what_can_be_read_later_is_not_held_against_a_file(
    area: StagingArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is gone when it is opened, or may not be read yet, is asked for again."""
    add(area, 1)
    add(area, 2)
    file, elsewhere = name_in(area, 2), area.root / "elsewhere"

    def listed_and_gone(folder: Folder) -> pl.DataFrame:
        listing = listing_of(folder)
        file.rename(elsewhere)
        return listing

    with monkeypatch.context() as patch:
        patch.setattr(local_catalog, "listing_of", listed_and_gone)
        (bad,) = read_state(area, "synced").catalog.bad
    elsewhere.rename(file)

    assert (bad.path, bad.reason) == (file, "it is gone since it was listed")
    assert read_state(area, "synced").catalog.rows["run_id"].to_list() == ["r1", "r2"]


def test_kill_at_any_moment_leaves_a_catalog_that_is_whole_or_none(tmp_path: Path) -> None:
    area = StagingArea(tmp_path)
    area.create()
    for number in range(6):
        add(area, number)
    wanted = read_anew(area)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from vulcan_cli.dataset.local_catalog import read_state\n"
        "from vulcan_cli.staging.area import StagingArea\n"
        "area = StagingArea(Path(sys.argv[1]))\n"
        "print(flush=True)\n"
        "while True:\n"
        "    os.utime(area.synced)\n"
        "    read_state(area, 'synced')\n"
    )
    for number in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, env=clean(tmp_path)
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.01 + 0.013 * number)
            process.send_signal(signal.SIGKILL)

        assert_same(read_state(area, "synced").catalog, wanted)
    assert {path.name for path in stored(area).parent.iterdir() if path.suffix != ".tmp"} == {
        "synced.catalog",
        "synced.words",
    }


@pytest.mark.parametrize("number", [1, 2])
def test_killed_before_either_file_the_next_reader_leaves_both(
    area: StagingArea, number: int
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    add(area, 1)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from vulcan_cli.dataset.local_catalog import read_state\n"
        "from vulcan_cli.staging.area import StagingArea\n"
        "read_state(StagingArea(Path(sys.argv[1])), 'synced')\n"
    )
    renames = "rename,renameat,renameat2"
    kill = [f"-einject={renames}:signal=KILL:when={number}", f"-P{stored(area).parent}"]
    command = [strace, "-f", "-qq", f"-etrace={renames}", *kill, sys.executable, "-c", code]
    stored(area).parent.mkdir(parents=True)
    done = subprocess.run(
        [*command, area.root], capture_output=True, env=clean(area.root), check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = [each for each in stored(area).parent.iterdir() if each.suffix != ".tmp"]
    assert len(left) == number - 1

    read_state(area, "synced")

    size = name_in(area, 1).stat().st_size
    assert catalog_words.totals(area, "synced") == catalog_words.Totals(
        1, 2, size, 0, is_current=True
    )
    assert catalog_words.find(area, "synced", "run_id", "", 9) == {"r1": 1}


def test_debris_of_a_killed_run_goes_after_a_day(area: StagingArea) -> None:
    read_state(area, "synced")
    debris = stored(area).with_name(".v0123.tmp")
    young = stored(area).with_name(".v4567.tmp")
    for file in (debris, young):
        file.write_bytes(b"")
    os.utime(debris, (1, 1))

    add(area, 1)
    read_state(area, "synced")

    assert not debris.exists()
    assert young.exists()


def test_a_folder_or_fifo_in_its_place_is_no_obstacle(area: StagingArea) -> None:
    add(area, 1)
    stored(area).parent.mkdir(parents=True)
    os.mkfifo(stored(area))
    assert read_state(area, "synced").catalog.rows.height == 1
    stored(area).unlink()
    stored(area).mkdir()
    assert read_state(area, "synced").catalog.rows.height == 1
    shutil.rmtree(area.private)
    area.private.symlink_to(area.root / "pending")
    assert read_state(area, "synced").catalog.rows.height == 1
    assert list(area.pending.iterdir()) == []


def test_words_are_counted_and_found_by_their_beginning(area: StagingArea) -> None:
    for run, ks_id in (("a", 3), ("b", 31), ("c", 31), ("d", 4)):
        put(area.synced, vacua(2, note=1), run, h11=3, h12=2, ks_id=ks_id)
    keep(area)

    assert catalog_words.find(area, "synced", "ks_id", "3", 9) == {"3": 1, "31": 2}
    assert catalog_words.find(area, "synced", "ks_id", "", 2) == {"3": 1, "31": 2}
    assert catalog_words.find(area, "synced", "ks_id", "5", 9) == {}
    assert catalog_words.find(area, "synced", "run_id", "", 9) == dict.fromkeys("abcd", 1)
    assert catalog_words.find(area, "synced", "column", "no", 9) == {"note": 4}
    assert catalog_words.find(area, "failed", "ks_id", "", 9) == {}
    found = catalog_words.totals(area, "synced")
    size = sum(file.stat().st_size for file in area.synced.iterdir())
    assert found == catalog_words.Totals(4, 8, size, 0, is_current=True)
    remove(area, 1)
    (area.synced / "x").touch()
    assert catalog_words.totals(area, "synced") == catalog_words.Totals(
        4, 8, size, 0, is_current=False
    )


def test_keep_looks_after_every_state_and_never_fails(area: StagingArea) -> None:
    put(area.pending, vacua(1), "a", h11=3, h12=2)
    keep(area)
    assert {path.name for path in stored(area).parent.iterdir()} == {
        f"{state}.{ending}" for state in STATES for ending in ("catalog", "words")
    }
    assert read_state(area, "pending").catalog.rows["state"].to_list() == ["pending"]
    shutil.rmtree(area.root)
    keep(area)


@pytest.mark.parametrize("name", ["synced.catalog", "synced.words"])
def test_nothing_in_it_ends_like_a_shard(area: StagingArea, name: str) -> None:
    keep(area)
    assert (stored(area).parent / name).is_file()
    assert list(area.private.rglob("*.parquet")) == []


def test_a_schema_of_any_types_comes_back(area: StagingArea) -> None:
    odd = {
        "a": pl.Series([["x"]], dtype=pl.List(pl.Categorical)),
        "b": pl.Series([{"x": 1, "y": [1.5]}]),
        "c": pl.Series([1], dtype=pl.Decimal(20, 3)),
        "d": pl.Series([1], dtype=pl.Duration("ms")),
        "e": pl.Series([None], dtype=pl.Null),
        "f": pl.Series(["u"], dtype=pl.Enum(["u", "v"])),
        "g": pl.Series([b"\0"]),
    }
    source = put(area.synced, vacua(1), "a", h11=3, h12=2)
    rows = pl.read_parquet(source.file).with_columns(
        series.alias(name) for name, series in odd.items()
    )
    table = rows.to_arrow().replace_schema_metadata(pq.read_schema(source.file).metadata)
    pq.write_table(table, source.file)

    read_state(area, "synced")

    assert read_state(area, "synced").catalog.schemas == (pl.read_parquet_schema(source.file),)
