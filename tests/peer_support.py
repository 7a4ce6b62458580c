"""The peer, installed in an environment of its own and run as a process, never read."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tests.cli_support import CHECKOUT
from tests.hubserver import LocalHub

REQUIREMENT = "stringforge==0.1.1"

# It asks for more than it needs to stage, drain and read; and for another Python than ours.
# What comes last is ours: one script can be run with either.
_STEPS = (
    ("pandas>=2.3", "pyarrow>=20", "huggingface_hub>=2.4,<3"),
    ("--no-deps", "--ignore-requires-python", REQUIREMENT),
    ("polars>=2.1,<3", "flatbuffers>=25.2", "xxhash>=3.5"),
)
# What is never imported need not be compiled: that was half of the time.
_PIP = (
    *("-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
    *("--retries", "1", "--no-compile"),
)
_PATIENCE_S = 600.0

_PRELUDE = '''
import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc
from stringforge.vulcan import *

OUT, GIVEN = Path(sys.argv[1]), json.loads(sys.argv[2])


def keep(name, frame):
    """Write a frame for the test to look at."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with ipc.new_file(OUT / f"{name}.arrow", table.schema) as file:
        file.write_table(table)


def tell(name, value):
    """Write anything else."""
    (OUT / f"{name}.json").write_text(json.dumps(value))
'''


class PeerMissingError(Exception):
    """It cannot be installed here; says why."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a script of the peer kept and told."""

    folder: Path

    def frame(self, name: str) -> pl.DataFrame:
        return pl.read_ipc(self.folder / f"{name}.arrow")

    def value(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text())


@dataclass(frozen=True, slots=True)
class Peer:
    """An environment in which the peer is installed."""

    python: Path

    def ask(self, script: str, out: Path, *, hub: LocalHub | None = None, **given: Any) -> Answers:
        """Run a script with the prelude above; `given` is its GIVEN, `hub` the Hub it knows."""
        out.mkdir(parents=True)
        told = {} if hub is None else hub.client_env()
        env = {name: text for name, text in told.items() if name.startswith("HF_")}
        self.run(_PRELUDE + script, str(out), json.dumps(given, default=str), env=env)
        return Answers(out)

    def run(self, script: str, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run a script that stands alone; what it printed. Without `env` there is no Hub."""
        done = subprocess.run(
            [self.python, "-c", script, *arguments],
            env={**_clean_environment(), **(env or {"HF_HUB_OFFLINE": "1"})},
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def install(python: str = sys.executable) -> Peer:
    """The peer in a folder of the user's cache, made once; other processes wait for it.

    Raises:
        PeerMissingError: It cannot be installed: no network, say.
    """
    folder = _folder()
    made = folder / "made"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if not made.exists():
                _run([python, "-m", "venv", "--clear", str(folder)])
                for step in _STEPS:
                    _run([str(folder / "bin/python"), *_PIP, *step])
                _run([str(folder / "bin/python"), "-c", "import stringforge.vulcan"])
                made.touch()
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissingError(str(error)) from error
    return Peer(folder / "bin/python")


def begin_to_install() -> subprocess.Popen[bytes] | None:
    """A process that installs the peer while others work; None where it is installed."""
    if (_folder() / "made").exists():
        return None
    return subprocess.Popen(
        [sys.executable, "-m", "tests.peer_support"],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vulcan-tests"
    contents = hashlib.sha256(repr((sys.version, _STEPS)).encode()).hexdigest()
    return cache / f"{REQUIREMENT.replace('==', '-')}-{contents[:12]}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE_S)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        raise PeerMissingError(f"{' '.join(command[1:])}: {said[-1]}")


def _clean_environment() -> dict[str, str]:
    """Ours without any setting of either program or of the Hub."""
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("HF_", "STRINGFORGE_", "VULCAN_", "PYTHON"))
    }


if __name__ == "__main__":
    install()
