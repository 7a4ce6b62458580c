"""`vulcan card`: the card of what is there, with what people wrote in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.cli_in_process import run, run_binary
from tests.cli_support import vulcan
from tests.dataset_support import STAGING, listed, put, vacua
from tests.hub_support import plain_lfs
from tests.hubserver import READ, WRITE, Fault, HubThread, LocalHub
from vulcan_cli.dataset.card import About, card
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.vacua.geometry import path_of_file_name


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """One shard in `spool/synced`."""
    for name in ("pending", "synced", "failed"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    put(tmp_path / "spool/synced", vacua(3), "a", h11=3, h12=2)
    return tmp_path


def shards(cwd: Path) -> Catalog:
    return Catalog.read(listed(cwd / "spool/synced"))


def test_it_prints_the_card_of_what_is_synced(cwd: Path) -> None:
    (cwd / "cite").write_text("Us (2026)\n")
    words = ("--staging-dir", "spool", "--source", "synced")

    ran = vulcan("card", *words, "--license", "mit", "--citation", "cite", home=cwd)

    wanted = card(None, shards(cwd), About("owner/name", "mit", "Us (2026)\n")).text
    assert (ran.code, ran.out, ran.err) == (0, wanted, "read synced of spool\n")


def test_what_people_wrote_stays_and_is_told(cwd: Path) -> None:
    written = "---\r\nlicense: mit\r\n---\r\nOurs: \u00fc\r\n"
    (cwd / "README.md").write_bytes(written.encode())
    words = [*["card", "--staging-dir", "spool", "--source", "synced", "--repo", "me/vacua"]]
    words += ["--into", "README.md", "--license", "cc0-1.0"]

    code, out, err = run_binary(*words, cwd=cwd)

    wanted = card(written, shards(cwd), About("me/vacua", "cc0-1.0"))
    assert (code, out) == (0, wanted.text.encode())
    assert err.splitlines() == [
        "read synced of spool",
        "vulcan: license in README.md is not vulcan's: it stays as it is",
    ]
    document = json.loads(run(*words, "--json", cwd=cwd).out)
    assert document == {"text": wanted.text, "left_alone": ["license"]}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nowhere", "there is no file nowhere"), ("latin", "latin is no text in UTF-8")],
)
def test_a_card_that_cannot_be_read_is_refused(cwd: Path, name: str, sentence: str) -> None:
    (cwd / "latin").write_bytes(b"\xfc\n")

    ran = run("card", "--staging-dir", "spool", "--into", name, cwd=cwd)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == f"vulcan: {sentence}"


def test_a_file_that_is_no_shard_is_told(cwd: Path) -> None:
    (broken,) = (cwd / "spool/synced").glob("*.parquet")
    broken.write_bytes(b"no shard")

    ran = run("card", "--staging-dir", "spool", "--source", "synced", cwd=cwd)

    assert ran.code == 3
    assert ran.err.splitlines()[1].startswith(f"vulcan: skipped: {broken.name} is not a shard")


NAME = "alice/vacua"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A repo that the peer wrote: shards without a catalog."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with plain_lfs(), HubThread(tmp_path / "hub") as running:
        running.create_repo(NAME)
        files = sorted((STAGING / "synced").glob("*.parquet"))
        running.push(
            NAME, {path_of_file_name(each.name) or "": each.read_bytes() for each in files}
        )
        yield running


def env_of(hub: LocalHub, token: str = WRITE) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.url,
        "VULCAN_TOKEN": token,
        "VULCAN_STAGING_DIR": "spool",
        "VULCAN_REPO": NAME,
        "VULCAN_LICENSE": "cc0-1.0",
        "VULCAN_CITATION": "Us\n(2026)",
    }


def test_a_card_is_pushed_alone_and_only_when_it_changed(cwd: Path, hub: LocalHub) -> None:
    env = env_of(hub)
    shards = Catalog.read(listed(STAGING / "synced"))
    wanted = card(None, shards, About(NAME, "cc0-1.0", "Us\n(2026)")).text
    commits = len(hub.commits(NAME))

    tried = run("card", "--push", "--dry-run", cwd=cwd, env=env)
    assert (tried.code, tried.out) == (0, f"rehearsed\t{NAME}\t-\n")
    assert (len(hub.commits(NAME)), (cwd / "spool/_vulcan").exists()) == (commits, False)

    ran = run("card", "--push", cwd=cwd, env=env)
    (made,) = hub.commits(NAME)[commits:]
    assert (ran.code, ran.out) == (0, f"pushed\t{NAME}\t{made.id}\n")
    assert (made.title, list(made.files)) == ("vulcan: forge, dataset card", ["README.md"])
    assert hub.tree(NAME)["README.md"] == hashlib.sha256(wanted.encode()).hexdigest()

    again = run("card", "--push", "--json", cwd=cwd, env=env)
    assert (again.code, json.loads(again.out)) == (
        0,
        {
            "pushed": [
                {
                    "repo": NAME,
                    "status": "unchanged",
                    "commit": None,
                    "added": [],
                    "removed": [],
                    "left_alone": [],
                }
            ]
        },
    )
    assert len(hub.attempts(NAME)) == 1


def test_p10_a_pushed_card_spends_a_slot_and_waits_for_one(cwd: Path, hub: LocalHub) -> None:
    words = ("card", "--push", "--budget", "1")
    assert run(*words, cwd=cwd, env=env_of(hub)).code == 0
    ran = run(*words, "--license", "mit", cwd=cwd, env=env_of(hub))
    assert (ran.code, ran.out, len(hub.attempts(NAME))) == (5, "", 1)
    assert run(*words, cwd=cwd, env=env_of(hub)).out == f"unchanged\t{NAME}\n"


REFUSALS = {
    "the Hub's check": (
        Fault("status", "/api/validate-yaml", "POST", status=400, body={"error": "no licence"}),
        3,
        "vulcan: the input is refused: README.md: no licence",
    ),
    "the commit": (
        Fault("status", "/commit/", "POST", status=400, body={"error": "not here"}),
        4,
        "vulcan: alice/vacua refuses this commit: not here",
    ),
    "the server": (
        Fault("status", "/commit/", "POST", status=500, body={"error": "a fault"}),
        5,
        "vulcan: alice/vacua has trouble of its own: a fault (HTTP 500)",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_card_that_does_not_land_is_told(cwd: Path, hub: LocalHub, what: str) -> None:
    fault, code, sentence = REFUSALS[what]
    hub.add_faults(fault)
    ran = run("card", "--push", cwd=cwd, env=env_of(hub))
    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (code, "", sentence)
    assert "README.md" not in hub.tree(NAME)


def test_an_answer_that_was_lost_is_looked_for(cwd: Path, hub: LocalHub) -> None:
    hub.add_faults(Fault("drop_after", "/commit/", "POST"))
    ran = run("card", "--push", cwd=cwd, env=env_of(hub))
    assert (ran.code, ran.out) == (0, f"pushed\t{NAME}\t{hub.commits(NAME)[-1].id}\n")
    assert len(hub.attempts(NAME)) == 1


def test_who_may_not_write_is_told(cwd: Path, hub: LocalHub) -> None:
    ran = run("card", "--push", cwd=cwd, env=env_of(hub, READ))
    assert (ran.code, ran.out, len(hub.attempts(NAME))) == (4, "", 0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--dry-run"], "--dry-run goes with --push"),
        (["--budget", "3"], "--budget goes with --push"),
        (["--window-s", "1h"], "--window-s goes with --push"),
        (["--max-retries", "0"], "--max-retries goes with --push"),
        (
            ["--push", "--source", "synced"],
            "--push is about what stands in the repo: no --into, no other --source",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(cwd: Path, words: list[str], sentence: str) -> None:
    ran = run("card", "--staging-dir", "spool", "--repo", "./r", *words, cwd=cwd)
    assert (ran.code, ran.err.splitlines()[0]) == (2, f"vulcan: {sentence}")


def test_a_folder_has_the_card_that_sync_and_card_agree_on(cwd: Path) -> None:
    words = ("--staging-dir", "spool", "--repo", f"file://{cwd}/the%20repo", "--license", "mit")
    (cwd / "vulcan.toml").write_text('license = "mit"\n')
    (row,) = (cwd / "spool/synced").glob("*.parquet")
    row.rename(cwd / "spool/pending" / row.name)
    assert run("sync", "--create-repo", *words[:4], cwd=cwd).code == 0

    shown = run("card", "--source", "repo", *words, cwd=cwd)
    pushed = run("card", "--push", *words, cwd=cwd)

    assert (shown.code, shown.out) == (0, (cwd / "the repo/README.md").read_text())
    assert "vulcan query --repo './the repo' --source repo" in shown.out
    assert (pushed.code, pushed.out) == (0, f"unchanged\tfile://{cwd}/the%20repo\n")
    other = run("card", "--push", *words[:4], "--license", "cc0-1.0", cwd=cwd)
    assert (other.code, other.err) == (0, "2 files changed\n")
    assert 'license: "cc0-1.0"' in (cwd / "the repo/README.md").read_text()
