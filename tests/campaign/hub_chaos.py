"""Sync to a Hub that fails at random, kill client and server at random, and count what is left.

`python -m tests.campaign.hub_chaos [--seconds 600] [--seed 1] [--rounds N]`, from the checkout.

A round is a staging directory, a Hub in a process of its own, and some acts. In each act a few
requests are to go wrong, a sync runs (sometimes two or four, with the lock on or broken), somebody
stages more or commits other things, and client and server may be killed with SIGKILL. Then all is
well, and syncs run until nothing waits. After each act: every staged shard is in the repo with its
own SHA-256, or waits. At the end: each is in the repo, in one commit of ours, in `synced/` and in
the ledger; `failed/` and the journal are empty; and in no window did more commit requests arrive
than the budget allows. The seed tells the acts; what the machine makes of them is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tests.hubserver import WRITE, Fault, HubProcess
from tests.hubserver.faults import Mode
from tests.sync_process import Zygote
from tests.sync_support import (
    NAME,
    Place,
    by_name,
    ledger_of,
    path_of,
    put,
    sha256_of_file,
    shards_in,
)
from vulcan_cli.hub.open import key_without_client
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.journal import Journal

ENDS = {0, 5, 7, -signal.SIGKILL}
"""How a sync may end here: nothing of what goes wrong is a shard's fault, or the set-up's."""

PLACES = (
    "/commit/",
    "/commit/",
    "/preupload/",
    "objects/batch",
    "/_lfs/",
    "/paths-info/",
    "/revision/",
    "/tree/",
    "/resolve/",
    "/commits/",
)
STATUSES = (408, 409, 429, 500, 502, 503, 504)
LIMITS: tuple[dict[str, str], ...] = (
    {"Retry-After": "2"},
    {"RateLimit": '"api";r=0;t=2', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300'},
    {},
)
MOST_RUNS = 40


@dataclass
class Round:
    """One staging directory and its Hub.

    Attributes:
        root: Where all of it is.
        dice: Decides.
        hub: The server.
        zygote: Starts syncs.
        budget: Commit requests in a window.
        window_s: That window, seconds.
        staged: Path in the repo to SHA-256 of all that was ever staged.
        ends: How the syncs ended.
    """

    root: Path
    dice: random.Random
    hub: HubProcess
    zygote: Zygote
    budget: int = 0
    window_s: float = 0.0
    staged: dict[str, str] = field(default_factory=dict)
    ends: Counter[int] = field(default_factory=Counter)

    @property
    def area(self) -> StagingArea:
        return StagingArea(self.root / "staging")

    def play(self) -> Iterator[str]:
        """The whole round; what went wrong, a line each."""
        self.budget = self.dice.randint(3, 12)
        self.window_s = self.dice.choice((2.0, 5.0, 9.0))
        self.area.create()
        self.hub.create_repo(NAME)
        self.hub.set_cap(None)
        self._stage(self.dice.randint(1, 12))
        for _ in range(self.dice.randint(1, 4)):
            self._act()
            yield from self._lost()
        self.hub.clear_faults()
        self.hub.release()
        for _ in range(MOST_RUNS):
            if not self._waiting():
                break
            self._end(self._start(wait=True))
        yield from self._lost()
        yield from self._not_done()
        yield from self._too_many()

    def _stage(self, count: int) -> None:
        for _ in range(count):
            number = len(self.staged)
            run = f"run{number:03d}"
            self.staged[path_of(run)] = sha256_of_file(put(self.area, run, number))

    def _act(self) -> None:
        """One sync, and what happens to it."""
        dice = self.dice
        self.hub.clear_faults()
        self.hub.add_faults(*(self._fault() for _ in range(dice.randint(0, 4))))
        pids = [self._start()]
        if dice.random() < 0.3:
            broken = dice.random() < 0.5
            pids += [self._start(broken=broken) for _ in range(dice.choice((1, 3)))]
        for _ in range(dice.randint(0, 3)):
            time.sleep(dice.random() * 0.8)
            dice.choice((self._kill_client, self._kill_hub, self._more, self._others))(pids)
        for pid in pids:
            self._end(pid)

    def _fault(self) -> Fault:
        """One of what may go wrong with requests, the common ones more often."""
        dice = self.dice
        modes: tuple[Mode, ...] = ("close", "reset")
        replies: tuple[int | Literal["wait", "close", "reset"], ...] = ("wait", *modes, 504)
        status = dice.choice(STATUSES)
        headers = dice.choice(LIMITS) if status in {429, 503} else {}
        answer = Fault("status", status=status, headers=headers)
        spoilt = (Fault("truncate_upload", keep=100), Fault("spoil_upload"))
        fault = dice.choice(
            (
                answer,
                answer,
                Fault("drop", mode=dice.choice(modes)),
                Fault("drop_after", mode=dice.choice(modes)),
                Fault("status_after", status=504),
                Fault("hold", reply=dice.choice(replies), seconds=dice.random() * 4),
                Fault("delay", seconds=dice.random()),
                dice.choice(spoilt),
            )
        )
        if fault.action == "hold":
            where = "/commit/"
        elif fault in spoilt:
            where = "/_lfs/"
        else:
            where = dice.choice(PLACES)
        return replace(fault, path=where, skip=dice.randint(0, 3), times=dice.choice((1, 1, 2, 5)))

    def _kill_client(self, pids: list[int]) -> None:
        os.kill(self.dice.choice(pids), signal.SIGKILL)

    def _kill_hub(self, _: list[int]) -> None:
        self.hub.restart(after=self.dice.random() * 1.5)

    def _more(self, _: list[int]) -> None:
        self._stage(self.dice.randint(1, 3))

    def _others(self, _: list[int]) -> None:
        """Somebody else commits; sometimes exactly what waits here."""
        waiting = sorted(self.area.pending.glob("*.parquet"))
        files = {"notes.txt": str(self.dice.random()).encode()}
        if waiting and self.dice.random() < 0.3:
            chosen = self.dice.choice(waiting)
            try:
                files[chosen.name.replace("__", "/")] = chosen.read_bytes()
            except FileNotFoundError:
                return
        self.hub.push(NAME, files)

    def _start(self, *, wait: bool = False, broken: bool = False) -> int:
        options = {
            "budget": self.budget,
            "window_s": self.window_s,
            "max_batch": self.dice.choice((1, 2, 3, 500)),
            "max_retries": 3 if wait else self.dice.randint(0, 2),
            "wait": wait or self.dice.random() < 0.3,
        }
        pid = self.zygote.start(
            staging=str(self.area.root),
            repo=NAME,
            token=WRITE,
            endpoint=self.hub.url,
            options=options,
            **{"break": broken},
        )
        os.kill(pid, signal.SIGCONT)
        return pid

    def _end(self, pid: int) -> None:
        self.ends[self.zygote.wait(pid)] += 1

    def _waiting(self) -> bool:
        return bool(shards_in(self.area.pending)) or bool(Journal(self.area).pending())

    def _tree(self) -> dict[str, str]:
        return Place("hub", self.root, self.hub).tree()

    def _lost(self) -> Iterator[str]:
        """Shards that are neither in the repo nor waiting."""
        here = shards_in(self.area.pending)
        tree = self._tree()
        for path, sha256 in self.staged.items():
            if tree.get(path) != sha256 and here.get(path.replace("/", "__")) != sha256:
                yield f"lost: {path}"
        for path in tree.keys() - self.staged.keys():
            yield f"from nowhere: {path}"
        for end in self.ends.keys() - ENDS:
            yield f"ended with {end}"

    def _not_done(self) -> Iterator[str]:
        """What an undisturbed sync would have left otherwise."""
        area = self.area
        if self._tree() != self.staged:
            yield "the repo does not hold all shards"
        if shards_in(area.synced) != by_name(self.staged):
            yield "synced/ does not hold all shards"
        left = (*area.failed.iterdir(), *area.pending.iterdir())
        # Killed, a process may leave a hidden file, which goes after a day.
        if any(not path.name.startswith(".v") for path in left):
            yield "pending/ or failed/ is not empty"
        if Journal(area).pending():
            yield "the journal is not empty"
        times = Counter(Place("hub", self.root, self.hub).committed())
        yield from (f"{times[path]} commits of {path}" for path in times if times[path] > 1)
        written = [(path, sha256) for path, sha256, _, _ in ledger_of(area)]
        if sorted(written) != sorted(self.staged.items()):
            yield "the ledger does not hold each shard once"
        empty = [commit.id for commit in self.hub.commits(NAME) if not commit.files]
        yield from (f"commit {commit} is empty" for commit in empty)

    def _too_many(self) -> Iterator[str]:
        """Windows in which more commit requests arrived than the budget allows."""
        times = sorted(attempt.time for attempt in self.hub.attempts(NAME))
        for first, last in zip(times, times[self.budget :], strict=False):
            if last - first < self.window_s:
                yield f"{self.budget + 1} commit requests in {last - first:.3f} s"
        spent = self.area.private / "budget" / f"{key_without_client(NAME, self.hub.url)}.json"
        stamps = len(json.loads(spent.read_bytes())["timestamps"]) if spent.exists() else 0
        if len(times) > stamps:
            yield f"{len(times)} commit requests and {stamps} slots"


def main() -> int:
    """Play rounds until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="stop after so long")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--rounds", type=int, default=1 << 30, help="stop after so many")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    ends: Counter[int] = Counter()
    requests = shards = played = bad = 0
    with Zygote() as zygote:
        while played < options.rounds and time.monotonic() < deadline:
            seed = options.seed + played
            root = Path(tempfile.mkdtemp(prefix=f"vulcan-chaos-{seed}-"))
            with HubProcess(root / "hub") as hub:
                this = Round(root, random.Random(seed), hub, zygote)
                faults = list(this.play())
                requests += len(hub.attempts(NAME))
            played += 1
            shards += len(this.staged)
            ends += this.ends
            for fault in faults:
                print(f"seed {seed}: {fault} ({root})", flush=True)
            if faults:
                bad += 1
            else:
                shutil.rmtree(root)
    told = ", ".join(f"{count} with {end}" for end, count in sorted(ends.items()))
    print(f"{played} rounds, {shards} shards, {requests} commit requests; syncs that ended: {told}")
    print(f"{bad} rounds with faults")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
