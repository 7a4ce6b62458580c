"""`vulcan verify`: one thing wrong at a time, found as what it is; `--fix` loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests import cli_in_process
from tests.cli_support import Ran, vulcan
from tests.dataset_support import STAGING
from tests.folders import files_in
from tests.staging_tools import names
from vulcan_cli.errors import RepoMissing
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync.mend import mend
from vulcan_cli.sync.verify import Finding, Verified, verify

META = ".meta.json"
LATER = time.time() + 3600

Found = tuple[str, str, str]
"""Kind, folder and reason of a finding."""


@pytest.fixture
def area(tmp_path: Path) -> StagingArea:
    """The peer's staging directory: 11 pending, 4 synced, 2 failed."""
    return StagingArea(Path(shutil.copytree(STAGING, tmp_path / "spool")))


def names_of(area: StagingArea, state: str = "pending") -> list[str]:
    return [name for name in names(area.path(state)) if name.endswith(".parquet")]


def found(result: Verified) -> list[Found]:
    return [(each.kind, each.where, each.why) for each in result.findings]


def run(*words: str | Path, home: Path) -> dict[str, Any]:
    ran = cli_in_process.run(*words, "--json", cwd=home)
    assert ran.err == ""
    return ran.document()


def stage(root: Path, home: Path, *words: str) -> Ran:
    rows = Path(__file__).parent / "data/vacua/model_h12-2_1_batch0.parquet"
    return cli_in_process.run(
        *("stage", rows, "-g", "h11=272,h12=2,ks_id=1,triang_id=0", "--json"),
        *("--staging-dir", root),
        *words,
        cwd=home,
    )


def sync(root: Path, repo: Path, home: Path) -> Ran:
    words = ("sync", "--staging-dir", root, "--repo", repo, "--create-repo")
    return cli_in_process.run(*words, cwd=home)


def test_all_is_well(tmp_path: Path, area: StagingArea) -> None:
    before = files_in(area.root)
    ran = vulcan("verify", "--staging-dir", area.root, home=tmp_path)
    files = [area.path(s, n) for s in ("pending", "synced", "failed") for n in names_of(area, s)]
    n_rows = sum(pl.read_parquet(file).height for file in files)
    assert (ran.code, ran.out, ran.err.splitlines()) == (
        0,
        "",
        ["read 17 shards, 222 kB: 645 rows, 0 of them twice", "all is well"],
    )
    assert (n_rows, files_in(area.root)) == (645, before)


def altered_bytes(area: StagingArea, name: str) -> None:
    meta = area.pending / f"{name}{META}"
    record = json.loads(meta.read_text())
    meta.write_text(json.dumps({**record, "sha256": "0" * 64}))


def truncated(area: StagingArea, name: str) -> None:
    (area.pending / name).write_bytes((area.pending / name).read_bytes()[:-9])


def another_name(area: StagingArea, name: str) -> None:
    other = name.replace("seed-", "seed-9")
    for ending in ("", META):
        (area.pending / f"{name}{ending}").rename(area.pending / f"{other}{ending}")
    meta = area.pending / f"{other}{META}"
    path = json.loads(meta.read_text())["path_in_repo"].replace("seed-", "seed-9")
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "path_in_repo": path}))


def another_sidecar(area: StagingArea, name: str) -> None:
    other = next(each for each in names_of(area) if each != name)
    shutil.copy(area.pending / f"{other}{META}", area.pending / f"{name}{META}")


def malformed_sidecar(area: StagingArea, name: str) -> None:
    (area.pending / f"{name}{META}").write_text("[")


def a_fifo(area: StagingArea, name: str) -> None:
    (area.pending / name).unlink()
    os.mkfifo(area.pending / name)


def no_room_for_a_sidecar(area: StagingArea, name: str) -> None:
    (area.pending / f"{name}{META}").unlink()
    (area.pending / name).rename(area.pending / f"{'x' * 247}.parquet")


@pytest.mark.parametrize(
    ("spoil", "kind", "why"),
    [
        (altered_bytes, "altered", "other bytes than its sidecar says"),
        (truncated, "bad", None),
        (another_name, "bad", None),
        (another_sidecar, "bad", "its sidecar is another shard's"),
        (malformed_sidecar, "bad", "its sidecar: not JSON"),
        (a_fifo, "bad", "a FIFO, not a regular file"),
        (no_room_for_a_sidecar, "bad", "its name leaves no room for that of its sidecar"),
    ],
)
def test_p8_one_bad_entry_is_one_finding_and_is_set_aside(
    area: StagingArea, spoil: Callable[[StagingArea, str], None], kind: str, why: str | None
) -> None:
    spoil(area, names_of(area)[3])
    result = verify(area, now=LATER)
    assert [(each.kind, each.where) for each in result.findings] == [(kind, "pending")]
    assert why is None or result.findings[0].why == why
    assert result.exit_code == 3
    assert mend(area, result.findings) == set(result.findings)
    assert found(verify(area, now=LATER)) == []
    assert len([name for name in names(area.private / "rejected") if "." not in name]) == 1


def test_mending_that_is_asked_to_end_finishes_what_is_at_hand(area: StagingArea) -> None:
    for name in names_of(area)[:3]:
        altered_bytes(area, name)
    result = verify(area, now=LATER)
    rejected = area.private / "rejected"
    one = mend(area, result.findings, stopping=rejected.exists)
    assert one == {result.findings[0]}
    assert found(verify(area, now=LATER)) == found(result)[1:]
    assert mend(area, result.findings[1:]) == set(result.findings[1:])


def test_rows_that_are_not_those_of_the_digest(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    path = Path(json.loads(stage(root, tmp_path).out)["path"])
    meta = path.with_name(path.name + META)
    metadata = pl.read_parquet_metadata(path)
    rows = pl.read_parquet(path).with_columns(pl.col("tau_re") + 1.0)
    path.unlink()
    meta.unlink()
    rows.write_parquet(path, metadata=metadata)
    result = verify(StagingArea(root), now=time.time())
    assert found(result) == [("altered", "pending", "its rows are not those of its content digest")]


def test_a_pair_torn_apart_is_joined_and_a_lost_sidecar_rebuilt(area: StagingArea) -> None:
    torn, bare = names_of(area)[:2]
    (area.pending / torn).rename(area.synced / torn)
    (area.pending / f"{bare}{META}").unlink()
    os.utime(area.pending / bare, (0, 0))
    os.utime(area.pending / f"{torn}{META}", (0, 0))
    result = verify(area, now=LATER)
    assert found(result) == [
        ("orphaned", "pending", "a sidecar whose shard is in synced/"),
        ("orphaned", "pending", "a shard without its sidecar"),
    ]
    assert mend(area, result.findings) == set(result.findings)
    assert found(verify(area, now=LATER)) == []


def test_a_sidecar_without_a_shard_is_told_and_stays(area: StagingArea) -> None:
    name = names_of(area)[0]
    (area.pending / name).unlink()
    result = verify(area, now=LATER)
    assert found(result) == [("orphaned", "pending", "a sidecar without its shard")]
    assert mend(area, result.findings) == frozenset()
    assert (area.pending / f"{name}{META}").is_file()


def test_a_pair_in_the_making_is_no_finding(area: StagingArea) -> None:
    (area.pending / f"{names_of(area)[0]}{META}").unlink()
    os.utime(area.pending / names_of(area)[0])
    assert found(verify(area, now=time.time())) == []


@pytest.mark.parametrize("same", [True, False])
def test_p5_of_a_shard_in_two_states_one_is_kept_where_they_are_the_same(
    area: StagingArea, *, same: bool
) -> None:
    name = names_of(area)[0]
    shutil.copy(area.pending / f"{name}{META}", area.failed / f"{name}{META}")
    shutil.copy(area.pending / name, area.failed / name)
    if not same:
        rows = pl.read_parquet(area.failed / name)
        metadata = pl.read_parquet_metadata(area.failed / name)
        rows.write_parquet(area.failed / name, metadata=metadata, compression="lz4")
    result = verify(area, now=LATER)
    words = "the same bytes are" if same else "other bytes are"
    assert found(result) == [("two-states", "failed", f"{words} in pending/")]
    fixed = mend(area, result.findings)
    assert (len(fixed), (area.failed / name).exists()) == (int(same), not same)
    assert (area.pending / name).is_file()


def test_the_same_rows_under_two_run_ids_and_their_vacua(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    for run_id in ("first", "second"):
        assert stage(root, tmp_path, "--run-id", run_id).code == 0
    ran = vulcan("verify", "--staging-dir", root, "--json", home=tmp_path)
    document = ran.document()
    rows = document["vacua"]
    assert isinstance(rows, int)
    assert (ran.code, document["shards"], document["duplicate_vacua"]) == (3, 2, rows // 2)
    assert document["findings"] == [
        {
            "kind": "doubled",
            "name": "h12_2/h11_272/bucket_15/run_second.parquet",
            "where": "pending",
            "why": "the same rows as h12_2/h11_272/bucket_15/run_first.parquet",
            "fixed": False,
        }
    ]


def test_the_repo_is_held_against_the_ledger(tmp_path: Path) -> None:
    root, repo = tmp_path / "spool", tmp_path / "repo"
    for run_id in ("kept", "lost", "spoilt", "trimmed"):
        assert stage(root, tmp_path, "--run-id", run_id, "--project", run_id).code == 0
        assert sync(root, repo, tmp_path).code == 0
    words = ("verify", "--staging-dir", root, "--repo", repo)

    def findings(*more: str) -> list[tuple[str, str, str]]:
        document = run(*words, *more, home=tmp_path)
        return [
            (each["kind"], Path(each["name"]).stem, each["why"])
            for each in document["findings"]
            if each["kind"] != "doubled"
        ]

    assert findings() == []
    area = StagingArea(root)
    for name in names_of(area, "synced"):
        if "trimmed" in name:
            (area.synced / name).unlink()
            (area.synced / f"{name}{META}").unlink()
    assert findings() == []
    # By hand, behind the repo's back, which nobody does through us.
    spoilt, trimmed, lost = (
        next(repo.rglob(f"run_{run_id}.parquet")) for run_id in ("spoilt", "trimmed", "lost")
    )
    lost.unlink()
    for path in (spoilt, trimmed):
        path.chmod(0o644)
        path.write_bytes(b"no parquet")
    told = "the ledger says that the repo confirmed it"
    other = "other bytes than the ledger says"
    asked = [
        ("missing", "run_lost", told),
        ("altered", "run_spoilt", other),
        ("altered", "run_trimmed", other),
    ]
    assert findings("--no-download") == asked
    assert findings()[:3] == asked
    assert sorted(kind for kind, _, _ in findings()[3:]) == ["bad", "bad"]


def test_what_no_repo_confirms_is_missing_there(tmp_path: Path, area: StagingArea) -> None:
    repo = tmp_path / "repo"
    assert sync(area.root, repo, tmp_path).code == 0
    document = run("verify", "--staging-dir", area.root, "--repo", repo, home=tmp_path)
    kinds = [(each["kind"], each["why"]) for each in document["findings"]]
    assert kinds == [("missing", "synced/ holds it, and no repo that was asked")] * 4


@pytest.mark.parametrize("first", ["spoilt", "sound"])
def test_every_repo_that_is_named_is_asked(tmp_path: Path, first: str) -> None:
    root = tmp_path / "spool"
    for name in ("spoilt", "sound"):
        assert stage(root, tmp_path, "--run-id", name, "--project", name).code == 0
        assert sync(root, tmp_path / name, tmp_path).code == 0
    (shard,) = (tmp_path / "spoilt").rglob("run_spoilt.parquet")
    shard.chmod(0o644)
    shard.write_bytes(b"no parquet")
    names = sorted(("spoilt", "sound"), key=lambda name: name != first)
    repos = [word for name in names for word in ("--repo", f"./{name}")]

    ran = cli_in_process.run("verify", "--staging-dir", root, *repos, "--json", cwd=tmp_path)

    document = json.loads(ran.out)
    assert (ran.code, document["repos"]) == (3, [f"file://{tmp_path}/{name}" for name in names])
    altered = [each["name"] for each in document["findings"] if each["kind"] == "altered"]
    assert altered == [str(shard.relative_to(tmp_path / "spoilt"))]


def test_a_comma_parts_repos_and_in_the_name_of_a_folder_it_is_a_letter(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    for name in ("one", "two", "one,two"):
        assert stage(root, tmp_path, "--run-id", f"r{len(name)}{name[0]}", "-q").code == 0
        assert sync(root, tmp_path / name, tmp_path).code == 0

    def asked(*repos: str) -> object:
        words = [word for repo in repos for word in ("--repo", repo)]
        ran = cli_in_process.run("verify", "--staging-dir", root, *words, "--json", cwd=tmp_path)
        return json.loads(ran.out)["repos"]

    one, two, both = (f"file://{tmp_path}/{name}" for name in ("one", "two", "one%2Ctwo"))
    assert asked("./one,./two") == [one, two]
    assert asked(f"{one}, {two}") == [one, two]
    assert asked("./one,two", "./two") == [both, two]


def test_a_repo_is_asked_only_when_it_is_named(tmp_path: Path, area: StagingArea) -> None:
    env = {"VULCAN_REPO": str(tmp_path / "none"), "VULCAN_STAGING_DIR": str(area.root)}
    assert vulcan("verify", home=tmp_path, env=env).code == 0
    ran = vulcan("verify", "--repo", tmp_path / "none", "--json", home=tmp_path, env=env)
    assert (ran.code, ran.error()["kind"]) == (4, RepoMissing.__name__)


@pytest.mark.parametrize("words", [["--no-download"], ["--revision", "draft"]])
def test_what_is_of_a_repo_needs_one_that_is_named(
    tmp_path: Path, area: StagingArea, words: list[str]
) -> None:
    env = {"VULCAN_REPO": str(tmp_path / "none"), "VULCAN_STAGING_DIR": str(area.root)}
    before = files_in(area.root)
    assert vulcan("verify", *words, home=tmp_path, env=env) == Ran(
        2,
        "",
        f"vulcan: {words[0]} goes with --repo\n"
        "  safe: nothing was changed\n"
        "  next: vulcan verify --help\n",
    )
    assert files_in(area.root) == before


def test_a_name_of_several_lines_is_one_line(tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "spool")
    area.create()
    (area.pending / "a\nb\t\x1b[31m.parquet").write_text("")
    ran = cli_in_process.run("verify", "--staging-dir", area.root, "--quiet", cwd=tmp_path)
    assert (ran.code, ran.err) == (3, "")
    assert ran.out == "bad\tpending\ta\\nb\\t\\x1b[31m.parquet\tno footer at its end\n"


def test_an_unreadable_shard_is_the_disks() -> None:
    result = Verified(1, 1, 0, 0, (Finding("unreadable", "x", "pending", "no"),))
    assert result.exit_code == 6
