"""`python -m benchmarks.sync_check [--shards N]`: processor time that the check of a shard takes.

Small shards, in one thread, so that what else the machine does counts for little: the least of
three rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.sync_hub import stage
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.listing import Entry
from vulcan_cli.sync.check import Checked, check_all

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync_check")
    parser.add_argument("--shards", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vulcan-bench-") as folder:
        area = StagingArea(Path(folder))
        stage(area, arguments.shards)
        entries = area.scan("pending").entries
        least = min(_seconds(area, entries) for _ in range(ROUNDS))
    print(f"{1000 * least / arguments.shards:.2f} ms of processor time for the check of a shard")


def _seconds(area: StagingArea, entries: tuple[Entry, ...]) -> float:
    began = time.thread_time()
    for entry in entries:
        # One alone is checked in this thread.
        (result,) = check_all(area, [entry], now=time.time())
        assert isinstance(result, Checked), result
        result.close()
    return time.thread_time() - began


if __name__ == "__main__":
    main()
