"""`python -m benchmarks.sync_hub [--shards N]`: a sync to a Hub beside the bare client, in pairs.

The Hub is the tests' own, on this machine. Both programs commit the same files, 500 to a commit:
`vulcan sync` with every check, slot, journal record and question, the bare client with
`create_commit` alone. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from tests.hubserver import WRITE, HubProcess
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.publish import publish
from vulcan_cli.vacua.geometry import Geometry
from vulcan_cli.vacua.prepare import Run, prepare
from vulcan_cli.vacua.shard import digest_of_rows

VACUA = Path(__file__).parents[1] / "tests/data/vacua"
BATCH = 500

_BARE = """
import sys
from pathlib import Path
from huggingface_hub import CommitOperationAdd, HfApi
files = sorted(Path(sys.argv[1]).glob("*.parquet"))
api = HfApi()
for start in range(0, len(files), 500):
    adds = [CommitOperationAdd(f.name.replace("__", "/"), f) for f in files[start : start + 500]]
    api.create_commit(sys.argv[2], adds, commit_message="bare", repo_type="dataset")
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took: seconds, the most memory in MB, and requests to the Hub."""

    seconds: float
    memory: float
    requests: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync_hub")
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vulcan-bench-"))
    try:
        staged = folder / "staged"
        stage(StagingArea(staged), arguments.shards)
        with HubProcess(folder / "hub") as hub:
            hub.set_cap(None)
            pairs = [_pair(hub, folder, staged, number) for number in range(arguments.rounds)]
    finally:
        shutil.rmtree(folder)
    _print(arguments.shards, *zip(*pairs, strict=True))


def stage(area: StagingArea, count: int, first: int = 0) -> None:
    """Shards of eight real rows each, every one of a geometry of its own."""
    area.create()
    rows = pl.read_parquet(next(iter(sorted(VACUA.glob("*.parquet"))))).head(8)
    for number in range(first, first + count):
        run = Run(geometry=Geometry(h11=272, h12=2, ks_id=number), project="bench")
        (shard,) = prepare(rows, run, now=datetime.now(UTC)).shards
        publish(
            area,
            path_in_repo=shard.path_in_repo,
            write=shard.write,
            sidecar=shard.sidecar(),
            digest=shard.digest,
            digest_of=digest_of_rows,
            staged_by="benchmark",
        )


def _pair(hub: HubProcess, folder: Path, staged: Path, number: int) -> tuple[Cost, Cost]:
    area = folder / f"area-{number}"
    shutil.copytree(staged, area)
    environment = {**hub.client_env(WRITE, home=folder / "home"), "PATH": os.environ["PATH"]}
    for name in ("ours", "bare"):
        hub.create_repo(f"alice/{name}-{number}")
    sync = ["-m", "vulcan_cli", "sync", "--staging-dir", str(area), "--budget", "100000"]
    ours = _run(hub, [*sync, "--repo", f"alice/ours-{number}"], environment)
    files = str(staged / "pending")
    bare = _run(hub, ["-c", _BARE, files, f"alice/bare-{number}"], environment)
    return ours, bare


def _run(hub: HubProcess, arguments: Sequence[str], environment: Mapping[str, str]) -> Cost:
    before = len(hub.requests())
    began = time.perf_counter()
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, *arguments],
        environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(
            f"{' '.join(arguments[:4])} ended with {os.waitstatus_to_exitcode(status)}"
        )
    return Cost(seconds, usage.ru_maxrss / 1024, len(hub.requests()) - before)


def _print(shards: int, ours: Sequence[Cost], bare: Sequence[Cost]) -> None:
    commits = -(-shards // BATCH)
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(ours, bare, strict=True))
    print(f"{shards:,} shards of 8 rows, {commits} commits; times as long: {ratio:.2f}\n")
    print("| program | seconds | memory | requests per commit |\n| --- | --- | --- | --- |")
    for name, costs in (("vulcan sync", ours), ("bare client", bare)):
        seconds = statistics.median(cost.seconds for cost in costs)
        memory = max(cost.memory for cost in costs)
        requests = costs[0].requests / commits
        print(f"| {name} | {seconds:.1f} | {memory:.0f} MB | {requests:.0f} |")


if __name__ == "__main__":
    main()
