"""Syncs in processes of their own, that can be killed: `python -m tests.sync_process`.

Reads one JSON object a line, forks a child for it that stops itself before it begins, and prints
the child's id; the child goes on at SIGCONT. Everything heavy is imported once, before any fork,
and nothing of it is used before, so no thread is lost by forking.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars
import pyarrow.parquet
import pytest
from huggingface_hub import constants

import vulcan_cli.hub.huggingface
from vulcan_cli.errors import VulcanError
from vulcan_cli.hub.open import Login, open_repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.lease import break_lease
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.retry import retry_failed
from vulcan_cli.sync.trim import trim_synced

__all__ = ["Zygote", "calls_in", "polars", "pyarrow", "vulcan_cli"]

CHECKOUT = Path(__file__).parents[1]

_STOPPED = re.compile(r"--- SIGSTOP \{.*--- stopped by SIGSTOP ---", re.DOTALL)
"""What strace tells of a signal that it sent, once that has stopped the process."""


class Zygote:
    """A process that starts syncs; use it in a `with` block."""

    def __enter__(self) -> Zygote:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sync_process"],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def start(self, **order: Any) -> int:
        """Fork a child that is stopped, ready to sync; its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self, pid: int) -> int:
        """How the child ended: an exit status, or minus the signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"wait": pid}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def run(self, *, inject: str | None = None, trace: Path | None = None, **order: Any) -> int:
        """Sync in a child to its end; `inject` is what strace does to it, `trace` its log."""
        pid = self.start(**order)
        with _strace(pid, inject, trace) if inject else contextlib.nullcontext():
            os.kill(pid, signal.SIGCONT)
            return self.wait(pid)

    @contextmanager
    def stopped(self, pid: int, call: str, number: int) -> Iterator[None]:
        """A block while a started child stands still behind a system call; then it goes on."""
        with (
            tempfile.NamedTemporaryFile() as log,
            _strace(pid, f"{call}:signal=STOP:when={number}", Path(log.name)),
        ):
            os.kill(pid, signal.SIGCONT)
            # At each call that strace looks at it is stopped, too, for as long as strace takes.
            while not _STOPPED.search(Path(log.name).read_text()):
                time.sleep(0.01)
            try:
                yield
            finally:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def _strace(pid: int, inject: str, trace: Path | None) -> Iterator[None]:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    calls = inject.partition(":")[0]
    arguments = ["-e", f"trace={calls}"]
    if ":" in inject:
        arguments += ["-e", f"inject={inject}"]
    # Never to stderr: nobody reads that while the child runs, and a full pipe stops both.
    arguments += ["-o", str(trace or os.devnull)]
    process = subprocess.Popen(
        [strace, "-f", *arguments, "-p", str(pid)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "attached" not in (line := process.stderr.readline()):
        if not line:
            pytest.skip("strace may not attach here")
    try:
        yield
    finally:
        process.communicate()


def calls_in(trace: Path) -> dict[str, int]:
    """How often each system call stands in a log of strace, by its busiest thread."""
    counts: dict[str, dict[str, int]] = {}
    for line in trace.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match:
            threads = counts.setdefault(match[2], {})
            threads[match[1]] = threads.get(match[1], 0) + 1
    return {call: max(threads.values()) for call, threads in counts.items()}


def _sync(order: Mapping[str, Any]) -> int:
    area = StagingArea(Path(order["staging"]))
    repo = open_repo(
        order["repo"],
        Login(token=order.get("token"), endpoint=order.get("endpoint"), timeout_s=20.0),
    )
    if order.get("break"):
        break_lease(area)
    if order.get("verb") == "retry":
        retry_failed(area)
        return 0
    if order.get("verb") == "trim":
        trim_synced(area, repo, now=order["now"], older_than_s=0.0)
        return 0
    return sync(area, repo, SyncOptions(**order.get("options", {}))).exit_code


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _main() -> None:
    # The local Hub has no Xet, and a variable that says so does not come as far as here.
    constants.HF_HUB_DISABLE_XET = True
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            _say(os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            os.kill(os.getpid(), signal.SIGSTOP)
            code = 70
            try:
                code = _sync(order)
            except VulcanError as error:
                code = error.exit_code
            finally:
                os._exit(code)
        # A SIGCONT that came before the child has stopped would be lost.
        os.waitpid(pid, os.WUNTRACED)
        _say(pid)


if __name__ == "__main__":
    _main()
