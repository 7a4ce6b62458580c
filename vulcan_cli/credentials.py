"""The token: where it may stand, and a value that never shows it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, Self

from vulcan_cli.errors import TokenUnfit

_VARIABLES = ("VULCAN_TOKEN", "STRINGFORGE_VULCAN_TOKEN")
_FILE_VARIABLE = "VULCAN_TOKEN_FILE"
_TRUE = {"1", "ON", "YES", "TRUE"}
_LONGEST = 4096

# Anything else would come back in the error message of the HTTP client.
_TOKEN = re.compile(r"[!-~]{1,4096}", re.ASCII)


class Secret:
    """A text that shows itself only to who calls `reveal`.

    Attributes:
        origin: Where it was found: the name of a variable, or a file.
    """

    __slots__ = ("_text", "origin")

    def __init__(self, text: str, origin: str) -> None:
        self._text = text
        self.origin = origin

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret(origin={self.origin!r})"

    def __str__(self) -> str:
        return "[hidden]"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


class Given:
    """A token that a program gave, if it gave one: it stays in this process.

    A copy has it too. Where it is pickled it is left out, as that is another process or a file.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | None = None) -> None:
        self._text = text

    def reveal(self) -> str | None:
        """The text itself."""
        return self._text

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Given], tuple[()]]:
        return Given, ()


def find_token(environ: Mapping[str, str]) -> Secret | None:
    """The token for the Hub, or None.

    Looked for in `VULCAN_TOKEN`, `STRINGFORGE_VULCAN_TOKEN`, the file that `VULCAN_TOKEN_FILE`
    names, `HF_TOKEN`, and the file that `hf auth login` wrote.

    Raises:
        TokenUnfit: One of these is there and is no token, or others can read the file named.
    """
    for name in _VARIABLES:
        if environ.get(name, "").strip():
            return _checked(environ[name], name, place=name)
    if environ.get(_FILE_VARIABLE):
        path = Path(environ[_FILE_VARIABLE])
        return _checked(_read_private(path), environ[_FILE_VARIABLE], place=path)
    if environ.get("HF_TOKEN", "").strip():
        return _checked(environ["HF_TOKEN"], "HF_TOKEN", place="HF_TOKEN")
    if environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in _TRUE:
        return None
    return _logged_in(environ)


def _logged_in(environ: Mapping[str, str]) -> Secret | None:
    path = _login_file(environ)
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return None
    return _checked(text, str(path), place=None) if text.strip() else None


def _login_file(environ: Mapping[str, str]) -> Path:
    """Where the Hub's client keeps the token of `hf auth login` (huggingface_hub 2, constants)."""
    return at_home(environ, environ.get("HF_TOKEN_PATH") or _hf_home(environ) / "token")


def xet_cache(environ: Mapping[str, str]) -> Path:
    """Where the Hub's client keeps pieces of content (huggingface_hub 2, constants)."""
    return at_home(environ, environ.get("HF_XET_CACHE") or _hf_home(environ) / "xet")


def _hf_home(environ: Mapping[str, str]) -> Path:
    cache = Path(environ.get("XDG_CACHE_HOME") or _home(environ) / ".cache")
    return Path(environ.get("HF_HOME") or cache / "huggingface")


def at_home(environ: Mapping[str, str], text: str | Path) -> Path:
    """A path with a leading `~` as the home of the environment, as the Hub's client reads it."""
    path = Path(text)
    return _home(environ) / path.relative_to("~") if path.parts[:1] == ("~",) else path


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def _read_private(path: Path) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TokenUnfit(path, f"{_FILE_VARIABLE}: {path}: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise TokenUnfit(path, f"{_FILE_VARIABLE}: {path} is no regular file")
        if status.st_mode & 0o077 or status.st_uid not in {os.geteuid(), 0}:
            mode = stat.S_IMODE(status.st_mode)
            message = f"{path} holds a token and is not its owner's alone (mode {mode:04o})"
            raise TokenUnfit(path, message, too_open=status.st_uid == os.geteuid())
        return os.read(fd, _LONGEST + 1).decode("utf-8", errors="replace")
    finally:
        os.close(fd)


def _checked(text: str, origin: str, *, place: str | Path | None) -> Secret:
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise TokenUnfit(place, f"what {origin} holds is no token")
    return Secret(token, origin)
