"""Cut the power: copy a mounted disk while vulcan writes to it, and look at the copy.

`python -m tests.campaign.power_cut [--cases 20]`, from the checkout, as root.

A small ext4 or xfs image is mounted, and the image file copied while it is mounted: that is what a
disk holds when the power goes. After `stage` said OK, the copy must hold the shard and its sidecar,
whole. While `stage`, `sync`, `retry-failed` and `trim-synced` stand still behind a call that
changes a name or makes it last, whatever is visible must be whole, nothing that was staged may be
missing from disk and repo, and running the command again on the copy must end as it should.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.crash_matrix import (
    HERE,
    STAGE,
    TO,
    Point,
    Scenario,
    child,
    empty,
    ended,
    failed,
    fill,
    points,
    preload,
    staged,
    synced,
    traced,
)
from vulcan_cli.staging.area import STATES
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.sidecar import parse_sidecar

N_SHARDS = 3
FILE_SYSTEMS = {"ext4": (24, ("mkfs.ext4", "-q", "-F")), "xfs": (320, ("mkfs.xfs", "-q", "-f"))}
"""Megabytes, and what makes one."""


class Skip(Exception):
    """This cannot be done here."""


@contextlib.contextmanager
def mounted(image: Path, place: Path, *options: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-o", ",".join(("loop", *options)), str(image), str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Skip(f"mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def make(image: Path, kind: str) -> None:
    size, command = FILE_SYSTEMS[kind]
    if shutil.which(command[0]) is None:
        raise Skip(f"{command[0]} is not installed")
    with image.open("wb") as file:
        file.truncate(size << 20)
    subprocess.run([*command, str(image)], check=True, capture_output=True)


def cut(image: Path, copy: Path) -> None:
    """What the disk holds at this moment: what the kernel keeps in memory is lost."""
    subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)


def shards(folder: Path) -> dict[str, str]:
    """Visible shards and their SHA-256; one that is not whole stops the campaign."""
    found = {}
    for path in sorted(folder.glob("*.parquet")) if folder.exists() else []:
        data = path.read_bytes()
        if not (len(data) > 8 and data[:4] == data[-4:] == b"PAR1"):
            raise SystemExit(f"{path} is not whole: {len(data)} bytes")
        found[path.name] = hashlib.sha256(data).hexdigest()
    return found


def check_sidecars(folder: Path, found: dict[str, str]) -> None:
    for name, sha256 in found.items():
        said = parse_sidecar((folder / f"{name}{SIDECAR_SUFFIX}").read_bytes())
        if said.sha256 != sha256:
            raise SystemExit(f"the sidecar of {name} is not true")


def after_ok(work: Path, kind: str, disk: Path) -> None:
    """P1: said to be staged, cut at once."""
    image, copy = work / "image", work / "copy"
    make(image, kind)
    with mounted(image, disk):
        staged(disk)
        cut(image, copy)
    with mounted(copy, disk):
        found = shards(disk / "root/pending")
        if len(found) != N_SHARDS:
            raise SystemExit(f"{kind}: {len(found)} of {N_SHARDS} shards survived OK")
        check_sidecars(disk / "root/pending", found)


@dataclass(frozen=True)
class Case(Scenario):
    """A command to cut short, and how many shards are where once it was run to its end."""

    n_pending: int
    n_synced: int


CASES = (
    Case("stage", (*STAGE, *HERE), empty, N_SHARDS, 0),
    Case("sync", ("sync", *HERE, *TO, "--create-repo", "--max-batch", "2"), staged, 0, N_SHARDS),
    Case("retry-failed", ("retry-failed", *HERE), failed, N_SHARDS, 0),
    Case("trim-synced", ("trim-synced", *HERE, *TO, "--keep-bytes", "0"), synced, 0, 0),
)

CALLS = (
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "fsync",
    "mkdir",
)
"""What changes names, and what makes it last."""


@contextlib.contextmanager
def halted(words: tuple[str, ...], at: Point) -> Iterator[None]:
    """A command that stands still behind one system call, and goes on afterwards."""
    pid = child(words, Path(os.devnull), stopped=True)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    command = ["strace", "-qq", "-o", os.devnull, "-e", f"trace={at.call}", "-p", str(pid)]
    inject = f"inject={at.call}:signal=STOP:when={at.number}"
    strace = subprocess.Popen([*command, "-e", inject], stderr=subprocess.DEVNULL)
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.001)
    os.kill(pid, signal.SIGCONT)
    # A stop at a call is over in no time; this one lasts.
    seen = 0
    while seen < 5:
        time.sleep(0.01)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            break
        seen = seen + 1 if state in "tT" else 0
    try:
        yield
    finally:
        # A stop that was only on its way is told to go on as well.
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)
        ended(pid)
        strace.wait()


def points_of(case: Case, work: Path, kind: str, disk: Path) -> list[Point]:
    """Where an undisturbed run changes names or makes them last."""
    image, log = work / "image", work / "log"
    make(image, kind)
    with mounted(image, disk):
        case.prepare(disk)
        traced(fill(case.words, disk), work / "said", log, "-e", f"trace={','.join(CALLS)}")
    return list(points(log, disk))


def cut_at(case: Case, at: Point, work: Path, kind: str, disk: Path) -> None:
    """P2, P5, P7, P12: cut behind a call; nothing is lost, and the same command ends as it should.

    The repo is on the same disk, which is harder than a Hub: what it confirmed may be gone as well.
    """
    image, copy = work / "image", work / "copy"
    make(image, kind)
    with mounted(image, disk):
        case.prepare(disk)
        before = everywhere(disk)
        subprocess.run(["sync"], check=True)
        with halted(fill(case.words, disk), at):
            cut(image, copy)
    where = f"{kind}, {case.name}, {at.call} {at.number}"
    with mounted(copy, disk):
        if not before <= everywhere(disk):
            raise SystemExit(f"{where}: a shard is lost")
        if not {*shards(disk / "root/synced").values()} <= in_repo(disk):
            raise SystemExit(f"{where}: a shard in synced/ is in no repo")
        for _ in range(2):
            ended(child(fill(case.words, disk), Path(os.devnull)))
        found = [shards(disk / "root" / state) for state in ("pending", "synced")]
        if [*map(len, found)] != [case.n_pending, case.n_synced]:
            raise SystemExit(f"{where}: {found} at the end")
        for state, there in zip(("pending", "synced"), found, strict=True):
            check_sidecars(disk / "root" / state, there)


def in_repo(disk: Path) -> set[str]:
    """SHA-256 of the shards in the repo."""
    return {sha for folder in disk.glob("repo/h12_*/h11_*/*") for sha in shards(folder).values()}


def everywhere(disk: Path) -> set[str]:
    """SHA-256 of the shards in the staging directory and the repo."""
    here = (shards(disk / "root" / state) for state in STATES)
    return in_repo(disk).union(*(there.values() for there in here))


def campaign(kind: str, cases: int, work: Path) -> None:
    """All commands on one file system, each cut behind so many calls from all over its run."""
    disk = work / "disk"
    after_ok(work, kind, disk)
    print(f"{kind}: after OK, {N_SHARDS} of {N_SHARDS} shards are there", flush=True)
    for case in CASES:
        found = points_of(case, work, kind, disk)
        chosen = found[:: max(1, len(found) // cases)]
        for at in chosen:
            cut_at(case, at, work, kind, disk)
        print(f"{kind}: {case.name}, cut behind {len(chosen)} of {len(found)} calls", flush=True)


def main() -> int:
    """Print what survived; the exit status is 1 where something did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20, help="about so many for each command")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: only root can mount")
        return 0
    if shutil.which("strace") is None:
        print("skipped: strace is not installed")
        return 0
    preload()
    for kind in FILE_SYSTEMS:
        with tempfile.TemporaryDirectory(prefix="vulcan-power-") as folder:
            try:
                campaign(kind, options.cases, Path(folder))
            except Skip as why:
                print(f"{kind}: skipped: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
