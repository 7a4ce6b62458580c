"""Every class of errors.py and every exit status, provoked through the command line.

Where the Hub or another process has a part in it, the command is a process too.

A class that nobody provokes here fails `test_every_class_is_provoked`, until somebody does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_shards import CSV, KEYS, PARQUET, staged
from tests.cli_support import (
    CHECKOUT,
    VULCAN,
    Ran,
    clean,
    interrupted,
    on_terminal,
    vulcan,
    with_little_memory,
    without_threads,
)
from tests.hubserver import BOB, READ, Fault, HubThread, LocalHub
from tests.vacua_support import rows
from vulcan_cli import errors
from vulcan_cli.cli.explain import EXIT_STATUSES
from vulcan_cli.errors import VulcanError
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.lease import break_lease, read_lease
from vulcan_cli.staging.lock import SyncLock

NAME = "alice/vacua"
STAGING = ("--staging-dir", "spool")
FOLDER = (*STAGING, "--repo", "./repo")
HUB = (*STAGING, "--repo", NAME)
AT_ONCE = ("--max-retries", "0")
STAGE = ("stage", PARQUET, "-g", KEYS, *STAGING)


@dataclass(frozen=True)
class Place:
    """Where a command runs: a folder with a shard that waits in `spool`, and a Hub."""

    home: Path
    hub: LocalHub

    @property
    def area(self) -> StagingArea:
        return StagingArea(self.home / "spool")

    def asked_here(self, *words: str | Path, **env: str) -> Ran:
        """Run a command for a script, one that only files have a part in."""
        return run(*words, "--json", cwd=self.home, env=env)

    def asked_for(self, *words: str | Path, stdin: str = "", **env: str) -> Ran:
        """Run a command for a script, with what the Hub's client needs."""
        known = self.hub.client_env(home=self.home / "hf_home")
        return vulcan(*words, "--json", home=self.home, env=known | env, stdin=stdin)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    staged(tmp_path, "a")
    with HubThread(tmp_path / "hub") as hub:
        hub.create_repo(NAME, private=False)
        yield Place(tmp_path, hub)


def started(*words: str, home: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """A command that goes on while others do something."""
    return subprocess.Popen(
        [*VULCAN, *words],
        env=clean(home, **env),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fault_of_ours(place: Place) -> Ran:
    """A package that cannot be loaded, for no reason that we know."""
    broken = place.home / "broken" / "polars"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("1 / 0\n")
    return place.asked_for("query", *STAGING, PYTHONPATH=f"{broken.parent}{os.pathsep}{CHECKOUT}")


def column_clash(place: Place) -> Ran:
    """A column of numbers in one shard, of text in another."""
    staged(place.home, "b", rows(1).with_columns(note=pl.lit(1)))
    staged(place.home, "c", rows(2).with_columns(note=pl.lit("one")))
    return place.asked_here("query", *STAGING, "--source", "staged", "--columns", "note")


def uneven_lists(place: Place) -> Ran:
    """A list of one number beside one of two, as an array."""
    staged(place.home, "b", rows(2, mass2=[[1.0], [1.0, 2.0]]))
    words = ("--source", "staged", "--run-id", "b", "--columns", "mass2", "-o", "mass2.npz")
    return place.asked_here("query", *STAGING, *words)


def token_in_settings(place: Place) -> Ran:
    (place.home / "vulcan.toml").write_text('token = "x"\n')
    return place.asked_here("status")


def rows_refused(place: Place) -> Ran:
    """A stream with a row that lacks what every row must have."""
    good = rows(1).write_ndjson()
    return place.asked_for(
        *("stage", "-", "--format", "ndjson", "-g", KEYS, *STAGING, "--max-age", "10m"),
        stdin=f'{good}{{"flux": "none"}}\n',
    )


def conflict(place: Place) -> Ran:
    """Other rows under the name of a shard that waits."""
    return place.asked_here("stage", CSV, "-g", KEYS, *STAGING, "--run-id", "a")


def denied(place: Place) -> Ran:
    return place.asked_for("sync", *HUB, HF_TOKEN=READ)


def only_proposals(place: Place) -> Ran:
    """The repo of others, whom a token may only ask to take a shard."""
    return place.asked_for("sync", *HUB, HF_TOKEN=BOB)


def repo_refuses(place: Place) -> Ran:
    """The repo's own rules hide every shard."""
    place.hub.push(NAME, {".gitignore": b"*.parquet\n"})
    return place.asked_for("sync", *HUB)


def trimmed(place: Place) -> None:
    assert run("sync", *FOLDER, "--create-repo", cwd=place.home).code == 0
    assert run("trim-synced", "--keep-bytes", "0", *FOLDER, cwd=place.home).code == 0


def home_not_set(place: Place) -> Ran:
    trimmed(place)
    return place.asked_here("query", *STAGING)


def try_later(place: Place) -> Ran:
    """What was trimmed is wanted, and the repo that has it is not there."""
    trimmed(place)
    shutil.move(place.home / "repo", place.home / "unplugged")
    return place.asked_here("query", *FOLDER)


def answered(status: int) -> Callable[[Place], Ran]:
    """A Hub that answers every question with a status."""

    def ask(place: Place) -> Ran:
        place.hub.add_faults(Fault("status", f"/api/datasets/{NAME}", status=status, times=None))
        return place.asked_for("sync", *HUB, *AT_ONCE)

    return ask


def sync_at_work(place: Place) -> Ran:
    with SyncLock(place.area):
        return place.asked_for("sync", *FOLDER, "--create-repo")


def lease_lost(place: Place) -> Ran:
    """Somebody takes the lock away while the Hub takes its time."""
    place.hub.add_faults(Fault("hold", "/preupload/", "POST"))
    env = place.hub.client_env(home=place.home / "hf_home")
    with started("sync", *HUB, "--json", home=place.home, env=env) as process:
        place.hub.await_held()
        lease = read_lease(place.area)
        assert lease is not None
        break_lease(place.area, lease)
        place.hub.release()
        out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)


def out_of_threads(place: Place) -> Ran:
    return without_threads(*STAGE, "--json", home=place.home)


def out_of_memory(place: Place) -> Ran:
    large = place.home / "large.csv"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    words = ("stage", large, "-g", KEYS, *STAGING)
    return with_little_memory(*words, "--json", home=place.home)


PROVOKED: Mapping[type[VulcanError], Callable[[Place], Ran]] = {
    errors.VulcanError: fault_of_ours,
    errors.UsageError: lambda place: place.asked_here("status", "--wibble"),
    errors.TemplateError: lambda place: place.asked_here(*STAGE, "--run-id", "a b"),
    errors.MissingTemplateValue: lambda place: place.asked_here(*STAGE, "--template", "{wibble}"),
    errors.UnknownColumn: lambda place: place.asked_here(
        "query", *STAGING, "--source", "staged", "--columns", "wibble"
    ),
    errors.InputRefused: lambda place: place.asked_here("stage", __file__, "-g", KEYS, *STAGING),
    errors.RowsRefused: rows_refused,
    errors.ColumnClash: column_clash,
    errors.UnevenLists: uneven_lists,
    errors.Conflict: conflict,
    errors.OutOfThreads: out_of_threads,
    errors.OutOfMemory: out_of_memory,
    errors.NotSetUp: lambda place: place.asked_here("status"),
    errors.StagingMissing: lambda place: place.asked_here("status", "--staging-dir", "none"),
    errors.TokenUnfit: lambda place: place.asked_here("config", VULCAN_TOKEN="two words"),
    errors.TokenInSettings: token_in_settings,
    errors.Denied: denied,
    errors.OnlyProposals: only_proposals,
    errors.RepoMissing: lambda place: place.asked_here("sync", *FOLDER),
    errors.RepoRefuses: repo_refuses,
    errors.TryLater: try_later,
    errors.HomeNotSet: home_not_set,
    errors.Unreachable: lambda place: place.asked_for(
        "sync", *HUB, *AT_ONCE, HF_ENDPOINT="http://127.0.0.1:9"
    ),
    errors.RateLimited: answered(429),
    errors.ServerTrouble: answered(503),
    errors.DiskTrouble: lambda place: place.asked_here("status", *STAGING, "--metrics", "no/x"),
    errors.SyncAtWork: sync_at_work,
    errors.LeaseLost: lease_lost,
}


def test_every_class_is_provoked() -> None:
    named = [each for each in vars(errors).values() if isinstance(each, type)]
    ours = {each for each in named if issubclass(each, VulcanError)}
    # A bad shard stops nobody, and pictures and terminals know no --json: see below.
    others = {errors.BadShard, errors.NothingToDraw, errors.NotForTerminal}
    assert ours == {*PROVOKED, *others}
    assert {each.exit_code for each in ours} | {0, 130} == set(EXIT_STATUSES)


@pytest.mark.parametrize("kind", PROVOKED, ids=lambda kind: kind.__name__)
def test_it_says_what_happened_what_is_safe_and_what_to_type(
    place: Place, kind: type[VulcanError]
) -> None:
    ran = PROVOKED[kind](place)
    *_, last = ran.err.splitlines()
    error = json.loads(last)["error"]
    assert (error["kind"], error["exit_code"], ran.code) == (
        kind.__name__,
        kind.exit_code,
        kind.exit_code,
    ), ran
    assert error["message"]
    assert error["safe"]
    assert error["next"]
    assert "Traceback" not in ran.err


def test_a_bad_shard_is_skipped_told_and_3(place: Place) -> None:
    (good,) = (place.home / "spool/pending").glob("*.parquet")
    bad = good.with_name(good.name.replace("run_a", "run_b"))
    bad.write_bytes(good.read_bytes()[:-1])
    ran = vulcan("query", "--count", *STAGING, "--source", "staged", "-q", home=place.home)
    assert (ran.code, ran.err.partition(" is not a shard: ")[0]) == (
        errors.BadShard.exit_code,
        f"vulcan: skipped: {bad.name}",
    )


def test_a_picture_of_nothing_is_3_too(place: Place) -> None:
    words = ("plot", "tau", "--h12", "99", *STAGING, "--source", "staged", "-q")
    ran = vulcan(*words, home=place.home)
    assert (ran.code, ran.out) == (errors.NothingToDraw.exit_code, "")
    sentence, safe, step = ran.err.splitlines()
    assert sentence == "vulcan: no row matches"
    assert safe.startswith("  safe: ")
    assert step.startswith("  next: vulcan ")


@pytest.mark.parametrize("form", ["parquet", "arrow", "npz"])
def test_bytes_on_a_terminal_are_2(place: Place, form: str) -> None:
    words = ("query", *STAGING, "--source", "staged", "-q")
    command = [*VULCAN, *words, "--format", form]
    assert on_terminal(command, clean(place.home, NO_COLOR="1"), place.home) == (
        errors.NotForTerminal.exit_code,
        f"vulcan: {form} is not for a terminal: it goes to a file or into a pipe\n"
        "  safe: nothing was changed\n"
        f"  next: vulcan {' '.join(words)} -o FILE.{form}\n",
    )


def test_done_and_interrupted(tmp_path: Path) -> None:
    assert vulcan("--version", home=tmp_path).code == 0
    staged(tmp_path, "a", rows(1))
    words = ("sync", *FOLDER, "--create-repo", "--every", "1h")
    with started(*words, home=tmp_path, env={}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "committed=1 failed=0 remaining=0 commits=1\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err.splitlines()[-3:]) == (
        130,
        interrupted("status --staging-dir spool"),
    )
