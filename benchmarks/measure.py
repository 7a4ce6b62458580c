"""Whole processes: how long they take and how much memory they need."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

# Nothing of the person who measures, and no network.
_ENVIRONMENT = {
    "PATH": os.defpath,
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(slots=True)
class Measured:
    """The runs of one program in one job.

    Attributes:
        seconds: Wall time of each run.
        megabytes: Peak resident memory of each run, in units of 10^6 bytes.
    """

    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        return median(self.seconds)

    @property
    def median_mb(self) -> float:
        return median(self.megabytes)


def run(command: Sequence[str]) -> tuple[float, float]:
    """Run a process to its end: seconds, and megabytes at its peak.

    Raises:
        RuntimeError: It failed; says what it said.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)[:300]}\n{said.decode()[-2000:]}")
    # Linux counts in KiB.
    return seconds, usage.ru_maxrss * 1024 / 1e6


def in_pairs(
    peer: Callable[[], Sequence[str]], ours: Callable[[], Sequence[str]], rounds: int
) -> tuple[Measured, Measured]:
    """Run both in turn, once to warm up and then `rounds` times.

    Args:
        peer: Makes the peer's command for the next round.
        ours: Makes ours.
        rounds: How many pairs count.
    """
    results = Measured(), Measured()
    for number in range(rounds + 1):
        for command, result in zip((peer, ours), results, strict=True):
            seconds, megabytes = run(command())
            if number:
                result.seconds.append(seconds)
                result.megabytes.append(megabytes)
    return results
