"""A process of its own that writes to a directory repo: `python -m tests.hub_writer REPO IN ...`.

Commits each of the named sets of files in turn, on the head it finds; a set is `run_a,run_b`, the
files are in the folder IN. Looks again, and commits again, as long as another writer was quicker.
Prints the outcome of each set.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.hub.repo import Addition, Commit, Stale

SHARDS = "h12_2/h11_3/bucket_5"


def _addition(folder: Path, name: str) -> Addition:
    data = (folder / name).read_bytes()
    path = f"{SHARDS}/{name}.parquet"
    return Addition(path, folder / name, hashlib.sha256(data).hexdigest(), len(data))


def main(repo_folder: str, source: str, *sets: str) -> None:
    """Commit every set."""
    repo = DirectoryRepo(Path(repo_folder))
    for names in sets:
        additions = tuple(_addition(Path(source), name) for name in names.split(","))
        while True:
            outcome = repo.commit(Commit(names, "", repo.head(), additions))
            if outcome != Stale():
                break
        sys.stdout.write(f"{type(outcome).__name__}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
