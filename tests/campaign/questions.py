"""Random questions to the peer's own `query` and to ours, over shards that both have written.

`python -m tests.campaign.questions [--rounds 10] [--seed 0]`, from the checkout, with network for
the first installation of the peer: about 20 seconds a round.

A round is a staging directory that both programs fill with real vacua, and a Hub's repo that both
sync it to. To each question the staging directory, the repo and, now and then, a command line must
answer with the rows of the peer, in its order.
"""

from __future__ import annotations

import argparse
import sys

from tests.peer_support import PeerMissingError, install
from tests.questions import play


def main() -> int:
    """Play the rounds; an assertion says which question was answered otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--questions", type=int, default=200, help="in each round")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    try:
        peer = install()
    except PeerMissingError as error:
        print(f"skipped: the peer cannot be installed here: {error}")
        return 0
    for seed in range(options.seed, options.seed + options.rounds):
        n_shards, n_rows = play(peer, seed, options.questions)
        said = f"{n_shards} shards, {options.questions} questions, {n_rows} rows"
        print(f"round {seed}: {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
