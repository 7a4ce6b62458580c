"""`python -m benchmarks.remote [--shards N]`: what it takes to find one shard in a repo on the Hub.

Shards are published by `vulcan sync` to the tests' own Hub; then a fresh process with nothing in
its cache asks for one of them, and again. Once more the same after somebody else has committed a
shard, which the catalog in the repo does not know. Requests and bytes are counted by the server;
redirects are not requests, as they carry nothing. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sync_hub import stage
from tests.hubserver import WRITE, HubProcess
from vulcan_cli.staging.area import StagingArea

REPO = "alice/vacua"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a question took: requests, and bytes of what was answered."""

    requests: int
    sent_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remote")
    parser.add_argument("--shards", type=int, default=10_000)
    shards = parser.parse_args().shards
    with (
        tempfile.TemporaryDirectory(prefix="vulcan-bench-") as name,
        HubProcess(Path(name, "hub")) as hub,
    ):
        folder = Path(name)
        hub.set_cap(None)
        hub.create_repo(REPO)
        _publish(hub, folder, shards)
        size = sum(path.stat().st_size for path in folder.glob("area/synced/*.parquet"))
        print(f"One of {shards:,} shards of {size / shards / 1000:.1f} kB.\n")
        print("| head of the repo | cache | requests | kB |\n| --- | --- | --- | --- |")
        _ask(hub, folder, shards, "a commit of `vulcan sync`")
        _push(hub, folder, shards)
        _ask(hub, folder, shards, "a commit of somebody else")


def _publish(hub: HubProcess, folder: Path, shards: int) -> None:
    area = folder / "area"
    stage(StagingArea(area), shards)
    words = ("sync", "--staging-dir", str(area), "--repo", REPO, "--budget", "100000", "--quiet")
    _vulcan(hub, folder / "home-of-sync", *words)


def _push(hub: HubProcess, folder: Path, shards: int) -> None:
    """One more shard, which the catalog in the repo does not know."""
    area = StagingArea(folder / "more")
    stage(area, 1, first=shards)
    (one,) = area.scan("pending").entries
    assert one.path_in_repo is not None
    hub.push(REPO, {one.path_in_repo: one.parquet.read_bytes()})


def _ask(hub: HubProcess, folder: Path, shards: int, head: str) -> None:
    home = Path(tempfile.mkdtemp(dir=folder))
    for cache in ("empty", "warm"):
        cost = _cost(hub, home, shards // 2)
        print(f"| {head} | {cache} | {cost.requests} | {cost.sent_bytes / 1000:.0f} |", flush=True)


def _cost(hub: HubProcess, home: Path, ks_id: int) -> Cost:
    before = len(hub.requests())
    words = ("query", "--source", "repo", "--repo", REPO, "--ks-id", str(ks_id), "--json")
    assert _vulcan(hub, home, *words).count("\n") == 8
    made = [each for each in hub.requests()[before:] if each.status is not None]
    carrying = [each for each in made if not 300 <= (each.status or 0) < 400]
    return Cost(len(carrying), sum(each.sent_bytes for each in made))


def _vulcan(hub: HubProcess, home: Path, *words: str) -> str:
    environment = {**hub.client_env(WRITE, home=home), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "vulcan_cli", *words]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


if __name__ == "__main__":
    main()
