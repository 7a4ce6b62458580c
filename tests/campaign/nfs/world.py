"""A staging directory on NFS, its accounts, and what is known to have been staged there."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from tests.campaign.nfs.hosts import EXPORTED, Client, Ended, Process, Server
from tests.hubserver import LocalHub

REPO = "alice/vacua"
PLACE = Path("/tmp/shared")
"""Where both clients mount what the server exports."""

HEAD, WORKERS, GROUP = 1000, (1001, 1002), 1100
"""The account of the syncs, those of the workers of each client, and the group of all."""

_VACUA = Path(__file__).parents[2] / "data/vacua/model_h12-2_1_batch0.parquet"
_GEOMETRY = "h11=272,h12=2,ks_id=1,triang_id=0"
_ROWS = 20


@dataclass(frozen=True, slots=True)
class Staged:
    """What `stage` said of a shard."""

    path_in_repo: str
    status: str


class World:
    """Two clients with one staging directory. Use as a context manager."""

    def __init__(
        self,
        version: str,
        name: str,
        server: Server,
        clients: tuple[Client, Client],
        hub: LocalHub,
    ) -> None:
        self.server = server
        self.clients = clients
        self.hub = hub
        self.known: dict[str, Staged] = {}
        self._version = version
        self._folder = f"{name}-{version}"
        self.at_server = EXPORTED / self._folder / "staging"
        self.staging = PLACE / self._folder / "staging"

    def __enter__(self) -> Self:
        home = self.at_server.parent
        home.mkdir()
        home.chmod(0o755)
        os.chown(home, HEAD, GROUP)
        for client in self.clients:
            client.mount(self._version, PLACE)
        self.hub.create_repo(REPO)
        self.well(self.vulcan(0, "init", str(self.staging), "--group", str(GROUP)))
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.unmount(PLACE)

    def vulcan(self, client: int, *words: str, uid: int = HEAD) -> Process:
        """Start `vulcan` on a client."""
        environment = {
            **self.hub.client_env(home=Path(f"/tmp/home-{client}-{uid}")),
            "VULCAN_STAGING_DIR": str(self.staging),
            "VULCAN_REPO": REPO,
            "HOME": f"/tmp/home-{client}-{uid}",
        }
        words = (sys_python(), "-m", "vulcan_cli", *words)
        return self.clients[client].start(words, uid=uid, gid=GROUP, environment=environment)

    def sync(self, client: int, *words: str) -> Process:
        """Start a sync."""
        return self.vulcan(client, "sync", "--json", *words)

    def stage(self, client: int, rows: int, *words: str) -> Process:
        """Start to stage rows of a number; those of one number are the same everywhere."""
        place = Path(f"/tmp/rows-{rows}.parquet")
        if not place.exists():
            pl.read_parquet(_VACUA, n_rows=(rows + 1) * _ROWS).tail(_ROWS).write_parquet(place)
            place.chmod(0o444)
        uid = WORKERS[client]
        known = ("--geometry", _GEOMETRY, "--json")
        return self.vulcan(client, "stage", str(place), *known, *words, uid=uid)

    def staged(self, process: Process) -> Staged:
        """Wait for a `stage` that must succeed, and remember its shard."""
        (said,) = self.well(process).lines()
        shard = Staged(str(said["path_in_repo"]), str(said["status"]))
        self.known[shard.path_in_repo] = shard
        return shard

    def well(self, process: Process) -> Ended:
        """Wait for a process that must succeed."""
        ended = process.ended()
        if ended.code != 0:
            raise AssertionError(f"it ended with {ended.code}: {ended.out}{ended.err}")
        return ended

    def drained(self, client: int) -> Iterator[str]:
        """Sync until nothing waits; what is wrong after that."""
        for _ in range(12):
            ended = self.sync(client).ended()
            if ended.code not in {0, 5}:
                yield f"a last sync ended with {ended.code}: {ended.out}{ended.err}"
                return
            if json.loads(ended.out)["remaining"] == 0:
                break
        else:
            yield f"shards wait still: {ended.out}"
        yield from self.published()

    def published(self) -> Iterator[str]:
        """What is wrong where all that was staged should be in the repo, and only once."""
        commits = self.hub.commits(REPO)
        times = Counter(path for each in commits for path in each.files if path.startswith("h12_"))
        there = self.shards("synced")
        in_repo = {
            path: sha256 for path, sha256 in self.hub.tree(REPO).items() if path.startswith("h12_")
        }
        if set(in_repo) != set(self.known):
            yield f"{len(self.known)} shards were staged, {len(in_repo)} are in the repo"
        if there != in_repo:
            yield f"synced/ holds {len(there)} shards, which are not those of the repo"
        yield from (f"{path} was committed {n} times" for path, n in times.items() if n != 1)
        for folder in ("pending", "failed", "_vulcan/rejected", "_vulcan/conflicts"):
            left = sorted(
                each.name
                for each in (self.at_server / folder).glob("*")
                if not each.name.startswith(".v")
            )
            if left:
                yield f"{folder} holds {left}"

    def shards(self, state: str) -> dict[str, str]:
        """Path in the repo -> SHA-256, as the server has them."""
        return {
            path.name.replace("__", "/"): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (self.at_server / state).glob("*.parquet")
        }

    def read_everywhere(self) -> Iterator[str]:
        """What readers on both clients say where all is well."""
        for client in (0, 1):
            counted = self.vulcan(client, "query", "--count").ended()
            if (counted.code, counted.out) != (0, f"{_ROWS * len(self.known)}\n"):
                yield f"node{client + 1} counts {counted.code}: {counted.out}{counted.err}"
            verified = self.vulcan(client, "verify", "--repo", REPO).ended()
            if verified.code != 0:
                yield f"node{client + 1} verifies {verified.code}: {verified.out}{verified.err}"


def sys_python() -> str:
    """The interpreter of the machine."""
    return "/usr/bin/python3.11"
