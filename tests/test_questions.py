"""A sample of `tests/campaign/questions.py`."""

from __future__ import annotations

from tests.peer_support import Peer
from tests.questions import play


def test_a_repo_written_half_by_the_peer_answers_as_the_peer_does(peer: Peer) -> None:
    n_shards, n_rows = play(peer, 1, 15)
    assert (n_shards, n_rows > 0) == (25, True)
