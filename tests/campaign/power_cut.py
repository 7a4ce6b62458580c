"""Cut the power: copy a mounted disk while vulcan writes to it, and look at the copy.

`python -m tests.campaign.power_cut [--cases 20]`, from the checkout, as root.

A small ext4 or xfs image is mounted, and the image file copied while it is mounted: that is what a
disk holds when the power goes. After `stage` said OK, the copy must hold the shard and its sidecar,
whole. During `stage` and `sync`, whatever is visible must be whole, nothing that was staged may be
missing from disk and repo, and running the command again on the copy must end as it should.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from vulcan_cli.staging.area import SIDECAR_SUFFIX, parse_sidecar

VACUA = Path(__file__).parents[1] / "data/vacua/model_h12-2_1_batch0.parquet"
STAGE = (
    *("stage", str(VACUA), "--geometry", "h11=272,h12=2,ks_id=1,triang_id=0"),
    *("--template", "shard_{digest}", "--max-rows", "140", "--quiet"),
)
N_SHARDS = 3
FILE_SYSTEMS = {"ext4": (24, ("mkfs.ext4", "-q", "-F")), "xfs": (320, ("mkfs.xfs", "-q", "-f"))}
"""Megabytes, and what makes one."""


class Skip(Exception):
    """This cannot be done here."""


def vulcan(*words: str | Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vulcan_cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def run(*words: str | Path) -> None:
    process = vulcan(*words)
    _, said = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"vulcan {words[0]} ended with {process.returncode}: {said.decode()}")


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
        run(*STAGE, "--staging-dir", disk / "spool")
        cut(image, copy)
    with mounted(copy, disk):
        found = shards(disk / "spool/pending")
        if len(found) != N_SHARDS:
            raise SystemExit(f"{kind}: {len(found)} of {N_SHARDS} shards survived OK")
        check_sidecars(disk / "spool/pending", found)


def during(work: Path, kind: str, disk: Path, *, delay: float) -> str:
    """P2, P7: cut while staging; what is visible is whole, and staging again ends well."""
    image, copy = work / "image", work / "copy"
    make(image, kind)
    with mounted(image, disk):
        process = vulcan(*STAGE, "--staging-dir", disk / "spool")
        time.sleep(delay)
        cut(image, copy)
        process.communicate()
    with mounted(copy, disk):
        before = shards(disk / "spool/pending")
        run(*STAGE, "--staging-dir", disk / "spool")
        after = shards(disk / "spool/pending")
        if len(after) != N_SHARDS or not before.items() <= after.items():
            raise SystemExit(f"{kind}: {sorted(before)} became {sorted(after)}")
        check_sidecars(disk / "spool/pending", after)
    return f"{len(before)}/{N_SHARDS}"


def during_sync(work: Path, kind: str, disk: Path, *, delay: float) -> str:
    """P5, P7: cut while syncing to a repo on the same disk, and sync again."""
    image, copy = work / "image", work / "copy"
    make(image, kind)
    with mounted(image, disk):
        run(*STAGE, "--staging-dir", disk / "spool")
        staged = shards(disk / "spool/pending")
        words = ("--staging-dir", disk / "spool", "--repo", disk / "repo", "--create-repo")
        process = vulcan("sync", *words, "--max-batch", "1", "--quiet")
        time.sleep(delay)
        cut(image, copy)
        process.communicate()
    with mounted(copy, disk):
        pending, synced = (shards(disk / "spool" / state) for state in ("pending", "synced"))
        repo = {
            sha for folder in disk.glob("repo/h12_*/h11_*/*") for sha in shards(folder).values()
        }
        if not staged.items() <= (pending | synced).items():
            raise SystemExit(f"{kind}: a shard is lost in sync")
        if not set(synced.values()) <= repo:
            raise SystemExit(f"{kind}: a shard in synced/ is in no repo")
        run("sync", *words, "--quiet")
        if shards(disk / "spool/synced") != staged:
            raise SystemExit(f"{kind}: syncing again did not finish")
    return f"{len(synced)}/{N_SHARDS}"


def campaign(kind: str, cases: int, work: Path) -> None:
    """All cases on one file system; delays are spread over the time that a run takes."""
    disk = work / "disk"
    start = time.monotonic()
    after_ok(work, kind, disk)
    took = time.monotonic() - start
    print(f"{kind}: after OK, {N_SHARDS} of {N_SHARDS} shards are there", flush=True)
    for name, case in (("stage", during), ("sync", during_sync)):
        seen = [case(work, kind, disk, delay=took * (n + 1) / cases) for n in range(cases)]
        print(f"{kind}: during {name}, done at the cut: {' '.join(seen)}", flush=True)


def main() -> int:
    """Print what survived; the exit status is 1 where something did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20)
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: only root can mount")
        return 0
    for kind in FILE_SYSTEMS:
        with tempfile.TemporaryDirectory(prefix="vulcan-power-") as folder:
            try:
                campaign(kind, options.cases, Path(folder))
            except Skip as why:
                print(f"{kind}: skipped: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
