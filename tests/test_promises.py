"""The promises across commands, and that `docs/promises.md` names a test for each of them."""

from __future__ import annotations

import math
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from tests.cli_in_process import run
from tests.cli_support import CHECKOUT, Ran, vulcan
from tests.dataset_support import STAGING
from tests.folders import files_in
from tests.hostile_parquet import (
    NO_CATEGORIES,
    VIEWS,
    categories,
    deep_schema,
    dictionary_bomb,
    leafless,
    many_columns,
    many_groups,
    many_pairs,
    negative_chunk,
    negative_page,
    other_levels,
    rewritten,
    wide_arrow_schema,
    with_column,
    with_notes,
)
from tests.hubserver import LocalHub
from tests.staging_tools import names
from tests.sync_support import NAME as REPO
from tests.sync_support import Place, name_of, path_of, put, put_bytes, shard_bytes
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.vacua.geometry import SHARD_PATH

PROMISES = [f"p{number}" for number in range(1, 18)]
DOCUMENT = CHECKOUT / "docs/promises.md"
SECRET = b"PAR1 what only the head node may read PAR1"

_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
_NAMED = re.compile(r"`(test_\w+)`")


def names_of_tests() -> set[str]:
    return {
        name
        for path in (CHECKOUT / "tests").rglob("test_*.py")
        for name in _TEST.findall(path.read_text("utf-8"))
    }


def numbers(name: str) -> Iterator[str]:
    """The promises in the name of a test: `test_p3_p5_…` holds two."""
    for word in name.split("_")[1:]:
        if word not in PROMISES:
            return
        yield word


def test_each_promise_has_a_test_of_its_number() -> None:
    proven = {number for name in names_of_tests() for number in numbers(name)}
    assert [promise for promise in PROMISES if promise not in proven] == []


def test_each_test_that_the_page_names_is_there_and_of_that_promise() -> None:
    rows = re.findall(r"^\| (P\d+) [^|]*\|[^|]*\|([^|]*)\|$", DOCUMENT.read_text(), re.MULTILINE)
    assert [number.lower() for number, _ in rows] == PROMISES
    named = {number.lower(): _NAMED.findall(cells) for number, cells in rows}
    assert [number for number, found in named.items() if not found] == []
    assert [
        name for found in named.values() for name in found if name not in names_of_tests()
    ] == []
    wrong = [n for number, found in named.items() for n in found if number not in numbers(n)]
    assert wrong == []


def bad_parquet(path: Path) -> None:
    path.write_bytes(b"PAR1 and then nothing")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def link_to_a_secret(path: Path) -> None:
    path.symlink_to(path.parents[2] / "secret")


HOSTILE = (bad_parquet, empty, fifo, folder, link_to_a_secret)
NAME = "h12_2__h11_3__bucket_{}__run_bad{}.parquet"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The peer's staging directory, with one of each hostile entry in `pending/`."""
    root = Path(shutil.copytree(STAGING, tmp_path / "spool"))
    (tmp_path / "secret").write_bytes(SECRET)
    for number, make in enumerate(HOSTILE):
        make(root / "pending" / NAME.format(5, number))
    for name in ("README.md.parquet", "..parquet", "h12_2__h11_3__bucket_5__..__x.parquet"):
        (root / "pending" / name).write_bytes(b"PAR1")
    for path in (root / "pending").iterdir():
        os.utime(path, (0, 0), follow_symlinks=False)
    return root


def good(root: Path) -> list[str]:
    """Paths in the repo of the shards that wait."""
    pending = [name for name in names(root / "pending") if name.endswith(".parquet")]
    paths = [name.replace("__", "/") for name in pending if "seed-" in name]
    return sorted(paths)


@pytest.mark.parametrize("words", [("query", "--count"), ("split",)])
def test_p14_bad_shards_fail_no_reader(tmp_path: Path, spool: Path, words: tuple[str, ...]) -> None:
    clean = shutil.copytree(STAGING, tmp_path / "clean")
    source = (*words, "--source", "staged", "--staging-dir")
    wanted = run(*source, clean, cwd=tmp_path)
    ran = run(*source, spool, cwd=tmp_path)
    assert (wanted.code, ran.code, ran.out) == (0, 3, wanted.out)
    told = [line for line in ran.err.splitlines() if line.startswith("vulcan: skipped: ")]
    assert sum("run_bad" in line for line in told) == len(HOSTILE)


def test_p14_bad_shards_do_not_fail_status(tmp_path: Path, spool: Path) -> None:
    ran = run("status", "--staging-dir", spool, "--json", cwd=tmp_path)
    pending = ran.document()["pending"]
    assert isinstance(pending, dict)
    entries = [name for name in names(spool / "pending") if name.endswith(".parquet")]
    assert (ran.code, pending["shards"]) == (0, len(entries))
    ran = run("status", "--rows", "--staging-dir", spool, cwd=tmp_path)
    told = [line for line in ran.err.splitlines() if line.startswith("vulcan: skipped: ")]
    assert (ran.code, sum("run_bad" in line for line in told)) == (3, len(HOSTILE))


def test_p15_p17_only_shards_reach_the_repo_and_nothing_behind_links(
    tmp_path: Path, spool: Path
) -> None:
    wanted, repo = good(spool), tmp_path / "repo"
    words = ("sync", "--staging-dir", spool, "--repo", repo, "--create-repo", "--json")
    ran = run(*words, cwd=tmp_path)
    document = ran.document()
    assert (ran.code, document["committed"], document["remaining"]) == (3, len(wanted), 0)
    parquet = [path for path in files_in(repo) if path.endswith(".parquet")]
    assert sorted(path for path in parquet if SHARD_PATH.fullmatch(path)) == wanted
    assert len(parquet) == len(wanted)
    assert [path for path, data in files_in(repo).items() if SECRET in data] == []
    assert (tmp_path / "secret").read_bytes() == SECRET


COMMANDS = (
    ("stage", str(CHECKOUT / "tests/data/vacua/model_h12-2_1_batch0.parquet"), "-g", "h12=2"),
    ("sync", "--repo", "../repo", "--create-repo"),
    ("retry-failed",),
    ("trim-synced", "--repo", "../repo", "--keep-bytes", "0"),
    ("verify", "--fix"),
    ("unlock", "--force"),
    ("status",),
)


@pytest.mark.parametrize(
    "name", ["pending", "synced", "failed", "_vulcan", "_vulcan/rejected", "_vulcan/sync.lease"]
)
def test_p17_no_command_goes_through_a_link(tmp_path: Path, name: str) -> None:
    root, outside = tmp_path / "spool", tmp_path / "outside"
    shutil.copytree(STAGING, root)
    outside.mkdir()
    for inner in ("journal", "rejected", "budget", "x.parquet"):
        (outside / inner).mkdir()
    (outside / "sync.lease").write_text("{}")
    place = root / name
    if place.is_dir():
        place.rename(tmp_path / "was")
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside / "sync.lease" if name.endswith("lease") else outside)
    before = seen(outside)
    for words in COMMANDS:
        # A lease that is garbage would be watched for five minutes.
        if name.endswith("lease") and words[0] not in ("stage", "unlock", "status"):
            continue
        ran = run(*words, "--staging-dir", root, cwd=root)
        assert ran.code in {0, 3, 4, 6}, (words, ran)
    assert seen(outside) == before


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    """Names, modes and times of all that stands in a folder."""
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime_ns)
        for path in sorted([folder, *folder.rglob("*")])
    }


def test_p4_p7_staging_the_same_rows_again_after_each_state_is_one_shard(tmp_path: Path) -> None:
    root, repo = tmp_path / "spool", tmp_path / "repo"
    words = (*COMMANDS[0], "--template", "r-{digest}", "--staging-dir", root, "--json")
    first = run(*words, cwd=tmp_path).document()
    to = ("--staging-dir", root, "--repo", repo)
    for between in (("sync", "--create-repo"), ("trim-synced", "--keep-bytes", "0")):
        assert run(*between, *to, cwd=tmp_path).code == 0
        again = run(*words, cwd=tmp_path).document()
        assert (again["status"], again["path_in_repo"]) == ("already-staged", first["path_in_repo"])
    assert [path for path in files_in(repo) if path.endswith(".parquet")] == [first["path_in_repo"]]


PATTERNS: dict[str, Callable[[], bytes]] = {
    "all": lambda: rewritten(shard_bytes("all"), with_column("*", pa.array([1, 2, 3]))),
    "some": lambda: rewritten(shard_bytes("some"), with_column("^flux$", pa.array([1, 2, 3]))),
    "field": lambda: rewritten(
        shard_bytes("field"), with_column("x", pa.array([{"*": math.nan}] * 3))
    ),
}

ENDING_A_READER: dict[str, Callable[[], bytes]] = {
    "negative": lambda: negative_page(shard_bytes("negative")),
    "levels": lambda: other_levels(shard_bytes("levels")),
    "panic": lambda: negative_chunk(shard_bytes("panic")),
    "bomb": lambda: dictionary_bomb(shard_bytes("bomb")),
    "deep": deep_schema,
    "wide": wide_arrow_schema,
    "leafless": lambda: leafless(shard_bytes("leafless")),
    **PATTERNS,
    "view": lambda: rewritten(shard_bytes("view"), with_column("x", pa.nulls(3, VIEWS[0]))),
    "categories": lambda: rewritten(
        shard_bytes("categories"), with_notes(categories(), **NO_CATEGORIES[0])
    ),
    "columns": lambda: many_columns(shard_bytes("columns"), 100_000),
    "groups": lambda: many_groups(shard_bytes("groups"), 100_000),
    "pairs": lambda: many_pairs(shard_bytes("pairs"), 100_000),
}


@cache
def ending_a_reader() -> dict[str, bytes]:
    """What ends a careless reader, made once: some hold a hundred thousand of something."""
    return {name: make() for name, make in ENDING_A_READER.items()}


@pytest.mark.parametrize(
    "words",
    [
        ("query", "--columns", "tau_re", "--format", "csv"),
        ("query", "--sql", "SELECT count(*), max(tau_im) FROM vacua", "--format", "csv"),
        (
            "split",
            "train",
            "--splits",
            "train",
            "--fractions",
            "1",
            "--features",
            "tau_re",
            "--json",
        ),
    ],
    ids=["query", "sql", "split"],
)
def test_p14_no_shard_ends_the_process_that_reads_it(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = read_beside(tmp_path, ending_a_reader(), words)
    told = re.findall(r"^vulcan: skipped: (\S+) ", ran.err, re.MULTILINE)
    assert sorted(told) == sorted(name_of(name) for name in ENDING_A_READER)


@pytest.mark.parametrize(
    "words", [("query", "--format", "csv"), ("query", "--sql", "SELECT * FROM vacua", "--json")]
)
def test_p14_no_pattern_in_place_of_a_name_changes_what_others_get(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    read_beside(tmp_path, {name: make() for name, make in PATTERNS.items()}, words)


def read_beside(home: Path, hostile: Mapping[str, bytes], words: Sequence[str]) -> Ran:
    """A command that reads what waits; it gives the same with hostile shards there as without."""
    area = StagingArea(home / "spool")
    area.create()
    put(area, "good")
    source = (*words, "--source", "staged", "--staging-dir", str(area.root))
    wanted = vulcan(*source, home=home)
    for name, data in hostile.items():
        put_bytes(area, name_of(name), data)
    ran = vulcan(*source, home=home)
    assert (wanted.code, ran.code, ran.out) == (0, 3, wanted.out)
    return ran


def test_p14_what_its_writer_changed_after_the_sync_ends_no_reader(tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "spool")
    area.create()
    put(area, "good")
    to = ("--staging-dir", str(area.root), "--repo", str(tmp_path / "repo"))
    words = ("query", "--columns", "tau_im", "--format", "csv", "--source", "synced", *to)
    changed = area.synced / put(area, "changed").name
    assert run("sync", *to, "--create-repo", "--quiet", cwd=tmp_path).code == 0
    # A move leaves a file its owner.
    changed.chmod(0o640)
    changed.write_bytes(negative_page(changed.read_bytes()))
    changed.chmod(0o660)
    for why in (
        "it was changed after it was synced",
        # Where no ledger says what was synced.
        "unreadable as parquet: a negative number in the header of a page",
    ):
        ran = vulcan(*words, home=tmp_path)
        assert (ran.code, ran.out) == (3, "tau_im\n3.0\n4.0\n5.0\n")
        assert ran.err.splitlines()[1] == f"vulcan: skipped: {changed.name} is not a shard: {why}"
        shutil.rmtree(area.private)


READ = ("query", "--columns", "tau_re", "--format", "csv", "--source", "repo", "--repo")


def test_p14_no_shard_of_a_repo_ends_the_process_that_reads_it(
    hub: LocalHub, tmp_path: Path
) -> None:
    shards = {path_of(name): data for name, data in ending_a_reader().items()}
    hub.push(REPO, {path_of("good"): shard_bytes("good")})
    wanted = vulcan(*READ, REPO, home=tmp_path, env=hub.client_env(home=tmp_path))
    hub.push(REPO, shards)
    for _ in range(2):
        ran = vulcan(*READ, REPO, home=tmp_path, env=hub.client_env(home=tmp_path))
        assert (wanted.code, ran.code, ran.out) == (0, 3, wanted.out)
        told = re.findall(r"^vulcan: skipped: (\S+) ", ran.err, re.MULTILINE)
        assert sorted(told) == sorted(shards)


def test_p14_no_shard_that_others_put_into_a_folder_ends_the_process_that_reads_it(
    folder_place: Place, tmp_path: Path
) -> None:
    repo = folder_place.folder
    good = repo / path_of("good")
    good.parent.mkdir(parents=True)
    good.write_bytes(shard_bytes("good"))
    wanted = vulcan(*READ, repo, home=tmp_path)
    for name, data in ending_a_reader().items():
        bad = repo / path_of(name)
        bad.write_bytes(data)
        bad.chmod(0o666)
    ran = vulcan(*READ, repo, home=tmp_path)
    assert (wanted.code, ran.code, ran.out) == (0, 3, wanted.out)
    told = re.findall(r"^vulcan: skipped: (\S+) ", ran.err, re.MULTILINE)
    assert sorted(told) == sorted(path_of(name) for name in ENDING_A_READER)


def test_p8_no_shard_ends_the_sync_that_meets_it(tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "spool")
    area.create()
    good = put(area, "good").read_bytes()
    for name, data in ending_a_reader().items():
        put_bytes(area, name_of(name), data)
    words = ("sync", "--staging-dir", area.root, "--repo", tmp_path / "repo", "--create-repo")
    ran = vulcan(*words, "--json", home=tmp_path)
    counts = ran.document()
    assert (ran.code, counts["committed"], counts["rejected"]) == (3, 1, len(ENDING_A_READER))
    shards = [
        data for path, data in files_in(tmp_path / "repo").items() if path.endswith(".parquet")
    ]
    assert shards == [good]
