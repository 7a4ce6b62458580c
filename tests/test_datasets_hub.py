"""`datasets.load_dataset("owner/name")`: every shard of a repo on the Hub, by the card alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dataset_support import STAGING, listed, put, vacua
from tests.hubserver import HubThread
from vulcan_cli.dataset.card import About, card
from vulcan_cli.dataset.catalog import Catalog, Source
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query

# In a process of its own: the client reads where the Hub is when it is first imported.
LOAD = """
import json, sys
import datasets

def rows_of(loaded):
    return {
        split: [dict(row, created_at=row["created_at"].isoformat()) for row in rows]
        for split, rows in loaded.items()
    }

found = [
    rows_of(datasets.load_dataset(repo, streaming=streaming))
    for repo in sys.argv[1:]
    for streaming in (False, True)
]
print(json.dumps(found))
"""


def of_the_peer(_: Path) -> list[Source]:
    """A repo that the peer wrote; only the card is ours."""
    return list(listed(STAGING / "synced"))


def of_both(folder: Path) -> list[Source]:
    """Runs named as `datasets` names splits, shards that lack columns, columns of our own."""
    rows = {"test": vacua(3), "val": vacua(4, is_susy=True, tags="x"), "x_train": vacua(2, mine=1)}
    ours = [put(folder, frame, name, h11=3, h12=2) for name, frame in rows.items()]
    return [*listed(STAGING / "synced"), *ours]


def test_load_dataset_gives_every_row_whether_it_streams_or_not(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    repos = {"alice/peers": of_the_peer, "alice/vacua": of_both}
    wanted = []
    with HubThread(tmp_path / "hub") as hub:
        for repo, sources in repos.items():
            shards = Catalog.read(sources(tmp_path))
            names = shards.rows.select("file", "path_in_repo").iter_rows()
            files = {path: Path(file).read_bytes() for file, path in names}
            files["README.md"] = card(None, shards, About(repo)).text.encode()
            hub.create_repo(repo)
            hub.push(repo, files)
            rows = query(shards, Filters()).rows.collect().to_dicts()
            plain = [dict(row, created_at=row["created_at"].isoformat()) for row in rows]
            wanted += [{"train": plain}] * 2

        done = subprocess.run(
            [sys.executable, "-c", LOAD, *repos],
            env=hub.client_env(home=tmp_path / "home"),
            check=True,
            capture_output=True,
            text=True,
            timeout=240,
        )

    assert json.loads(done.stdout) == wanted
