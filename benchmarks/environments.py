"""One environment for each program, with that program and what it needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
PEER = "stringforge==0.1.1"


def cache_folder() -> Path:
    """Where environments and data are kept between runs."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "vulcan-benchmarks"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin/python")

    @property
    def vulcan(self) -> str:
        return str(self.folder / "bin/vulcan")


def ours() -> Environment:
    """Ours with its dependencies alone, as the checkout is now."""
    made = _venv("ours")
    # Dependencies once, the package itself each time.
    _pip(made, "--upgrade", str(CHECKOUT))
    _pip(made, "--force-reinstall", "--no-deps", str(CHECKOUT))
    return made


def peer() -> Environment:
    """The peer with what it needs to stage, drain and read."""
    made = _venv("peer")
    _pip(made, "pandas>=2.3", "pyarrow>=20", "huggingface_hub>=2.4,<3")
    _pip(made, "--no-deps", "--ignore-requires-python", PEER)
    return made


def _venv(name: str) -> Environment:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_folder() / f"{name}-python{version}"
    if not (folder / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return Environment(folder)


def _pip(made: Environment, *what: str) -> None:
    # Twice quiet: of an index that lacks a package it would warn for each.
    command = [made.python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*command, *what], check=True)
