"""`vulcan card`: the card of what is there, with what people wrote in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli_in_process import run, run_binary
from tests.cli_support import vulcan
from tests.dataset_support import listed, put, vacua
from vulcan_cli.dataset.card import About, card
from vulcan_cli.dataset.catalog import Catalog


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
