"""`vulcan split --push`: what `datasets` loads is what `vulcan split NAME` prints, and no more."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from huggingface_hub import constants

from tests.cli_in_process import run, run_binary
from tests.dataset_support import put, vacua
from tests.hub_support import plain_lfs
from tests.hubserver import WRITE, Fault, HubThread, LocalHub
from vulcan_cli.dataset import split_files

NAME = "alice/vacua-ml"
SPLIT = (
    "split",
    "--fractions",
    "0.5,0,0.5",
    "--features",
    "flux,moduli,tau",
    "--list-max-len",
    "4",
)
PARTS = {name: f"{name}-00000-of-00001.parquet" for name in ("train", "val", "test")}


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """Six geometries in `spool/synced`."""
    for name in ("pending", "synced", "failed"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    for number in range(6):
        put(tmp_path / "spool/synced", vacua(5), f"r{number}", h11=3, h12=2, ks_id=number)
    return tmp_path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with plain_lfs(), HubThread(tmp_path / "hub") as running:
        yield running


def env_of(hub: LocalHub | None = None) -> dict[str, str]:
    told = {} if hub is None else {"HF_ENDPOINT": hub.url, "VULCAN_TOKEN": WRITE}
    return {"VULCAN_STAGING_DIR": "spool", "VULCAN_LICENSE": "mit", **told}


def rows_of(cwd: Path, name: str) -> list[dict[str, object]]:
    """What `vulcan split NAME` prints."""
    code, out, _ = run_binary(*SPLIT, name, "-q", cwd=cwd, env=env_of())
    assert code == 0
    return pl.read_parquet(out).to_dicts()


# In a process of its own: the client reads where the Hub is when it is first imported.
LOAD = """
import json, sys
import datasets
print(json.dumps({
    f"{name} {streaming}": list(datasets.load_dataset(sys.argv[1], split=name, streaming=streaming))
    for name in ("train", "test") for streaming in (False, True)
}))
"""


def loaded(repo: str, env: dict[str, str], cwd: Path) -> dict[str, list[dict[str, object]]]:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, repo], env=env, cwd=cwd, check=True, capture_output=True
    )
    found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
    return found


def test_load_dataset_gives_the_rows_of_each_split(cwd: Path, hub: LocalHub) -> None:
    pytest.importorskip("datasets")
    ran = run(*SPLIT, "--push", NAME, "--create-repo", cwd=cwd, env=env_of(hub))

    (_, made) = hub.commits(NAME)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, f"pushed\t{NAME}\t{made.id}")
    assert sorted(made.files) == ["README.md", "split.json", *sorted(PARTS.values())]
    found = loaded(NAME, hub.client_env(home=cwd / "home"), cwd)
    for name in ("train", "test"):
        wanted = rows_of(cwd, name)
        assert wanted
        assert found[f"{name} False"] == found[f"{name} True"] == wanted


def test_again_commits_only_what_changed(cwd: Path, hub: LocalHub) -> None:
    hub.create_repo(NAME)
    words = (*SPLIT, "--push", NAME)
    assert run(*words, cwd=cwd, env=env_of(hub)).code == 0
    again = run(*words, "--json", cwd=cwd, env=env_of(hub))
    assert json.loads(again.out)["pushed"] == {
        "repo": NAME,
        "status": "unchanged",
        "commit": None,
        "added": [],
        "removed": [],
    }
    assert len(hub.attempts(NAME)) == 1

    put(cwd / "spool/synced", vacua(2), "late", h11=3, h12=2, ks_id=99)
    (late,) = (
        run("split", "--fractions", "0.5,0,0.5", "--ks-id", "99", cwd=cwd, env=env_of())
        .out[len("geometry_id\tsplit\tn_rows\n") :]
        .splitlines()
    )
    tried = run(*words, "--dry-run", "--json", cwd=cwd, env=env_of(hub))
    assert run(*words, cwd=cwd, env=env_of(hub)).code == 0
    changed = [PARTS[late.split("\t")[1]], "README.md", "split.json"]
    assert sorted(hub.commits(NAME)[-1].files) == sorted(changed)
    told = json.loads(tried.out)["pushed"]
    assert (told["status"], sorted(told["added"])) == ("rehearsed", sorted(changed))
    assert len(hub.attempts(NAME)) == 2


@pytest.mark.parametrize("kind", ["hub", "folder"])
def test_files_of_an_earlier_push_go_with_the_commit_that_needs_none_of_them(
    cwd: Path, hub: LocalHub, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = NAME if kind == "hub" else "./ml"
    words = (*SPLIT, "--create-repo", "--push", repo, "--out-dir")
    defaults = split_files.write_splits.__kwdefaults__
    assert defaults is not None
    with monkeypatch.context() as patch:
        patch.setitem(defaults, "most_bytes", 1000)
        assert run(*words, "first", cwd=cwd, env=env_of(hub)).code == 0
    ran = run(*words, "second", cwd=cwd, env=env_of(hub))

    first = {path.name for path in (cwd / "first").iterdir()}
    assert len(first) > 4
    gone = len(first - {*PARTS.values(), "split.json"})
    assert ran.err.splitlines()[1] == f"4 files changed, {gone} files removed"
    if kind == "hub":
        files = set(hub.tree(NAME)) - {".gitattributes"}
        assert len(hub.commits(NAME)) == 3
    else:
        files = {path.name for path in (cwd / "ml").iterdir()} - {".vulcan"}
        assert {name: (cwd / "ml" / name).read_bytes() for name in PARTS.values()} == {
            name: (cwd / "second" / name).read_bytes() for name in PARTS.values()
        }
    assert files == {*PARTS.values(), "split.json", "README.md"}


def test_a_repo_that_has_to_be_made_is_made_by_the_next_command(cwd: Path) -> None:
    words = (*SPLIT, "--push", "./ml", "--json", "-q")
    ran = run(*words, "--out-dir", "out", cwd=cwd, env=env_of())
    again = shlex.join(["vulcan", "split", "--create-repo", *words[1:]])
    error = ran.error()
    assert (ran.code, error["message"], error["safe"], error["next"]) == (
        4,
        f"there is no repo file://{cwd}/ml",
        "nothing was committed",
        [again],
    )
    assert run(*shlex.split(again)[1:], cwd=cwd, env=env_of()).code == 0
    assert {name: (cwd / "ml" / name).read_bytes() for name in PARTS.values()} == {
        name: (cwd / "out" / name).read_bytes() for name in PARTS.values()
    }


def test_a_folder_is_loaded_too_and_its_card_says_how(cwd: Path) -> None:
    datasets: Any = pytest.importorskip("datasets")
    words = (*SPLIT, "--push", "./ml", "--create-repo")
    assert run(*words, "--seed", "3", cwd=cwd, env=env_of()).code == 0
    found = datasets.load_dataset(str(cwd / "ml"), cache_dir=str(cwd / "cache"))
    assert list(found) == ["train", "test"]
    for name in found:
        parts = pl.read_parquet(cwd / "ml" / PARTS[name]).to_dicts()
        assert list(found[name]) == parts
        assert sorted(map(str, parts)) == sorted(map(str, rows_of(cwd, name)))
    lines = (cwd / "ml/README.md").read_text().splitlines()
    assert lines[:15] == [
        "---",
        "# vulcan: begin; these lines are kept by vulcan, write above or below them",
        "license: mit",
        "tags:",
        "- physics",
        "- string-theory",
        "- flux-vacua",
        "configs:",
        "- config_name: default",
        "  default: true",
        "  data_files:",
        "  - split: train",
        '    path: "train-*-of-00001.parquet"',
        "  - split: test",
        '    path: "test-*-of-00001.parquet"',
    ]
    assert "Without rows, and so not to be loaded: `val`." in lines
    assert 'train = datasets.load_dataset("./ml", split="train")' in lines
    assert "| `seed` | `3` |" in lines


def test_p15_shards_and_splits_stand_in_repos_of_their_own(cwd: Path, hub: LocalHub) -> None:
    hub.create_repo(NAME)
    shard = next((cwd / "spool/synced").glob("*.parquet"))
    hub.push(NAME, {shard.name.replace("__", "/"): shard.read_bytes()})
    ran = run(*SPLIT, "--push", NAME, cwd=cwd, env=env_of(hub))
    assert (ran.code, ran.err.splitlines()[-3]) == (
        2,
        f"vulcan: {NAME} holds shards; splits go to a repo of their own",
    )
    ran = run(*SPLIT, "--push", "./r", "--repo", "./r", cwd=cwd, env=env_of(hub))
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        f"vulcan: file://{cwd}/r is for shards; splits go to a repo of their own",
    )

    assert run(*SPLIT, "--push", "./ml", "--create-repo", cwd=cwd, env=env_of()).code == 0
    moved = cwd / "spool/pending" / shard.name
    shard.rename(moved)
    for command in (("sync",), ("card", "--push")):
        ran = run(*command, "--repo", "./ml", cwd=cwd, env=env_of())
        assert (ran.code, ran.err.splitlines()[0]) == (
            4,
            f"vulcan: file://{cwd}/ml holds splits; shards go to a repo of their own",
        )
    assert moved.exists()
    assert len(list((cwd / "ml/.vulcan/commits").iterdir())) == 1


def test_p3_what_others_put_in_the_way_is_not_replaced(cwd: Path, hub: LocalHub) -> None:
    hub.create_repo(NAME)
    words = (*SPLIT, "--push", NAME)
    for path, text in (
        ("split.json", b"{}"),
        ("split.json", b"[" * 100_000),
        (PARTS["train"], b"{}"),
    ):
        hub.push(NAME, {path: text})
        ran = run(*words, cwd=cwd, env=env_of(hub))
        assert (ran.code, len(hub.attempts(NAME))) == (3, 0)
        assert f"vulcan: {path} exists with other content in {NAME}" in ran.err.splitlines()
        hub.push(NAME, {}, deletes=[path])
    assert run(*words, cwd=cwd, env=env_of(hub)).code == 0
    hub.push(NAME, {PARTS["train"]: b"mine"})
    put(cwd / "spool/synced", vacua(2), "late", h11=3, h12=2, ks_id=99)
    assert run(*words, cwd=cwd, env=env_of(hub)).code == 3
    assert len(hub.attempts(NAME)) == 1


def test_a_push_that_others_overtook_looks_again(cwd: Path, hub: LocalHub) -> None:
    hub.create_repo(NAME)
    hub.add_faults(Fault("status", "/commit/", "POST", status=412, body={"error": "stale"}))
    ran = run(*SPLIT, "--push", NAME, cwd=cwd, env=env_of(hub))
    assert (ran.code, len(hub.commits(NAME)), len(hub.attempts(NAME))) == (0, 2, 2)
    hub.add_faults(Fault("status", "/commit/", "POST", status=412, times=None))
    put(cwd / "spool/synced", vacua(2), "late", h11=3, h12=2, ks_id=99)
    ran = run(*SPLIT, "--push", NAME, "--max-retries", "1", cwd=cwd, env=env_of(hub))
    assert (ran.code, len(hub.commits(NAME))) == (5, 2)
    assert f"vulcan: {NAME} changed at every try" in ran.err.splitlines()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "--push", "./r"], "--push holds all splits; leave the name out"),
        (["--create-repo"], "--create-repo goes with --push"),
        (["--dry-run"], "--dry-run goes with --push"),
        (["train", "--budget", "3"], "--budget goes with --push"),
        (["--out-dir", "out", "--window-s", "1h"], "--window-s goes with --push"),
        (["--max-retries", "0"], "--max-retries goes with --push"),
        (
            ["--push", "./r", "--dry-run", "--out-dir", "out"],
            "--dry-run writes nothing: leave out --out-dir",
        ),
        (
            ["--push", "./r", "--dry-run", "--freeze", "out"],
            "--dry-run writes nothing: leave out --freeze",
        ),
        (["--push", "./r", "--format", "npz"], "--push publishes parquet, which datasets reads"),
        (["--push", "./r", "--ks-id", "77"], "there are no rows to push"),
    ],
)
def test_options_that_do_not_fit_are_refused(cwd: Path, words: list[str], sentence: str) -> None:
    ran = run("split", *words, cwd=cwd, env=env_of())
    told = [line for line in ran.err.splitlines() if line.startswith("vulcan: ")]
    assert (ran.code, told) == (2, [f"vulcan: {sentence}"])
    assert [path.name for path in cwd.iterdir()] == ["spool"]


def test_what_is_set_for_commits_stands_in_no_ones_way(cwd: Path) -> None:
    env = {**env_of(), "VULCAN_BUDGET": "3", "VULCAN_WINDOW_S": "60", "VULCAN_MAX_RETRIES": "0"}
    assert run(*SPLIT, "train", cwd=cwd, env=env).code == 0


def test_one_geometry_is_not_told_in_the_plural(cwd: Path) -> None:
    words = (*SPLIT, "--ks-id", "0", "--push", "./ml", "--create-repo", "-q")
    assert run(*words, cwd=cwd, env=env_of()).code == 0
    lines = (cwd / "ml/README.md").read_text().splitlines()
    assert lines[lines.index("| split | geometries | vacua | files |") - 2] == (
        "5 flux vacua of 1 geometry. No geometry is in two splits."
    )
