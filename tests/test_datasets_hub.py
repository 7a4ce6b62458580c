"""What a card on the Hub says of how to read it: every shard is read so, by the card alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from huggingface_hub import constants

from tests.cli_in_process import run
from tests.dataset_support import STAGING, put, vacua
from tests.hub_support import plain_lfs
from tests.hubserver import WRITE, HubThread, LocalHub
from tests.peer_support import Peer
from vulcan_cli.vacua.geometry import path_of_file_name

PEERS, OURS = "alice/peers", "alice/vacua"

# In a process of its own: the client reads where the Hub is when it is first imported.
LOAD = """
import json, re, sys
import datasets
import polars as pl
from huggingface_hub import hf_hub_download

def plain(rows):
    return [dict(row, created_at=row["created_at"].isoformat()) for row in rows]

found = {}
for repo in sys.argv[1:]:
    loaded = datasets.load_dataset(repo, streaming=True)
    found[repo] = {f"streamed {split}": plain(rows) for split, rows in loaded.items()}
    card = open(hf_hub_download(repo, "README.md", repo_type="dataset")).read()
    of_datasets, of_polars, _ = re.findall(r"```python\\n(.*?)```", card, re.DOTALL)
    names = {}
    exec(of_datasets, names)
    found[repo]["datasets"] = plain(names["vacua"])
    exec(of_polars, names)
    found[repo]["polars"] = plain(names["vacua"].collect().to_dicts())
print(json.dumps(found))
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A repo that the peer wrote and we only carded, and one that both fill, of a project `test`.

    In the latter runs are named as `datasets` names splits, shards lack columns of others, and
    some columns are our own.
    """
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("pending", "synced", "failed"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    peers = {
        path_of_file_name(file.name) or "": file.read_bytes()
        for file in sorted((STAGING / "synced").glob("*.parquet"))
    }
    rows = {"test": vacua(3), "val": vacua(4, is_susy=True, tags="x"), "x_train": vacua(2, mine=1)}
    for run_id, frame in rows.items():
        put(tmp_path / "spool/pending", frame, run_id, h11=3, h12=2)
    with plain_lfs(), HubThread(tmp_path / "hub") as running:
        for repo in (PEERS, OURS):
            running.create_repo(repo)
            running.push(repo, peers)
        env = {"HF_ENDPOINT": running.url, "VULCAN_TOKEN": WRITE, "VULCAN_STAGING_DIR": "spool"}
        for words in (["card", "--push", "--repo", PEERS], ["sync", "--repo", OURS]):
            done = run(*words, cwd=tmp_path, env=env)
            assert (done.code, "not brought up to date" in done.err) == (0, False)
        yield running


def rows_of(repo: str, hub: LocalHub, cwd: Path) -> pl.DataFrame:
    env = {"HF_ENDPOINT": hub.url, "VULCAN_TOKEN": WRITE}
    words = ("query", "--source", "repo", "--repo", repo, "-o", "all.parquet")
    assert run(*words, cwd=cwd, env=env).code == 0
    return pl.read_parquet(cwd / "all.parquet")


def test_every_row_is_read_by_what_the_card_says(hub: LocalHub, tmp_path: Path) -> None:
    pytest.importorskip("datasets")

    done = subprocess.run(
        [sys.executable, "-c", LOAD, PEERS, OURS],
        env=hub.client_env(home=tmp_path / "home"),
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )

    found = json.loads(done.stdout)
    for repo, number in ((PEERS, 160), (OURS, 169)):
        rows = rows_of(repo, hub, tmp_path).to_dicts()
        assert len(rows) == number
        plain = [dict(row, created_at=row["created_at"].isoformat()) for row in rows]
        assert found[repo]["datasets"] == found[repo]["streamed train"] == plain
        # Its columns stand in the order in which they come.
        assert found[repo]["polars"] == [dict(row) for row in plain]


def test_the_peer_reads_it_as_the_card_says(hub: LocalHub, tmp_path: Path, peer: Peer) -> None:
    (tmp_path / "readme").write_text(
        run("card", "--source", "repo", "--repo", OURS, cwd=tmp_path, env=env_of(hub)).out
    )
    code = re.findall(r"```python\n(.*?)```", (tmp_path / "readme").read_text(), re.DOTALL)[-1]

    told = peer.run(f"{code}\nprint(len(vacua))", env=hub.client_env(home=tmp_path / "home"))

    assert int(told) == rows_of(OURS, hub, tmp_path).filter(pl.col("h12") == 2).height


def env_of(hub: LocalHub) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "VULCAN_TOKEN": WRITE}
