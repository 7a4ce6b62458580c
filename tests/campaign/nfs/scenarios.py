"""What is done on two clients at once; each scenario yields what went wrong."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.campaign.nfs.hosts import EXPORTED, Ended
from tests.campaign.nfs.world import HEAD, World
from tests.hubserver import Fault

_WRITERS = 8
_AT_WORK = {0, 5, 7, -signal.SIGKILL, 128 + signal.SIGKILL}
"""How a sync may end among others, and where it is killed."""


def writers_and_syncs(world: World) -> Iterator[str]:
    """Workers and syncs on both clients, and some of the syncs are killed."""
    chance = random.Random(0)

    def sync(client: int) -> Iterator[str]:
        process = world.sync(client, "--max-batch", "3")
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0, 15))
            process.send(signal.SIGKILL)
        yield from _unless_in(_AT_WORK, "a sync", process.ended())

    with _meanwhile(lambda: sync(0), lambda: sync(1)) as faults:
        for _ in range(2):
            begun = len(world.known)
            started = [world.stage(n % 2, begun + n) for n in range(_WRITERS)]
            for process in started:
                world.staged(process)
    yield from faults
    # Whose sync died last is known at once on its own machine only.
    for client in (0, 1):
        yield from _unless_in(_AT_WORK, f"node{client + 1}", world.sync(client).ended())
    world.vulcan(0, "unlock", "--force").ended()
    yield from world.drained(1)
    yield from world.read_everywhere()


def same_rows(world: World) -> Iterator[str]:
    """Workers of both clients with the same rows make one shard."""
    for shard in [world.stage(n % 2, 0, "--set", "date=X") for n in range(_WRITERS)]:
        world.staged(shard)
    if len(world.shards("pending")) != 1:
        yield f"{sorted(world.shards('pending'))} wait"
    yield from world.drained(0)


def same_name(world: World) -> Iterator[str]:
    """Of workers with other rows and one name, one wins and nothing is replaced."""
    started = [world.stage(n % 2, n, "--run-id", "the_same") for n in range(_WRITERS)]
    ends = [process.ended() for process in started]
    codes = sorted(ended.code for ended in ends)
    if codes != [0] + [3] * (_WRITERS - 1):
        yield f"they ended with {codes}"
        yield from (ended.err for ended in ends if ended.code not in {0, 3})
    (winner,) = [ended.lines()[0] for ended in ends if ended.code == 0]
    (shard,) = world.at_server.glob("pending/*.parquet")
    if str(winner["digest"]).encode() not in shard.read_bytes():
        yield "what is there is not what the winner staged"


def stopped_elsewhere(world: World) -> Iterator[str]:
    """A sync is stopped before its commit, its lock broken from elsewhere, and it wakes."""
    for n in range(4):
        world.staged(world.stage(n % 2, n))
    world.hub.add_faults(Fault("delay", path="/preupload/", seconds=60))
    stopped = world.sync(0)
    _await(lambda: world.hub.fault_hits() == [1])
    refused = world.sync(1).ended()
    yield from _unless_in({7}, "a sync beside it", refused)
    stopped.send(signal.SIGSTOP)
    unlocked = world.vulcan(1, "unlock", "--force").ended()
    yield from _unless_in({0}, "unlock", unlocked)
    yield from world.drained(1)
    stopped.send(signal.SIGCONT)
    # It looks for its lease before it commits or moves; all may be done before it does.
    yield from _unless_in({0, 5, 7}, "the one that woke", stopped.ended())
    yield from world.drained(0)
    yield from world.read_everywhere()


def server_goes_away(world: World) -> Iterator[str]:
    """The NFS server stops for some seconds while shards are staged and synced."""
    for n in range(2):
        world.staged(world.stage(n % 2, n))
    staging = [world.stage(n % 2, n) for n in range(2, 6)]
    syncing = world.sync(0, "--max-batch", "1")
    time.sleep(4)
    world.server.stop()
    time.sleep(5)
    world.server.start()
    for process in staging:
        world.staged(process)
    yield from _unless_in({0}, "the sync", syncing.ended())
    yield from world.drained(1)
    yield from world.read_everywhere()


def readers(world: World) -> Iterator[str]:
    """Readers on one client while shards are staged and synced on the other."""

    def read(*words: str) -> Iterator[str]:
        yield from _unless_in({0}, words[0], world.vulcan(1, *words).ended())

    with _meanwhile(
        lambda: read("status", "--json"),
        lambda: read("query", "--source", "staged", "--count"),
        lambda: read("catalog", "--json"),
    ) as faults:
        for n in range(6):
            world.staged(world.stage(0, n))
            world.well(world.sync(0))
    yield from faults
    yield from world.drained(0)
    yield from world.read_everywhere()


def open_files(world: World) -> Iterator[str]:
    """A shard is trimmed while somebody reads it: NFS keeps it under a name of its own."""
    shard = world.staged(world.stage(0, 0))
    yield from world.drained(0)
    name = shard.path_in_repo.replace("/", "__")
    place = world.staging / "synced" / name
    reader = world.clients[0].start(
        ("bash", "-c", f"exec 3<{place} && sleep 1000"), uid=HEAD, gid=HEAD, environment={}
    )
    time.sleep(2)
    trimmed = world.vulcan(0, "trim-synced", "--keep-bytes", "0").ended()
    hidden = sorted(each.name for each in (world.at_server / "synced").iterdir())
    if trimmed.code != 0 or not all(each.startswith(".nfs") for each in hidden):
        yield f"trim ended with {trimmed.code}, {hidden} are left: {trimmed.err}"
    for words in (("status",), ("verify",), ("query", "--count"), ("sync",), ("catalog", "--json")):
        for client in (0, 1):
            who = f"{words[0]} on node{client + 1}"
            yield from _unless_in({0}, who, world.vulcan(client, *words).ended())
    reader.send(signal.SIGKILL)
    reader.ended()


def full(world: World) -> Iterator[str]:
    """A disk of the server that is full: nothing is there, and it is said; then there is room."""
    filler = EXPORTED / "filler"
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], capture_output=True, check=False
    )
    try:
        yield from _unless_in({6}, "stage", world.stage(0, 0).ended())
        if list((world.at_server / "pending").glob("*.parquet")):
            yield "a shard is there"
    finally:
        filler.unlink()
    world.staged(world.stage(0, 0))
    yield from world.drained(1)


def squashed(world: World) -> Iterator[str]:
    """The root of a client is nobody to the server."""
    for words in (("status",), ("sync",), ("trim-synced", "--keep-bytes", "0")):
        yield from _unless_in({0, 4, 6}, words[0], world.vulcan(0, *words, uid=0).ended())


SCENARIOS: dict[str, Callable[[World], Iterator[str]]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        same_rows,
        same_name,
        writers_and_syncs,
        stopped_elsewhere,
        server_goes_away,
        readers,
        open_files,
        full,
        squashed,
    )
}


@contextmanager
def _meanwhile(*works: Callable[[], Iterator[str]]) -> Iterator[list[str]]:
    """Do each of these again and again in a thread until the block ends; gives what they found."""
    faults: list[str] = []
    ended = threading.Event()

    def again(work: Callable[[], Iterator[str]]) -> None:
        while not ended.is_set():
            faults.extend(work())

    threads = [threading.Thread(target=again, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield faults
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _unless_in(codes: set[int], who: str, ended: Ended) -> Iterator[str]:
    if ended.code not in codes:
        yield f"{who} ended with {ended.code}: {ended.out}{ended.err}"


def _await(ready: Callable[[], bool]) -> None:
    """Wait for what comes soon."""
    for _ in range(600):
        if ready():
            return
        time.sleep(0.1)
    raise AssertionError("it does not come")
