"""`python -m benchmarks.run [--quick] [NAME ...]`: time vulcan beside the peer, in pairs.

Each job is a whole process. Both programs take turns, so that whatever slows the machine slows
both. Prints a table in Markdown. Environments and data are made at the first run and kept in the
user's cache; nothing is written to the checkout.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from itertools import count

from benchmarks.environments import CHECKOUT, Environment, cache_folder, ours, peer
from benchmarks.jobs import JOBS, Command, Job, Places
from benchmarks.measure import Measured, in_pairs
from benchmarks.sizes import SIZES

_ALL = {**JOBS, **SIZES}

_HEAD = """\
| job | peer | ours | times as fast | goal | peer's memory | ours | goal |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def main() -> None:
    arguments = _arguments()
    data = cache_folder() / "data"
    programs = peer(), ours()
    for name in arguments.names:
        for needed in _ALL[name].needs:
            command = [programs[1].python, "-m", "benchmarks.data", str(data), *needed]
            subprocess.run(command, cwd=CHECKOUT, check=True)
    scratch = cache_folder() / f"scratch-{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        print(_machine())
        print(f"\n{_HEAD}", flush=True)
        for name in arguments.names:
            rounds = arguments.rounds or (3 if _ALL[name].slow else 7)
            pair = _measure(_ALL[name], programs, Places(data, scratch / name), rounds)
            print(_row(_ALL[name], *pair), flush=True)
    finally:
        # Not between the runs: file systems are slow for a while after deleting many files.
        shutil.rmtree(scratch)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description="Time vulcan beside the peer, in pairs."
    )
    parser.add_argument(
        "--quick",
        action="store_const",
        dest="rounds",
        const=1,
        help="one pair of runs for each job, after one to warm up; else 7, or 3 of slow jobs",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"out of {', '.join(JOBS)} (these without a name), {', '.join(SIZES)}",
    )
    arguments = parser.parse_args()
    arguments.names = arguments.names or list(JOBS)
    unknown = sorted(set(arguments.names) - set(_ALL))
    if unknown:
        parser.error(f"there is no job {unknown[0]}: choose from {', '.join(_ALL)}")
    return arguments


def _measure(
    job: Job, programs: tuple[Environment, Environment], places: Places, rounds: int
) -> tuple[Measured, Measured]:
    places.scratch.mkdir()
    numbers = count()

    def next_of(command: Command, environment: Environment) -> list[str]:
        for name in job.forgets:
            shutil.rmtree(places.data / name, ignore_errors=True)
        scratch = places.scratch / str(next(numbers))
        return list(command(environment, Places(places.data, scratch)))

    return in_pairs(
        lambda: next_of(job.peer, programs[0]), lambda: next_of(job.ours, programs[1]), rounds
    )


def _row(job: Job, theirs: Measured, mine: Measured) -> str:
    faster = theirs.median_s / mine.median_s
    part = mine.median_mb / theirs.median_mb
    return (
        f"| {job.what} | {_seconds(theirs)} | {_seconds(mine)} "
        f"| {faster:.1f} | {_goal(job.faster, met=faster >= job.faster)} "
        f"| {theirs.median_mb:.0f} MB | {mine.median_mb:.0f} MB, {part:.0%} "
        f"| {_memory_goal(job, part)} |"
    )


def _memory_goal(job: Job, part: float) -> str:
    if job.memory is None:
        return ""
    return f"{job.memory:.0%}" + ("" if part <= job.memory else ", missed")


def _goal(wanted: float, *, met: bool) -> str:
    return f"{wanted:g}" + ("" if met else ", missed")


def _seconds(measured: Measured) -> str:
    low, high = min(measured.seconds), max(measured.seconds)
    return f"{measured.median_s:.2f} s ({low:.2f} to {high:.2f})"


def _machine() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    cores = len(os.sched_getaffinity(0))
    return f"{platform.system()} on {cores} cores, Python {version}; median (least to most)."


if __name__ == "__main__":
    main()
