import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_support import VULCAN, Ran, clean, our_lines, vulcan
from tests.folders import tree

OUT = """\
staging/pending/h12_3__h11_107__bucket_13__run_DATE_demo_h11-107_h12-3_ks-5_triang-0_seed-na_DIGEST
staging/pending/h12_2__h11_116__bucket_3__run_DATE_demo_h11-116_h12-2_ks-2_triang-0_seed-na_DIGEST
staging/pending/h12_2__h11_120__bucket_14__run_DATE_demo_h11-120_h12-2_ks-4_triang-0_seed-na_DIGEST
staging/pending/h12_4__h11_122__bucket_10__run_DATE_demo_h11-122_h12-4_ks-3_triang-0_seed-na_DIGEST
staging/pending/h12_3__h11_131__bucket_0__run_DATE_demo_h11-131_h12-3_ks-2_triang-0_seed-na_DIGEST
staging/pending/h12_3__h11_243__bucket_3__run_DATE_demo_h11-243_h12-3_ks-7_triang-0_seed-na_DIGEST
staging/pending/h12_2__h11_272__bucket_15__run_DATE_demo_h11-272_h12-2_ks-1_triang-0_seed-na_DIGEST
staging
  pending  7 shards  SIZE  oldest AGE
  synced   0 shards     0 B
  failed   0 shards     0 B
  90 of 90 commits left in 1h, to ./repo
  sync: none at work
committed=7 failed=0 remaining=0 commits=1
┌─────┬───────┬──────────┬────────────┬────────────┐
│ h12 ┆ ks_id ┆   tau_im ┆       W_re ┆   residual │
╞═════╪═══════╪══════════╪════════════╪════════════╡
│   2 ┆     2 ┆  8.17122 ┆  20.300617 ┆ 2.8755e-14 │
│   2 ┆     2 ┆ 6.774087 ┆  72.491002 ┆ 3.6118e-14 │
│   2 ┆     2 ┆ 5.906019 ┆ -97.119654 ┆ 3.4120e-14 │
│   2 ┆     2 ┆ 9.678302 ┆ -99.175634 ┆ 7.5151e-14 │
│   2 ┆     2 ┆ 6.241881 ┆   5.641379 ┆ 4.8399e-14 │
└─────┴───────┴──────────┴────────────┴────────────┘
geometry_id\tsplit\tn_rows
17c2e9bf8c4b53b1\ttrain\t60
1abca1411e4a5c5f\ttrain\t60
1fe0aeecad566d80\tval\t60
53c720309c3cfd39\ttrain\t60
6a956e467fb31ee5\ttest\t60
7179cfa150057b55\ttrain\t60
c75f58ad2e245010\ttrain\t60
"""

AFTER_STAGING = """\

How things stand.
$ vulcan status --staging-dir staging --repo ./repo

Commit what waits to the repo: a folder here, on the Hub it is owner/name.
$ vulcan sync --staging-dir staging --repo ./repo --create-repo

Ask for vacua.
$ vulcan query --staging-dir staging --where 'tau_im > 5' \
--columns h12,ks_id,tau_im,W_re,residual --limit 5 --format table
read synced of staging
5 rows, 5 columns

Cut the geometries into train, val and test.
$ vulcan split --staging-dir staging --salt 1
read synced of staging
train: 5 geometries, 300 rows, 71.4% of rows where 80.0% is wanted
val: 1 geometry, 60 rows, 14.3% of rows where 10.0% is wanted
test: 1 geometry, 60 rows, 14.3% of rows where 10.0% is wanted

Write the training rows, lists filled up to 20.
$ vulcan split train --staging-dir staging --salt 1 --features flux,moduli_re,moduli_im \
--list-max-len 20 -o train.parquet
read synced of staging
300 rows to train.parquet
"""

STAGED = (
    ("h11-107_h12-3_ks-5.parquet", "h11=107,h12=3,ks_id=5,triang_id=0"),
    ("h11-116_h12-2_ks-2.parquet", "h11=116,h12=2,ks_id=2,triang_id=0"),
    ("h11-120_h12-2_ks-4.parquet", "h11=120,h12=2,ks_id=4,triang_id=0"),
    ("h11-122_h12-4_ks-3.parquet", "h11=122,h12=4,ks_id=3,triang_id=0"),
    ("h11-131_h12-3_ks-2.parquet", "h11=131,h12=3,ks_id=2,triang_id=0"),
    ("h11-243_h12-3_ks-7.parquet", "h11=243,h12=3,ks_id=7,triang_id=0"),
    ("h11-272_h12-2_ks-1.csv", "h11=272,h12=2,ks_id=1,triang_id=0"),
)
ERR = (
    "Workers stage what their solver wrote; no network, no token.\n"
    + "".join(
        f"$ vulcan stage results/{file} --geometry {keys} --project demo --staging-dir staging\n"
        for file, keys in STAGED
    )
    + AFTER_STAGING
)


def steady(text: str) -> str:
    """Output without what differs from run to run: dates, digests, sizes, ages."""
    text = re.sub(r"run_\d{4}-\d\d-\d\d-\d{6}_", "run_DATE_", text)
    text = re.sub(r"_[0-9a-f]{16}\.parquet", "_DIGEST", text)
    return re.sub(r"shards  \d+ kB  oldest \d+s", "shards  SIZE  oldest AGE", text)


def test_the_whole_job_with_nothing_set_and_nothing_left(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    home = tmp_path / "home"
    for folder in (temporary, home):
        folder.mkdir()
    ran = vulcan("demo", home=home, env={"TMPDIR": str(temporary)})
    assert (ran.code, steady(ran.out), ran.err) == (0, OUT, ERR)
    assert (tree(temporary), tree(home)) == ({}, {})


def test_what_is_set_on_the_machine_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "vulcan.toml").write_text("nonsense = 1\n")
    env = {
        "VULCAN_REPO": "a/b",
        "VULCAN_STAGING_DIR": "/nowhere",
        "VULCAN_TEMPLATE": "{who}",
        "VULCAN_BUDGET": "none",
        "STRINGFORGE_VULCAN_PROJECT": "peer",
        "TMPDIR": str(tmp_path),
        "HF_TOKEN": "hf_" + "abcdefghij" * 3,
    }
    before = tree(tmp_path)
    ran = run("demo", "--quiet", cwd=tmp_path, env=env)
    assert (ran.code, ran.err) == (0, "")
    # sync is silent where it is told to be.
    told = OUT.replace("committed=7 failed=0 remaining=0 commits=1\n", "")
    assert steady(ran.out).startswith(told[: told.index("staging\n")])
    assert tree(tmp_path) == before


def test_without_a_network(tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        alone = []
    done = subprocess.run(
        [*alone, *VULCAN, "demo"],
        env=clean(tmp_path, HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, steady(done.stdout)) == (0, OUT)


def test_its_folder_may_stay_and_its_commands_can_be_typed(tmp_path: Path) -> None:
    ran = run("demo", "--keep", "a/kept", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, f"{ERR}All of it is in a/kept.\n")
    kept = tmp_path / "a/kept"
    assert sorted(path.name for path in kept.iterdir()) == [
        *("repo", "results", "staging", "train.parquet"),
    ]
    again = tmp_path / "again"
    shutil.copytree(kept / "results", again / "results")
    for line in ran.err.splitlines():
        if line.startswith("$ vulcan "):
            typed = run(*shlex.split(line.removeprefix("$ vulcan ")), cwd=again)
            assert typed.code == 0, line
    first, second = (pl.read_parquet(folder / "train.parquet") for folder in (kept, again))
    assert (first.height, first.columns) == (
        300,
        ["flux", "moduli_re", "moduli_im", "geometry_id"],
    )
    # The runs have other dates, so rows of a geometry stand together in both.
    assert first.equals(second)

    before = tree(kept)
    assert run("demo", "--keep", "a/kept", cwd=tmp_path) == Ran(
        2,
        "",
        "vulcan: a/kept is there already; name a new folder\n"
        "  safe: nothing was changed\n  next: vulcan demo --help\n",
    )
    assert tree(kept) == before


def test_one_document_of_all_commands(tmp_path: Path) -> None:
    ran = run("demo", "--json", "--quiet", "--keep", "kept", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    document = cast("dict[str, Any]", ran.document())
    commands = [line[2:] for line in ERR.splitlines() if line.startswith("$ ")]
    told = {"folder": "kept", "commands": [(command, 0) for command in commands]}
    seen = [(each["command"], each["exit_code"]) for each in document["commands"]]
    assert {**document, "commands": seen} == told
    # sync is silent where it is told to be.
    out = OUT.replace("committed=7 failed=0 remaining=0 commits=1\n", "")
    assert steady("".join(each["stdout"] for each in document["commands"])) == out


@pytest.mark.parametrize(
    ("words", "safe", "line"),
    [
        (("-v",), "nothing was changed", "demo -v"),
        (("--keep", "kept", "-v"), "kept holds what was done so far", "demo -v"),
    ],
)
def test_an_interrupt_leaves_what_it_says(
    tmp_path: Path, words: tuple[str, ...], safe: str, line: str
) -> None:
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [*VULCAN, "demo", *words],
        env=clean(tmp_path, TMPDIR=str(tmp_path / "tmp")),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Workers stage")
    # Its first command is at work.
    assert process.stderr.readline().startswith("$ vulcan stage")
    assert process.stderr.readline() == "staging_dir is staging, from --staging-dir\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, our_lines(err)[-3:]) == (
        130,
        ["vulcan: interrupted", f"  safe: {safe}", f"  next: vulcan {line}"],
    )
    assert tree(tmp_path / "tmp") == {}
    assert (tmp_path / "kept/results").is_dir() is ("kept" in words)
