"""What holds for every test, and the places where most of them happen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.hub_support import disk_of, plain_lfs
from tests.hubserver import HubThread, LocalHub
from tests.peer_support import Peer, PeerMissingError, begin_to_install, install
from tests.sync_support import NAME, Place
from vulcan_cli.staging.area import StagingArea

# The machines of CI are shared: a slow example says nothing about the code.
# Thirty find what is wrong in what people write; the machines of CI have no time for more. They are
# the same each time: what a change did not break does not fail it.
settings.register_profile("usual", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("usual")

# Where memory is a file system: disks that machines share take long to sync files.
_MEMORY, _ROOM = Path("/dev/shm"), 4 << 30

_INSTALLING = pytest.StashKey[subprocess.Popen[bytes] | None]()


def pytest_configure() -> None:
    """Folders of tests stand in memory, where that will do, and nobody says otherwise."""
    if _MEMORY.is_dir() and _will_do(os.statvfs(_MEMORY)):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def _will_do(found: os.statvfs_result) -> bool:
    """Whether there is room, and scripts can run."""
    has_room = found.f_bavail * found.f_frsize > _ROOM
    return has_room and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that ask for the peer come last; it is installed while the others run."""
    items.sort(key=_asks_for_the_peer)
    is_first = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    if is_first and any(map(_asks_for_the_peer, items)) and not config.option.collectonly:
        config.stash[_INSTALLING] = begin_to_install()


def pytest_unconfigure(config: pytest.Config) -> None:
    installing = config.stash.get(_INSTALLING, None)
    if installing is not None:
        installing.wait()


def _asks_for_the_peer(item: pytest.Item) -> bool:
    return "peer" in getattr(item, "fixturenames", ())


@pytest.fixture
def area(tmp_path: Path) -> StagingArea:
    """An empty staging directory."""
    made = StagingArea(tmp_path / "staging")
    made.create()
    return made


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """A Hub with one empty repo, whose client sends content by LFS."""
    with plain_lfs(), HubThread(tmp_path / "hub") as running:
        running.create_repo(NAME)
        yield running


@pytest.fixture
def folder_place(tmp_path: Path) -> Place:
    """A repo that is an empty folder."""
    made = Place("directory", tmp_path)
    made.folder.mkdir()
    return made


@pytest.fixture
def hub_place(hub: LocalHub, tmp_path: Path) -> Place:
    """A repo that is empty, on a Hub."""
    return Place("hub", tmp_path, hub)


@pytest.fixture(params=["folder_place", "hub_place"], ids=["directory", "hub"])
def place(request: pytest.FixtureRequest) -> Place:
    """A repo of either kind: what is asked of one is asked of both."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 256 kB."""
    with disk_of("256k") as top:
        yield top


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
