"""Kill and spoil every system call that touches the staging directory, and run the command again.

`python -m tests.campaign.crash_matrix [--only sync] [--part 1/2] [--seconds 300]`, from the
checkout.

For each command: run it undisturbed and list its system calls on the staging directory; then, for
each of them and on a fresh copy, end the process there by SIGKILL, or let the call fail with each
errno. Whatever happens, the exit status is a documented one, no shard is lost or half there, what
is in `synced/` is in the repo, and running the command again ends as the undisturbed run did.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.folders import files_in
from vulcan_cli.cli.app import main as vulcan
from vulcan_cli.cli.explain import EXIT_STATUSES
from vulcan_cli.staging.area import STATES, StagingArea
from vulcan_cli.staging.lease import LEASE_NAME, read_owner
from vulcan_cli.staging.reasons import write_reason

ERRNOS = ("ENOSPC", "EDQUOT", "EIO", "EACCES", "ESTALE", "EINTR")
KILL = "KILL"

VACUA = Path(__file__).parents[1] / "data/vacua/model_h12-2_1_batch0.parquet"
ROWS = "140"
"""Rows in a shard, for three shards of these vacua."""

STAGE = (
    *("stage", str(VACUA), "--geometry", "h11=272,h12=2,ks_id=1,triang_id=0"),
    *("--template", "shard_{digest}", "--max-rows", ROWS),
)

_CALL = re.compile(r"^(?P<name>\w+)(?P<rest>\(.*)$")
_ALWAYS_OK = {0, 3, 4, 5, 6, 7}
_RERUNS = 3
_LONGEST_S = 60


@dataclass(frozen=True)
class Scenario:
    """A command and the staging directory it starts from.

    Attributes:
        name: The command.
        words: Its command line; `{root}` and `{repo}` stand for the folders.
        prepare: Makes the folders.
    """

    name: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None]


@dataclass(frozen=True, order=True)
class Point:
    """The n-th call of a name by the main thread."""

    call: str
    number: int


@dataclass
class Tally:
    """What came of the points of one command."""

    points: int = 0
    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    faults: list[str] = field(default_factory=list)


def quietly(*words: str) -> None:
    """Run a command in a process of its own, which must succeed."""
    code = ended(child(words, Path(os.devnull)))
    if code != 0:
        raise SystemExit(f"vulcan {' '.join(words)} ended with {code}")


def staged(base: Path) -> None:
    quietly(*STAGE, "--staging-dir", str(base / "root"), "--quiet")


def empty(base: Path) -> None:
    StagingArea(base / "root").create(shared=True)


def pending(base: Path) -> None:
    """Shards to publish, beside one that is none, one without sidecar, and debris."""
    empty(base)
    staged(base)
    folder = base / "root/pending"
    shards = sorted(folder.glob("*.parquet"))
    (folder / f"{shards[0].name}.meta.json").unlink()
    bad = folder / shards[0].name.replace("shard_", "bad_")
    bad.write_bytes(b"")
    for path in (shards[0], bad):
        os.utime(path, (time.time() - 600,) * 2)


def failed(base: Path) -> None:
    empty(base)
    staged(base)
    area = StagingArea(base / "root")
    for path in sorted(area.pending.iterdir()):
        if path.suffix == ".parquet":
            write_reason(area, path.name, "refused")
        path.rename(area.failed / path.name)


def synced(base: Path) -> None:
    empty(base)
    staged(base)
    words = ("sync", "--staging-dir", str(base / "root"), "--repo", str(base / "repo"))
    quietly(*words, "--create-repo", "--quiet")


def leased(base: Path) -> None:
    empty(base)
    lease = {"token": "t", "host": "far", "boot_id": "b", "pid_namespace": "n", "pid": 1}
    text = json.dumps({**lease, "started": 1, "since": 1.0})
    (base / "root/_vulcan" / LEASE_NAME).write_text(text)


HERE = ("--staging-dir", "{root}")
TO = ("--repo", "{repo}")
SCENARIOS = (
    Scenario("stage", (*STAGE, *HERE), empty),
    Scenario("sync", ("sync", *HERE, *TO, "--create-repo", "--max-batch", "2"), pending),
    Scenario("retry-failed", ("retry-failed", *HERE), failed),
    Scenario("trim-synced", ("trim-synced", *HERE, *TO, "--keep-bytes", "0"), synced),
    Scenario("unlock", ("unlock", "--force", *HERE), leased),
)


def child(words: tuple[str, ...], output: Path, *, stopped: bool = False) -> int:
    """Fork a process that runs a command; stopped, it waits for SIGCONT first."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        # Who hangs is ended, and that is no documented exit status.
        signal.alarm(_LONGEST_S)
        if stopped:
            os.kill(os.getpid(), signal.SIGSTOP)
        code = vulcan(words)
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Exit status of a child; negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def traced(words: tuple[str, ...], output: Path, log: Path, *options: str) -> int:
    """Run a command under strace."""
    pid = child(words, output, stopped=True)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    # Without -f: threads of libraries do not touch the staging directory.
    command = ["strace", "-y", "-qq", "-o", str(log), *options, "-p", str(pid)]
    strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.001)
    os.kill(pid, signal.SIGCONT)
    code = ended(pid)
    strace.wait()
    return code


def points(log: Path, root: Path) -> Iterator[Point]:
    """The calls on the staging directory, each by its number among those of its name."""
    count: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        found = _CALL.match(line)
        if found is not None:
            count[found["name"]] += 1
            if str(root) in found["rest"]:
                yield Point(found["name"], count[found["name"]])


def shards_in(files: dict[str, bytes]) -> set[str]:
    return {
        hashlib.sha256(data).hexdigest()
        for path, data in files.items()
        if data[:4] == data[-4:] == b"PAR1" and not Path(path).name.startswith(".v")
    }


def ending(base: Path, template: Path) -> object:
    """What an undisturbed run leaves, without what differs from run to run."""
    before = shards_in(files_in(template))
    files = files_in(base / "root")
    visible = {
        path: hashlib.sha256(data).hexdigest()
        for path, data in files.items()
        if path.split("/")[0] in STATES and not Path(path).name.startswith(".v")
    }
    # Rows staged now and rows staged then differ in `created_at`; the name holds their digest.
    # A sidecar says who staged, and in a rebuilt one nobody did.
    names = {path: sha256 if sha256 in before else "" for path, sha256 in visible.items()}
    rejected = [path for path in files if "/rejected/" in path and path.endswith(".why.json")]
    # One of a process of this boot that is gone stands in nobody's way.
    owner = read_owner(StagingArea(base / "root"))
    held = owner is not None and not owner.is_gone()
    journal = [path for path in files if "/journal/" in path and not path.endswith(".tmp")]
    repo = {path: data for path, data in files_in(base / "repo").items() if path.startswith("h12_")}
    return names, len(rejected), held, journal, repo


def faults_of(base: Path, before: set[str]) -> Iterator[str]:
    """What no crash may do."""
    here, there = files_in(base / "root"), shards_in(files_in(base / "repo"))
    lost = before - shards_in(here) - there
    if lost:
        yield f"{len(lost)} shards are lost"
    for path in here:
        name = Path(path).name
        sha256 = hashlib.sha256(here[path]).hexdigest()
        if path.startswith("synced/") and name.endswith(".parquet") and sha256 not in there:
            yield f"{path} is in no repo"
        if path.startswith("pending/shard_") and not shards_in({path: here[path]}):
            yield f"{path} is half a shard"


def attempt(
    scenario: Scenario, template: Path, wanted: object, at: tuple[Point, str], tally: Tally
) -> None:
    """One point, on a copy: disturb, look, run again, compare."""
    point, how = at
    base = template.with_name("run")
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(template, base, symlinks=True)
    before = shards_in(files_in(base / "root")) | shards_in(files_in(base / "repo"))
    words = fill(scenario.words, base)
    what = "signal=KILL" if how == KILL else f"error={how}"
    inject = f"inject={point.call}:{what}:when={point.number}"
    said, log = base.with_name("said"), base.with_name("log")
    code = traced(words, said, log, "-e", f"trace={point.call}", "-e", inject)
    tally.runs += 1
    label = f"{scenario.name}, {point.call} {point.number}, {how}"
    if how == KILL and code != -signal.SIGKILL:
        tally.missed += 1
    elif how != KILL and code not in _ALWAYS_OK:
        text = said.read_text(errors="replace").splitlines()
        tally.faults.append(f"{label}: exit {code}: {(text or [''])[0][:150]}")
    tally.ends["killed" if code == -signal.SIGKILL else str(code)] += 1
    tally.faults += [f"{label}: {fault}" for fault in faults_of(base, before)]
    codes = []
    for _ in range(_RERUNS):
        codes.append(ended(child(words, said)))
        if ending(base, template) == wanted:
            return
    tally.faults.append(f"{label}: exit {code}, again {codes}, ends otherwise")
    keep = template.with_name("kept") / f"{scenario.name}-{point.call}-{point.number}-{how}"
    shutil.rmtree(keep, ignore_errors=True)
    shutil.copytree(base, keep, symlinks=True)


def fill(words: tuple[str, ...], base: Path) -> tuple[str, ...]:
    folders = {"{root}": str(base / "root"), "{repo}": str(base / "repo")}
    return tuple(folders.get(word, word) for word in words)


def examine(scenario: Scenario, work: Path, part: tuple[int, int], seconds: float) -> Tally:
    """All points of one command, or as many of them as there is time for."""
    folder = work / scenario.name
    template, reference = folder / "template", folder / "run"
    # Made where each copy will be: the ledger knows a folder that is a repo by its path.
    reference.mkdir(parents=True)
    scenario.prepare(reference)
    shutil.copytree(reference, template, symlinks=True)
    log = folder / "log"
    code = traced(fill(scenario.words, reference), folder / "said", log)
    if code not in (0, 3):
        raise SystemExit(f"{scenario.name}, undisturbed, ended with {code}")
    wanted = ending(reference, template)
    if wanted == ending(template, template):
        raise SystemExit(f"{scenario.name}, undisturbed, changed nothing")
    found = list(points(log, reference / "root"))
    tally = Tally(points=len(found))
    chosen = [(point, how) for point in found for how in (KILL, *ERRNOS)]
    # In no order, so that those for which there is time come from everywhere.
    random.Random(0).shuffle(chosen)
    deadline = time.monotonic() + seconds
    for point, how in chosen[part[0] - 1 :: part[1]]:
        if time.monotonic() > deadline:
            break
        attempt(scenario, template, wanted, (point, how), tally)
    return tally


def row(name: str, tally: Tally) -> str:
    ends = " ".join(f"{end}:{number}" for end, number in sorted(tally.ends.items()))
    return (
        f"{name:14}{tally.points:>8}{tally.runs:>8}{tally.missed:>8}{len(tally.faults):>8}  {ends}"
    )


def main() -> int:
    """Print a table; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--part", default="1/1", help="K/N: the K-th of N equal parts")
    parser.add_argument("--seconds", type=float, default=math.inf, help="for each command")
    parser.add_argument("--keep", action="store_true", help="keep the folders")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        print("skipped: strace is not installed")
        return 0
    preload()
    first, _, last = options.part.partition("/")
    work = Path(tempfile.mkdtemp(prefix="vulcan-crash-"))
    print(f"{'command':14}{'calls':>8}{'runs':>8}{'missed':>8}{'faults':>8}  ends", flush=True)
    faults = []
    for scenario in SCENARIOS:
        if options.only in (None, scenario.name):
            tally = examine(scenario, work, (int(first), int(last)), options.seconds)
            print(row(scenario.name, tally), flush=True)
            faults += tally.faults
    for fault in faults:
        print(fault)
    if options.keep or faults:
        print(f"folders: {work}")
    else:
        shutil.rmtree(work)
    return int(bool(faults))


def preload() -> None:
    """Load what the commands load, once: the processes are forked from here."""
    assert EXIT_STATUSES.keys() >= _ALWAYS_OK
    for name in ("VULCAN_REPO", "VULCAN_STAGING_DIR", "VULCAN_DEBUG"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = True
    import vulcan_cli.cli.commands.retry_failed
    import vulcan_cli.cli.commands.stage
    import vulcan_cli.cli.commands.sync
    import vulcan_cli.cli.commands.trim_synced
    import vulcan_cli.cli.commands.unlock
    import vulcan_cli.staging.intake
    import vulcan_cli.staging.lock
    import vulcan_cli.sync.drain
    import vulcan_cli.sync.retry
    import vulcan_cli.sync.trim
    import vulcan_cli.vacua.inputs  # noqa: F401


if __name__ == "__main__":
    sys.exit(main())
