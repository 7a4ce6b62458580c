"""From what a person writes to a repo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_support import plain_lfs
from vulcan_cli.errors import UsageError
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.hub.huggingface import HubRepo
from vulcan_cli.hub.open import Login, open_repo


@pytest.fixture(autouse=True)
def _client_as_it_was() -> Iterator[None]:
    with plain_lfs():
        yield


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("file:///data/repo", "/data/repo"),
        ("file://localhost/data/repo", "/data/repo"),
        ("file:/data/repo", "/data/repo"),
        ("file:///data/a%20b%3F", "/data/a b?"),
        ("/data/repo/", "/data/repo"),
        ("/data/x/../repo", "/data/repo"),
        ("./repo", "{here}/repo"),
        ("../repo", "{above}/repo"),
        (".", "{here}"),
    ],
)
def test_folders(text: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    repo = open_repo(text)
    assert isinstance(repo, DirectoryRepo)
    assert str(repo.root) == folder.format(here=tmp_path, above=tmp_path.parent)


@pytest.mark.parametrize("text", ["/data/a b#c?d", "/data/ü", "/"])
def test_the_name_of_a_folder_opens_it_again(text: str) -> None:
    repo = open_repo(text)
    again = open_repo(repo.name)
    assert (again.name, again.key) == (repo.name, repo.key)


def test_two_ways_to_one_folder_have_one_key(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert open_repo(str(tmp_path / "real")).key == open_repo(str(tmp_path / "link")).key
    assert open_repo("/data/a/repo").key != open_repo("/data/b/repo").key


@pytest.mark.parametrize("text", ["alice/vacua", "a/b", "Alice-1/va.cua_2", "_a/b_"])
def test_names_on_the_hub(text: str) -> None:
    repo = open_repo(text, Login(token="hf_x"))
    assert isinstance(repo, HubRepo)
    assert (repo.name, repo.is_remote) == (text, True)


def test_a_name_on_the_hub_has_one_key_however_it_is_spelt() -> None:
    assert open_repo("Alice/Vacua").key == open_repo("alice/vacua").key
    assert open_repo("alice/b-c").key != open_repo("alice-b/c").key
    other = Login(endpoint="http://127.0.0.1:1")
    assert open_repo("alice/vacua", other).key != open_repo("alice/vacua").key
    public = Login(endpoint="https://huggingface.co")
    assert open_repo("alice/vacua", public).key == "alice-vacua-c75d1c2d7684"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("vacua", "vacua"),
        ("", ""),
        ("a/b/c", "a/b/c"),
        ("-a/b", "-a/b"),
        ("a/b--c", "a/b--c"),
        ("a/b..c", "a/b..c"),
        ("a/b\n", "a/b\\n"),
        ("https://me:pass@hub.example/a", "[hidden]hub.example/a"),
        ("alice/hf_abcdefghijklmnopqrstuvwx!", "alice/[hidden]!"),
    ],
)
def test_what_is_no_repo_is_refused_without_its_secrets(text: str, shown: str) -> None:
    with pytest.raises(UsageError) as error:
        open_repo(text)
    assert str(error.value) == (
        f"a repo is written owner/name, file:///folder or ./folder, not '{shown}'"
    )


@pytest.mark.parametrize(
    "text",
    ["datasets/alice/vacua", "https://huggingface.co/datasets/alice/vacua/tree/main?not-for=us"],
)
def test_an_address_from_the_browser_is_answered_with_its_repo(text: str) -> None:
    with pytest.raises(UsageError) as error:
        open_repo(text)
    assert str(error.value) == (
        f"a repo is written owner/name, file:///folder or ./folder, not '{text}'; "
        "did you mean alice/vacua?"
    )


@pytest.mark.parametrize("text", ["file://host/data", "file:data", "file:///a?b", "file:///a#b"])
def test_addresses_of_no_folder(text: str) -> None:
    with pytest.raises(UsageError):
        open_repo(text)


def test_a_login_does_not_print_its_token() -> None:
    login = Login(token="hf_secret", endpoint="http://hub")
    assert f"{login} {login!r}" == "Login(endpoint='http://hub') Login(endpoint='http://hub')"


def test_a_folder_loads_nothing_of_the_hub() -> None:
    code = (
        "import sys; from vulcan_cli.hub.open import open_repo; open_repo('/nowhere')\n"
        "print([m for m in ('huggingface_hub', 'httpx2', 'polars', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
