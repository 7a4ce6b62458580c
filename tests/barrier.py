"""Processes that all start one command line at the same instant.

`python -m tests.barrier WORD...` loads the command, says so on stderr, waits for the end of its
standard input, and runs `vulcan WORD...`. Hundreds of processes that wait so cost nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
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
        out, err = self.process.communicate(timeout=1200)
        return Ran(self.process.returncode, out, err)


def all_at_once(lines: Sequence[Sequence[str]], *, cwd: Path) -> list[Ran]:
    """Run each command line in a process of its own, all released by one barrier."""
    gate, handle = os.pipe()
    try:
        waiting = [_start(gate, words, cwd) for words in lines]
        for each in waiting:
            assert each.process.stderr is not None
            assert each.process.stderr.readline() == f"{READY}\n"
    finally:
        os.close(gate)
        os.close(handle)
    return [each.finish() for each in waiting]


def _start(gate: int, words: Sequence[str], cwd: Path) -> Waiting:
    # Spawned: a fork of a process that runs Polars is none that works.
    return Waiting(
        subprocess.Popen(
            [sys.executable, "-m", "tests.barrier", *words],
            env=clean(cwd, PYTHONPATH=str(CHECKOUT), POLARS_MAX_THREADS="1"),
            cwd=cwd,
            stdin=gate,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )


def _wait_and_run(words: Sequence[str]) -> int:
    import vulcan_cli.cli.commands.stage  # noqa: PLC0415
    import vulcan_cli.staging.intake  # noqa: F401, PLC0415
    from vulcan_cli.cli.app import main  # noqa: PLC0415

    sys.stderr.write(f"{READY}\n")
    sys.stderr.flush()
    sys.stdin.read()
    return main(words)


if __name__ == "__main__":
    sys.exit(_wait_and_run(sys.argv[1:]))
