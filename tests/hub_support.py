"""What the tests of both kinds of repo need: additions, commits, a local Hub."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils import logging
from huggingface_hub.utils._http import default_client_factory

from tests.hubserver import NO_CERTIFICATES
from vulcan_cli.hub import client
from vulcan_cli.hub.repo import MAIN, Addition, Commit, Repo

SHARDS = "h12_2/h11_3/bucket_5"


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def addition(folder: Path, name: str, data: bytes) -> Addition:
    """A local file and where it goes: a bare name goes where shards go."""
    folder.mkdir(parents=True, exist_ok=True)
    local = folder / sha256(data)
    local.write_bytes(data)
    path = name if "/" in name or not name.startswith("run_") else f"{SHARDS}/{name}.parquet"
    return Addition(path, local, sha256(data), len(data))


def commit_of(repo: Repo, *additions: Addition, title: str = "one", parent: str = "") -> Commit:
    """A commit on the head of the repo, or on another parent."""
    return Commit(title, "batch 0123", parent or repo.head(MAIN), additions)


def contents(repo: Repo, *paths: str) -> dict[str, str]:
    """Path to SHA-256 of what the repo says it holds."""
    return {path: file.sha256 or "" for path, file in repo.look_up(paths).items()}


@contextmanager
def plain_lfs() -> Iterator[None]:
    """The Hub client without Xet, which the local Hub has not; afterwards the client as it was.

    A `HubRepo` sets up the client for its whole process, and other tests run in this one.
    """
    verbosity = logging.get_verbosity()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.delenv("SSL_CERT_FILE", raising=False)
        for name, value in NO_CERTIFICATES.items():
            patch.setenv(name, value)
        try:
            yield
        finally:
            set_client_factory(default_client_factory)
            client._set_up.cache_clear()
            logging.set_verbosity(verbosity)


@contextmanager
def disk_of(size: str) -> Iterator[Path]:
    """A file system of its own; the test is skipped where nothing may be mounted."""
    top = Path(tempfile.mkdtemp(prefix="vulcan-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(top)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if done.returncode != 0:
        top.rmdir()
        pytest.skip("may not mount a tmpfs here")
    try:
        yield top
    finally:
        subprocess.run(["umount", str(top)], check=True)
        top.rmdir()


def read_only(top: Path) -> None:
    """Let nobody write to a file system any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(top)], check=True)
