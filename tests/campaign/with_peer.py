"""The peer's writers and its sync beside ours, with kills, again and again.

`python -m tests.campaign.with_peer [--rounds 20]`, from the checkout, with network for the first
installation of the peer: about 20 seconds a round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.hubserver import HubProcess
from tests.peer_support import PeerMissingError, install
from tests.with_peer import REPO, check, race


def main() -> int:
    """Run the rounds; an assertion says what went wrong, and in which."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    try:
        peer = install()
    except PeerMissingError as error:
        print(f"skipped: the peer cannot be installed here: {error}")
        return 0
    for seed in range(options.seed, options.seed + options.rounds):
        drainers = seed % 2
        with tempfile.TemporaryDirectory(prefix="vulcan-peer-") as folder:
            with HubProcess(Path(folder) / "hub") as hub:
                hub.create_repo(REPO)
                raced = race(
                    hub,
                    Path(folder),
                    peer,
                    writers=2,
                    shards=20,
                    syncs=5,
                    drainers=drainers,
                    kills=3,
                    seed=seed,
                )
            said = f"{len(raced.written)} written, {len(raced.tree)} in the repo"
            print(f"round {seed}, {drainers} syncs of the peer: {said}", flush=True)
            check(raced)
    return 0


if __name__ == "__main__":
    sys.exit(main())
