"""Small shards, and processes that handle them: `python -m tests.staging_tools VERB ROOT …`.

The staging room knows no parquet, so a shard here is a line with its digest, then its rows.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from vulcan_cli.errors import Conflict, DiskTrouble, LeaseLost, SyncAtWork, TryLater
from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.already import Published
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.aside import Unwanted, set_all_aside
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.lease import break_lease
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.lock import SyncLock
from vulcan_cli.staging.moves import Moving, move, retry
from vulcan_cli.staging.publish import Publication, publish
from vulcan_cli.vacua.geometry import file_name

CHECKOUT = Path(__file__).parents[1]


def new_temporary(directory: Path) -> tuple[int, Path]:
    """As `Folder.new_temporary`: (descriptor, path) of a new hidden file, mode 0600."""
    with Folder.open(directory) as folder:
        fd, name = folder.new_temporary()
    return fd, directory / name


def link_exclusive(source: Path, target: Path) -> bool:
    """As `Folder.link_exclusive`, for paths."""
    with Folder.open(source.parent) as here, Folder.open(target.parent) as there:
        return here.link_exclusive(source.name, there, target.name)


def rename_exclusive(source: Path, target: Path) -> bool:
    """As `Folder.rename_exclusive`, for paths."""
    with Folder.open(source.parent) as here, Folder.open(target.parent) as there:
        return here.rename_exclusive(source.name, there, target.name)


def path_in_repo(run: str) -> str:
    return f"h12_2/h11_3/bucket_5/run_{run}.parquet"


def name_of(run: str) -> str:
    return file_name(path_in_repo(run))


def meta_of(run: str) -> str:
    return name_of(run) + SIDECAR_SUFFIX


def digest(rows: str) -> str:
    return hashlib.sha256(rows.encode()).hexdigest()[:32]


def shard_bytes(rows: str, salt: str = "") -> bytes:
    """A shard: equal rows have equal digests, whatever the salt (a time, say) does to the bytes."""
    return f"{digest(rows)}\n{rows}\n{salt}\n".encode()


def digest_of(path: Path) -> str | None:
    lines = path.read_bytes().split(b"\n")
    if len(lines) < 3 or digest(lines[1].decode()) != lines[0].decode():
        return None
    return lines[0].decode()


def sidecar(run: str, n_rows: int = 1) -> dict[str, object]:
    return {
        "path_in_repo": path_in_repo(run),
        "run_id": run,
        "n_rows": n_rows,
        "provenance": {"solver": {"name": "newton"}},
    }


def sidecar_of(run: str) -> Callable[[Path], Mapping[str, object] | None]:
    return lambda path: sidecar(run) if digest_of(path) else None


def writer(data: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(data)


def stage(area: StagingArea, run: str, rows: str = "rows", salt: str = "") -> Published:
    return publish(
        area,
        path_in_repo=path_in_repo(run),
        write=writer(shard_bytes(rows, salt)),
        sidecar=sidecar(run),
        digest=digest(rows),
        digest_of=digest_of,
        staged_by="uid 0 on here",
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(disk: Path) -> None:
    """Leave no room on a small file system."""
    with (disk / f"filler{len(names(disk))}").open("wb", buffering=0) as file:
        for size in (1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def visible(folder: Path) -> list[str]:
    return [name for name in names(folder) if not name.startswith(".v")]


def start(*arguments: object, under: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start a process that runs a verb; `under` are the arguments of strace, if any."""
    strace = shutil.which("strace")
    if under and strace is None:
        # Here, as the processes have no use for it, and it is nine tenths of what they load.
        import pytest  # noqa: PLC0415

        pytest.skip("strace is not installed")
    before = [str(strace), "-f", "-qq", *under] if under else []
    return subprocess.Popen(
        [*before, sys.executable, "-S", "-m", "tests.staging_tools", *map(str, arguments)],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def run(*arguments: object, under: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run a verb to its end: exit status (negative: killed by that signal) and output."""
    process = start(*arguments, under=under)
    output, _ = process.communicate()
    return process.returncode, output.strip()


def inject(
    call: str, what: str, when: int | str = 1, folder: Path | None = None
) -> tuple[str, ...]:
    """Arguments of strace that spoil a system call, where asked only those on one folder."""
    watched = ("-P", str(folder)) if folder else ()
    return ("-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}", *watched)


def run_all(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Release processes that wait at the barrier, all at once: their outputs."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate()[0].strip() for process in processes]


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _barrier() -> None:
    _say("ready")
    sys.stdin.readline()


def _stage(root: Path, *runs: str) -> str:
    """Stage shards `RUN=ROWS` together."""
    with Publication(StagingArea(root), digest_of=digest_of, staged_by="uid 0") as publication:
        for text in runs:
            name, _, rows = text.partition("=")
            publication.add(
                path_in_repo=path_in_repo(name),
                write=writer(shard_bytes(rows, str(os.getpid()))),
                sidecar=sidecar(name),
                digest=digest(rows),
            )
        results = publication.link_all()
    return " ".join("conflict" if isinstance(r, Conflict) else r.status for r in results)


def _race_stage(root: Path, name: str, rows: str) -> str:
    _barrier()
    return _stage(root, f"{name}={rows}")


def _race_link(root: Path, children: str) -> str:
    """Fork children that all link a file of their own to one name: how many won."""
    go, ready = os.pipe()
    pids = []
    for _ in range(int(children)):
        pid = os.fork()
        if pid == 0:
            os.close(ready)
            fd, path = new_temporary(root)
            os.write(fd, path.name.encode())
            os.read(go, 1)
            try:
                won = link_exclusive(path, root / "one")
            except BlockingIOError:
                won = False
            os._exit(int(won))
        pids.append(pid)
    os.close(ready)
    return str(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids))


def _sync(root: Path, *runs: str) -> str:
    area = StagingArea(root)
    return " ".join(
        m.outcome for m in move(area, (Moving(name_of(r)) for r in runs), "pending", "synced")
    )


def _retry(root: Path, *runs: str) -> str:
    return " ".join(moved.outcome for moved in retry(StagingArea(root), map(name_of, runs)))


def _aside(root: Path, *run_ids: str) -> str:
    unwanted = [Unwanted(name_of(run_id), "bad") for run_id in run_ids]
    return str(len(set_all_aside(StagingArea(root), unwanted, into="rejected")))


def _create(root: Path) -> str:
    StagingArea(root).create()
    return "created"


def _hold(root: Path, beat_s: str, patience_s: str) -> str:
    """Take the lock and answer `check` until the input ends."""
    lock = SyncLock(StagingArea(root), beat_s=float(beat_s), patience_s=float(patience_s))
    with lock:
        _say("held")
        for _ in sys.stdin:
            try:
                lock.check()
                _say("mine")
            except LeaseLost:
                _say("lost")
    return "released"


def _break(root: Path) -> str:
    break_lease(StagingArea(root))
    return "broken"


def _spend(root: Path, budget: str) -> str:
    """Spend until nothing is left: how many slots that were."""
    _barrier()
    spent = 0
    while True:
        try:
            Budget(StagingArea(root), "repo", int(budget), 3600.0, with_peer=True).spend()
        except TryLater:
            return str(spent)
        spent += 1
        time.sleep(0)


def _hold_budget(root: Path) -> str:
    folder = root / "_vulcan" / "budget"
    folder.mkdir(parents=True)
    with (folder / "repo.lock").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        _say("held")
        sys.stdin.readline()
    return "released"


VERBS: dict[str, Callable[..., str]] = {
    "stage": _stage,
    "race-stage": _race_stage,
    "race-link": _race_link,
    "sync": _sync,
    "retry": _retry,
    "aside": _aside,
    "create": _create,
    "hold": _hold,
    "break": _break,
    "hold-budget": _hold_budget,
    "spend": _spend,
}


if __name__ == "__main__":
    try:
        _say(VERBS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:]))
    except (Conflict, DiskTrouble, SyncAtWork, TryLater) as error:
        _say(type(error).__name__)
        sys.exit(error.exit_code)
