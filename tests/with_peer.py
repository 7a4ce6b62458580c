"""The peer's writer and our sync at work in one staging directory, with kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.cli_support import CHECKOUT, clean
from tests.hubserver import WRITE, HubProcess
from tests.peer_support import Peer
from tests.sync_support import grow_old, shards_in
from vulcan_cli.staging.area import StagingArea

REPO = "alice/vacua"

WRITER = """
import sys
from pathlib import Path
import pandas as pd
from stringforge.vulcan import write_shard
staging, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + count):
    frame = pd.DataFrame({"flux": [[number, 2, 3, 4]], "moduli_re": [[0.5]], "moduli_im": [[1.5]],
                          "tau_re": [0.1], "tau_im": [2.0], "tadpole_charge": [5]})
    shard = write_shard(frame, staging_dir=staging, run_id=f"theirs-{number}",
                        geometry={"h11": 3, "h12": 2, "ks_id": number})
    print(shard.path_in_repo, flush=True)
"""

DRAINER = """
import sys
from stringforge.vulcan import Vulcan
Vulcan(repo=sys.argv[1], staging_dir=sys.argv[2], token=sys.argv[3]).sync(max_batch=4)
"""


@dataclass(frozen=True)
class Raced:
    """What is left of a race.

    Attributes:
        written: Paths in the repo that the peer's writers said they had written.
        tree: Path in the repo to SHA-256, at the end.
        synced: File name in `synced/` to SHA-256.
        left: File names of shards that are anywhere else.
        doubled: Paths in more than one commit of ours.
    """

    written: set[str]
    tree: dict[str, str]
    synced: dict[str, str]
    left: list[str]
    doubled: list[str]


def race(
    hub: HubProcess,
    root: Path,
    peer: Peer,
    *,
    writers: int,
    shards: int,
    syncs: int,
    drainers: int = 0,
    kills: int,
    seed: int,
) -> Raced:
    """Let writers of the peer and syncs of ours run at once, kill some, and finish alone.

    Args:
        hub: A Hub with the repo.
        root: An empty folder.
        peer: The peer.
        writers: Processes of the peer that write.
        shards: How many each writes.
        syncs: Syncs of ours, one after the other while the writers write.
        drainers: Processes of the peer that sync, too.
        kills: How many of all these processes to kill.
        seed: Of the moments.
    """
    area, chance = StagingArea(root / "spool"), random.Random(seed)
    area.create()
    env = {**hub.client_env(WRITE), "VULCAN_STAGING_DIR": str(area.root), "VULCAN_REPO": REPO}
    writing = [_write(peer, area, number * shards, shards) for number in range(writers)]
    running = [*writing, *(_drain(peer, area, hub) for _ in range(drainers))]
    # Nobody is killed before there is something to lose.
    begun = [each.stdout.readline() for each in writing if each.stdout is not None]
    for _ in range(syncs):
        running.append(_sync(env, root))
        time.sleep(chance.random() * 2)
        if kills > 0:
            kills -= 1
            victim = chance.choice([each for each in running if each.poll() is None] or running)
            victim.send_signal(signal.SIGKILL)
    said = [*begun, *(each.communicate()[0] for each in running)]
    written = {line for out in said[: 2 * writers] for line in out.splitlines()}
    _finish(area, env, root)
    ours = [commit for commit in hub.commits(REPO) if commit.description.startswith("vulcan batch")]
    times = Counter(path for commit in ours for path in commit.files if path.endswith(".parquet"))
    return Raced(
        written=written,
        tree={path: sha for path, sha in hub.tree(REPO).items() if path.endswith(".parquet")},
        synced=shards_in(area.synced),
        left=[*shards_in(area.pending), *shards_in(area.failed)],
        doubled=[path for path, count in times.items() if count > 1],
    )


def check(raced: Raced) -> None:
    """Every shard came out whole, and once in our commits."""
    assert (raced.left, raced.doubled) == ([], [])
    synced = {name.replace("__", "/"): sha256 for name, sha256 in raced.synced.items()}
    assert synced == raced.tree
    assert raced.written <= raced.tree.keys()


def _write(peer: Peer, area: StagingArea, first: int, count: int) -> subprocess.Popen[str]:
    return _start([str(peer.python), "-c", WRITER, str(area.root), str(first), str(count)], {})


def _drain(peer: Peer, area: StagingArea, hub: HubProcess) -> subprocess.Popen[str]:
    env = {name: text for name, text in hub.client_env().items() if name.startswith("HF_")}
    return _start([str(peer.python), "-c", DRAINER, REPO, str(area.root), WRITE], env)


def _sync(env: dict[str, str], cwd: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "vulcan_cli", "sync", "--max-batch", "3", "--quiet"]
    return _start(words, clean(cwd, **{**env, "PYTHONPATH": str(CHECKOUT)}), cwd)


def _start(words: list[str], env: dict[str, str], cwd: Path | None = None) -> subprocess.Popen[str]:
    kept = {name: text for name, text in os.environ.items() if name in ("PATH", "HOME")}
    return subprocess.Popen(
        words,
        env={**kept, **env},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _finish(area: StagingArea, env: dict[str, str], cwd: Path) -> None:
    """What a person does after a night of crashes: run sync again, until nothing is left."""
    for path in area.pending.iterdir():
        grow_old(path)
    for _ in range(3):
        process = _sync(env, cwd)
        process.communicate()
        if process.returncode == 0 and not shards_in(area.pending):
            break
