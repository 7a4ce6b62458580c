"""Processes that all start one command line at the same instant.

`python -m tests.barrier GATE WORD...` loads the command, says so on stderr, waits until the file
GATE is there, and runs `vulcan WORD...`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cli_support import CHECKOUT, Ran, clean

READY = "ready"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A process at the barrier."""

    process: subprocess.Popen[str]

    def finish(self) -> Ran:
        """What it did."""
        out, err = self.process.communicate(timeout=300)
        return Ran(self.process.returncode, out, err)


def all_at_once(lines: Sequence[Sequence[str]], *, cwd: Path) -> list[Ran]:
    """Run each command line in a process of its own, all released by one barrier."""
    gate = cwd / "gate"
    waiting = [_start(gate, words, cwd) for words in lines]
    for each in waiting:
        assert each.process.stderr is not None
        assert each.process.stderr.readline() == f"{READY}\n"
    gate.touch()
    try:
        return [each.finish() for each in waiting]
    finally:
        gate.unlink()


def _start(gate: Path, words: Sequence[str], cwd: Path) -> Waiting:
    # Spawned: a fork of a process that runs Polars is none that works.
    return Waiting(
        subprocess.Popen(
            [sys.executable, "-m", "tests.barrier", str(gate), *words],
            env=clean(cwd, PYTHONPATH=str(CHECKOUT), POLARS_MAX_THREADS="1"),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )


def _wait_and_run(gate: Path, words: Sequence[str]) -> int:
    import vulcan_cli.cli.commands.stage  # noqa: PLC0415
    import vulcan_cli.staging.intake  # noqa: F401, PLC0415
    from vulcan_cli.cli.app import main  # noqa: PLC0415

    sys.stderr.write(f"{READY}\n")
    sys.stderr.flush()
    while not gate.exists():
        time.sleep(0.001)
    return main(words)


if __name__ == "__main__":
    sys.exit(_wait_and_run(Path(sys.argv[1]), sys.argv[2:]))
