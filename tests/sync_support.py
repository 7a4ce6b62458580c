"""What the tests of sync need: shards of real rows, clocks, repos of both kinds, processes."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from tests.hubserver import WRITE, LocalHub
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.hub.huggingface import HubRepo
from vulcan_cli.hub.repo import Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.intake import stage
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.sync.timing import Clock
from vulcan_cli.vacua.geometry import Geometry, file_name
from vulcan_cli.vacua.prepare import Run, prepare

NAME = "alice/vacua"
NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
GEOMETRY = Geometry(h11=3, h12=2, ks_id=7)
TOKEN = "hf_" + "Ab1" * 8
"""What looks like a token of the Hub."""


def rows(number: int = 0, count: int = 3, **columns: Any) -> pl.DataFrame:
    """Rows that are different for each number."""
    frame = pl.DataFrame(
        {
            "flux": [[number, row, *range(10)] for row in range(count)],
            "moduli_re": [[0.5, 0.25]] * count,
            "moduli_im": [[1.5, 2.0]] * count,
            "tau_re": [0.125] * count,
            "tau_im": [3.0 + row for row in range(count)],
        },
        schema_overrides={"flux": pl.List(pl.Int32)},
    )
    return frame.with_columns(
        pl.Series(name, cells) if isinstance(cells, list) else pl.lit(cells).alias(name)
        for name, cells in columns.items()
    )


def path_of(run: str, geometry: Geometry = GEOMETRY) -> str:
    """Where the shard of a run goes in the repo."""
    return geometry.path_in_repo(run)


def name_of(run: str, geometry: Geometry = GEOMETRY) -> str:
    """What it is called in a state folder."""
    return file_name(path_of(run, geometry))


def put(area: StagingArea, run: str, number: int | None = None, **columns: Any) -> Path:
    """Stage one shard under a run id, as `vulcan stage` does; its rows follow from the number."""
    frame = rows(len(run) if number is None else number, **columns)
    intake = stage(
        area,
        [(run, lambda: frame)],
        Run(geometry=GEOMETRY, tadpole_charge=5, run_id=run),
        now=NOW,
    )
    return intake.shards[0].parquet_path


def put_many(area: StagingArea, count: int, prefix: str = "run") -> dict[str, str]:
    """Stage so many shards: path in the repo to SHA-256."""
    files = [put(area, f"{prefix}{number:03d}", number) for number in range(count)]
    return {
        path_of(f"{prefix}{number:03d}"): sha256_of_file(file) for number, file in enumerate(files)
    }


def shard_bytes(run: str, number: int = 0, **columns: Any) -> bytes:
    """The bytes of a shard that is staged nowhere."""
    run_of = Run(geometry=GEOMETRY, tadpole_charge=5, run_id=run)
    (shard,) = prepare(rows(number, **columns), run_of, now=NOW).shards
    file = BytesIO()
    shard.write(file)
    return file.getvalue()


def put_bytes(area: StagingArea, name: str, data: bytes, *, age_s: float = 3600.0) -> Path:
    """Put any bytes under any name into `pending/`, without a sidecar, so old."""
    path = area.pending / name
    path.write_bytes(data)
    grow_old(path, age_s)
    return path


def grow_old(path: Path, age_s: float = 3600.0) -> None:
    """Set a file's time back."""
    then = time.time() - age_s
    os.utime(path, (then, then), follow_symlinks=False)


def sha256_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shards_in(folder: Path) -> dict[str, str]:
    """File name to SHA-256 of the parquet files in a folder."""
    return {path.name: sha256_of_file(path) for path in sorted(folder.glob("*.parquet"))}


def by_name(expected: Mapping[str, str]) -> dict[str, str]:
    """Path in the repo to SHA-256, by file name."""
    return {file_name(path): sha256 for path, sha256 in expected.items()}


def in_pairs(folder: Path) -> bool:
    """Whether every parquet has its sidecar, and every sidecar its parquet."""
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    parquets = {name for name in names if name.endswith(".parquet")}
    return names == parquets | {f"{name}{SIDECAR_SUFFIX}" for name in parquets}


@dataclass
class FakeTime:
    """Time that passes only when somebody sleeps."""

    moment: float = field(default_factory=time.time)
    slept: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.moment += seconds
        self.slept += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.moment, sleep=self.sleep)


@dataclass(frozen=True)
class Place:
    """Where a repo of one kind is; `open` gives a new object for it each time."""

    kind: str
    root: Path
    hub: LocalHub | None = None

    @property
    def folder(self) -> Path:
        """The folder of a directory repo."""
        return self.root / "repo"

    def open(self, token: str | None = WRITE, **more: Any) -> Repo:
        if self.hub is None:
            return DirectoryRepo(self.folder)
        return open_hub(self.hub, token, **more)

    def tree(self) -> dict[str, str]:
        """Path to SHA-256 of all shards on the default branch."""
        if self.hub is not None:
            files = self.hub.tree(NAME)
            return {path: files[path] for path in files if path.endswith(".parquet")}
        found = self.folder.rglob("*.parquet")
        return {str(path.relative_to(self.folder)): sha256_of_file(path) for path in sorted(found)}

    def commits(self) -> list[tuple[str, tuple[str, ...]]]:
        """Title and paths of the shards of our commits, oldest first."""
        if self.hub is not None:
            return [
                (commit.title, _shards_among(commit.files))
                for commit in self.hub.commits(NAME)
                if commit.description.startswith("vulcan batch")
            ]
        records = sorted((self.folder / ".vulcan/commits").glob("*.json"))
        read = [json.loads(record.read_bytes()) for record in records]
        return [
            (record["message"], _shards_among(file["path"] for file in record["files"]))
            for record in read
        ]

    def committed(self) -> list[str]:
        """Every path of every commit of ours, as often as it was committed."""
        return sorted(path for _, paths in self.commits() for path in paths)


def _shards_among(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(path for path in paths if path.endswith(".parquet")))


def open_hub(hub: LocalHub, token: str | None = WRITE, **more: Any) -> Repo:
    """The repo of the tests on a local Hub."""
    return HubRepo(
        more.pop("name", NAME),
        token=token,
        endpoint=hub.url,
        cache_dir=hub.root.parent / "cache",
        **more,
    )


class Killed(BaseException):
    """A process that ends at this very point, as far as one process can play that."""


class Hooked:
    """A repo with somebody at its door: told the name of each method before and after its call."""

    def __init__(
        self,
        repo: Repo,
        *,
        before: Callable[[str], None] = lambda _: None,
        after: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._repo = repo
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._repo, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._before(name)
            result = found(*arguments, **options)
            self._after(name)
            return result

        return call


def on_call(name: str, number: int, act: Callable[[], None]) -> Callable[[str], None]:
    """A hook that acts at the so-manieth call of a method, counted from 1."""
    calls = itertools.count(1)

    def hook(called: str) -> None:
        if called == name and next(calls) == number:
            act()

    return hook


def kill() -> None:
    raise Killed


def ledger_of(area: StagingArea) -> list[tuple[str, str, str, str]]:
    """Path, SHA-256, repo and branch of each line of the ledger, sorted."""
    return sorted((e.path, e.sha256, e.repo, e.revision) for e in Ledger(area).entries())
