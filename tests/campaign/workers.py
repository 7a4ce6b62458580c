"""P4 with as many workers as a job array has.

`python -m tests.campaign.workers [--workers 200]`, from the checkout, in the environment of the
tests: a few minutes on two busy cores, and 60 MB of memory a worker. First all stage rows of their
own, then all the same rows; each time at one barrier, with the date pinned, no seed and no run id.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.test_cli_concurrency import check_workers


def main() -> None:
    """Run both; an assertion says what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=200)
    workers = parser.parse_args().workers
    with tempfile.TemporaryDirectory() as folder:
        check_workers(Path(folder), different=workers - 1, equal=1)
    print(f"{workers} workers with different rows: {workers} shards")
    with tempfile.TemporaryDirectory() as folder:
        check_workers(Path(folder), different=0, equal=workers)
    print(f"{workers} workers with the same rows: 1 shard, {workers} successes")


if __name__ == "__main__":
    main()
