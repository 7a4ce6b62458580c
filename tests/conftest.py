"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.peer_support import Peer, PeerMissingError, install

# The machines of CI are shared: a slow example says nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Peer:
    """The peer in an environment of its own; where it cannot be had, the test is skipped."""
    # One folder for all workers of this session: what failed once is not tried again.
    base = tmp_path_factory.getbasetemp()
    failed = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "peer-missing"
    if failed.exists():
        pytest.skip(failed.read_text())
    try:
        return install()
    except PeerMissingError as error:
        why = f"the peer cannot be installed here: {error}"
        failed.write_text(why)
        pytest.skip(why)
