"""How many shards repos and their folders hold, by what this staging directory knows.

The Hub asks for fewer than 10,000 files a folder and 100,000 a repo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.ledger import Ledger

MOST_IN_FOLDER = 10_000
MOST_IN_REPO = 100_000

NEAR = 0.9
"""The share of a limit from which on people are told."""


class Crowd(NamedTuple):
    """A repo or a folder of it that is near its limit, or beyond it.

    Attributes:
        repo: The repo, as its key.
        folder: A folder of the repo; empty for the repo as a whole.
        files: Shards in it, those that wait for it included.
        most: The limit.
    """

    repo: str
    folder: str
    files: int
    most: int


def crowds(
    area: StagingArea,
    keys: Sequence[str],
    *,
    waiting: Mapping[str, int],
    here: Mapping[str, int],
) -> tuple[Crowd, ...]:
    """Find what is near a limit, the fullest first.

    Args:
        area: The staging directory.
        keys: The keys of the repos, the main one first.
        waiting: Shards in `pending/` by the folder in the repo that they go to.
        here: Shards in `synced/`, likewise; the ledger knows more, but none that the peer moved.

    Raises:
        DiskTrouble: The ledger is there and cannot be read.
    """
    published: dict[str, Counter[str]] = {key: Counter() for key in keys}
    for repo, folder in Ledger(area).folders():
        if repo in published:
            published[repo][folder] += 1
    found = []
    for number, (key, folders) in enumerate(published.items()):
        if number == 0:
            for folder, files in here.items():
                folders[folder] = max(folders[folder], files)
            folders.update(waiting)
        found.append(Crowd(key, "", folders.total(), MOST_IN_REPO))
        found += [Crowd(key, name, files, MOST_IN_FOLDER) for name, files in folders.items()]
    near = [crowd for crowd in found if crowd.files >= NEAR * crowd.most]
    return tuple(sorted(near, key=lambda crowd: (-crowd.files / crowd.most, crowd.folder)))
