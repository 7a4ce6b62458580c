"""The world of a page: a folder, a terminal with a real bash in it, and a Hub."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tests.cli_support import CHECKOUT
from tests.docs_server import write_client
from tests.hubserver import READ, WRITE, HubThread, Token
from tests.vacua_support import REAL

COLUMNS = 80
_PATIENCE_S = 120.0

# Commands come one after the other, each ended by NUL; after each, its exit status.
_LOOP = r"""
set -o pipefail
ended_with() { return "$1"; }
STATUS=0
while IFS= read -r -d '' -u "$PAGE" COMMAND; do
  ended_with "$STATUS"
  eval "$COMMAND"
  STATUS=$?
  printf '\036%s\036' "$STATUS"
done
"""

_SOLVER = """#!/bin/bash
# Stands for a solver: real vacua to the file after -o, or as NDJSON to stdout, ten new ones a call.
here=$(dirname "$0")
while [ $# -gt 0 ]; do [ "$1" = -o ] && exec cp "$here/results.parquet" "$2"; shift; done
echo >> "$here/calls"
head -n $(($(wc -l < "$here/calls") * 10)) "$here/results.ndjson" | tail -n 10
"""

_CRONTAB = """#!/bin/bash
# Stands for cron: the table is a file of the home.
case $1 in
  -l) cat ~/.crontab ;;
  -) cat > ~/.crontab ;;
esac
"""

# Places that pages name stand below the folder of the page.
_PLACES = re.compile(r"(?<![\w.~}/-])(/(?:shared|scratch|home/me|var/lib/node_exporter)\b)")


@dataclass(slots=True)
class Terminal:
    """A bash at work on a terminal of 80 columns."""

    master: int
    commands: int
    root: Path

    def run(self, command: str) -> tuple[int, str]:
        """Type a command; its exit status, and what the terminal got."""
        os.write(self.commands, self.placed(command).encode() + b"\0")
        seen, until = b"", time.monotonic() + _PATIENCE_S
        while not (ended := re.search(rb"\x1e(\d+)\x1e\Z", seen)):
            if not select.select([self.master], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"{command!r} printed {seen!r} and goes on")
            try:
                seen += os.read(self.master, 65536)
            except OSError as error:
                raise RuntimeError(f"{command!r} ended the shell, after {seen!r}") from error
        printed = seen[: ended.start()].decode().replace("\r\n", "\n")
        return int(ended[1]), printed.replace(str(self.root), "")

    def placed(self, text: str) -> str:
        """A text in which the places that pages name stand below the folder of this page."""
        return _PLACES.sub(rf"{self.root}\1", text)


@contextlib.contextmanager
def terminal(root: Path, server: Path) -> Iterator[Terminal]:
    """A terminal in an empty home, with `vulcan` and a solver on its PATH and `owner` on a Hub."""
    home, programs = root / "home/me", root / "bin"
    there = ("shared", "scratch", "var/lib/node_exporter")
    for folder in (home, programs, *(root / place for place in there)):
        folder.mkdir(parents=True)
    _provide(programs, server)
    with HubThread(root / "hub") as hub:
        hub.set_token(WRITE, Token("write", "owner", "write"))
        hub.set_token(READ, Token("read", "owner", "read"))
        environ = _environment(hub, home, programs)
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        reading, writing = os.pipe()
        with subprocess.Popen(
            ["bash", "-c", _LOOP],
            stdin=side,
            stdout=side,
            stderr=side,
            pass_fds=[reading],
            cwd=home,
            env={**environ, "PAGE": str(reading)},
            start_new_session=True,
        ) as process:
            os.close(side)
            os.close(reading)
            try:
                yield Terminal(main, writing, root)
            finally:
                # What a page has left at work too.
                os.killpg(process.pid, signal.SIGKILL)
                os.close(writing)
                os.close(main)


def _provide(programs: Path, server: Path) -> None:
    """`vulcan`, what runs a page's Python, and solvers that have their vacua beside them."""
    for program in ("vulcan", "page-python"):
        write_client(programs, program, server)
    for name, script in {"my-solver": _SOLVER, "solver": _SOLVER, "crontab": _CRONTAB}.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    vacua = pl.read_parquet(REAL / "model_h12-2_1_batch0.parquet")
    vacua.head(100).write_ndjson(programs / "results.ndjson")
    vacua[100:140].write_parquet(programs / "results.parquet")


def provide_results(folder: Path) -> None:
    """Results of a solver in each format that `stage` reads."""
    vacua = pl.read_parquet(REAL / "model_h12-2_1_batch0.parquet")[200:240]
    vacua.write_parquet(folder / "results.parquet")
    shutil.copy(REAL / "model_h12-2_1_batch0.csv", folder / "results.csv")
    (folder / "results").mkdir()
    moduli = [np.array(vacua[f"moduli_{part}"].to_list()) for part in ("re", "im")]
    np.savez(
        folder / "results/result_0001.npz",
        fluxes=-np.array(vacua["flux"].to_list()),
        moduli=moduli[0] + 1j * moduli[1],
        taus=vacua["tau_re"].to_numpy() + 1j * vacua["tau_im"].to_numpy(),
    )


def _environment(hub: HubThread, home: Path, programs: Path) -> dict[str, str]:
    told = {name: text for name, text in hub.client_env().items() if name.startswith("HF_")}
    path = os.pathsep.join((str(programs), str(Path(sys.executable).parent), os.environ["PATH"]))
    return {
        **told,
        "HOME": str(home),
        "PATH": path,
        "PYTHONPATH": str(CHECKOUT),
        "TERM": "dumb",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
        "USER": "me",
        "SLURM_ARRAY_TASK_ID": "7",
        "SLURM_JOB_ID": "4711",
    }
