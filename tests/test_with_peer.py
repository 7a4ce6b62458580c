"""The peer's writer and our sync in one staging directory at the same time."""

from __future__ import annotations

from pathlib import Path

from tests.hubserver import HubProcess
from tests.peer_support import Peer
from tests.with_peer import REPO, check, race


def test_p5_p6_the_peer_writes_while_syncs_run_and_are_killed(tmp_path: Path, peer: Peer) -> None:
    with HubProcess(tmp_path / "hub") as hub:
        hub.create_repo(REPO)
        raced = race(hub, tmp_path, peer, writers=1, shards=12, syncs=3, kills=1, seed=4)
    check(raced)
