import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from tests.cli_support import clean
from vulcan_cli.credentials import Secret, find_token
from vulcan_cli.errors import NotSetUp

TOKEN = "hf_" + "abcdefghij" * 3


def private_file(path: Path, text: str = TOKEN) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def found(environ: dict[str, str]) -> tuple[str, str] | None:
    secret = find_token(environ)
    return None if secret is None else (secret.reveal(), secret.origin)


def test_places_in_their_order(tmp_path: Path) -> None:
    home = tmp_path / "home"
    login = home / ".cache" / "huggingface" / "token"
    login.parent.mkdir(parents=True)
    login.write_text("login\n")
    file = private_file(tmp_path / "token", " file \n")
    environ = {
        "HOME": str(home),
        "VULCAN_TOKEN": "ours",
        "STRINGFORGE_VULCAN_TOKEN": "peers",
        "VULCAN_TOKEN_FILE": str(file),
        "HF_TOKEN": "hub",
    }
    assert found(environ) == ("ours", "VULCAN_TOKEN")
    del environ["VULCAN_TOKEN"]
    assert found(environ) == ("peers", "STRINGFORGE_VULCAN_TOKEN")
    environ["STRINGFORGE_VULCAN_TOKEN"] = " "
    assert found(environ) == ("file", str(file))
    del environ["VULCAN_TOKEN_FILE"]
    assert found(environ) == ("hub", "HF_TOKEN")
    del environ["HF_TOKEN"]
    assert found(environ) == ("login", str(login))
    assert found({**environ, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}) is None
    login.unlink()
    assert found(environ) is None


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_CACHE_HOME": "/xdg"},
        {"HF_HOME": "/hub"},
        {"HF_HOME": "/hub", "XDG_CACHE_HOME": "/xdg"},
        {"HF_TOKEN_PATH": "/elsewhere/token", "HF_HOME": "/hub"},
    ],
)
def test_the_login_is_where_the_client_has_it(tmp_path: Path, variables: dict[str, str]) -> None:
    moved = {name: f"{tmp_path}{path}" for name, path in variables.items()}
    environ = clean(tmp_path, **moved)
    code = "from huggingface_hub.constants import HF_TOKEN_PATH; print(HF_TOKEN_PATH)"
    asked = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    path = Path(asked.stdout.strip())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("login")
    assert found(environ) == ("login", str(path))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_token_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = private_file(tmp_path / "token")
    file.chmod(mode)
    with pytest.raises(NotSetUp) as caught:
        find_token({"HOME": str(tmp_path), "VULCAN_TOKEN_FILE": str(file)})
    assert caught.value.setting == "token"
    assert str(caught.value) == (
        f"{file} holds a token and is not its owner's alone (mode {mode:04o})"
    )


def test_a_token_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotSetUp) as caught:
        find_token({"HOME": str(tmp_path), "VULCAN_TOKEN_FILE": str(tmp_path / "none")})
    assert str(caught.value) == f"VULCAN_TOKEN_FILE: {tmp_path}/none: No such file or directory"


def test_a_fifo_for_a_token_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(NotSetUp) as caught:
        find_token({"HOME": str(tmp_path), "VULCAN_TOKEN_FILE": str(tmp_path / "fifo")})
    assert str(caught.value) == f"VULCAN_TOKEN_FILE: {tmp_path}/fifo is no regular file"


@pytest.mark.parametrize("text", ["two words", "line\nbreak", "ümlaut", "nul\0", "x" * 5_000])
def test_what_no_header_can_carry_is_refused_unsaid(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotSetUp) as caught:
        find_token({"HOME": str(tmp_path), "VULCAN_TOKEN": text})
    assert str(caught.value) == "what VULCAN_TOKEN holds is no token"


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(TOKEN, "HF_TOKEN")
    assert repr(secret) == "Secret(origin='HF_TOKEN')"
    assert [str(secret), f"{secret}", "%s" % secret] == ["[hidden]"] * 3  # noqa: UP031
    with pytest.raises(TypeError) as caught:
        pickle.dumps(secret)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == TOKEN
