"""What the environment says beside the settings. The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vulcan_cli import credentials
from vulcan_cli.credentials import Secret
from vulcan_cli.scheduling.job import job_of
from vulcan_cli.settings_fields import WORKER_THREADS

_PATHS = ("VULCAN_TOKEN_FILE", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")

_PROXIES = (
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"),
    *("ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"),
)

_WAYS = (*_PROXIES, "HF_HUB_DISABLE_XET")
"""How the Hub is reached from here, beside certificates, as its client takes it."""

_HUB_PATHS = ("HF_HOME", "HF_TOKEN_PATH", "XDG_CACHE_HOME")
"""Where `hf auth login` may have put its token; the Hub's client takes a ~ in them for the home."""

COMPLETION_VARIABLE = "_VULCAN_COMPLETE"
"""Set by the shell when it wants words to complete."""


def given_or_own(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    """The environment that was given; this process's own where none was."""
    return os.environ if environ is None else environ


def find_token() -> Secret | None:
    """The token for the Hub, or None; see `vulcan_cli.credentials.find_token`."""
    return credentials.find_token(os.environ)


def read_endpoint(environ: Mapping[str, str] | None = None) -> str | None:
    """Another Hub than the public one, as its client takes it from `HF_ENDPOINT`; or None."""
    return given_or_own(environ).get("HF_ENDPOINT", "").rstrip("/") or None


def read_xet_cache() -> Path:
    """Where the Hub's client keeps pieces of content; they belong on a disk of this node."""
    return credentials.xet_cache(os.environ)


def ways_to_hub() -> dict[str, str]:
    """Variables that lead to the same Hub and the same login from any folder of this machine.

    What leads to the token is among them, the token and passwords of proxies are not.
    """
    environ = os.environ
    variables = {name: str(Path(environ[name]).absolute()) for name in _PATHS if environ.get(name)}
    variables |= {
        name: str(credentials.at_home(environ, environ[name]).absolute())
        for name in _HUB_PATHS
        if environ.get(name)
    }
    held_back = proxies_held_back()
    variables |= {n: environ[n] for n in _WAYS if environ.get(n) and n not in held_back}
    endpoint = read_endpoint()
    return variables if endpoint is None else {**variables, "HF_ENDPOINT": endpoint}


def proxies_held_back() -> list[str]:
    """Variables whose proxy may hold a password, and so must not be written down."""
    return [name for name in _PROXIES if "@" in os.environ.get(name, "")]


def holds_token() -> str | None:
    """The variable that holds the token itself, and so must not be written down; or None."""
    place = token_place()
    return place if isinstance(place, str) else None


def token_place() -> str | Path | None:
    """The variable that holds the token, or the file that `VULCAN_TOKEN_FILE` names.

    None where it comes from `hf auth login`, or from nowhere.
    """
    found = find_token()
    if found is None:
        return None
    if found.origin in os.environ:
        return found.origin
    is_named = found.origin == os.environ.get("VULCAN_TOKEN_FILE")
    return Path(found.origin) if is_named else None


class Shell(NamedTuple):
    """The shell of this account, and where it looks for what users install.

    Attributes:
        name: Such as `bash`; empty where nobody says.
        home: The home folder.
        data: `$XDG_DATA_HOME`.
        config: `$XDG_CONFIG_HOME`.
        zsh: Where zsh looks for `.zshrc`.
    """

    name: str
    home: Path
    data: Path
    config: Path
    zsh: Path


def read_shell(environ: Mapping[str, str] | None = None) -> Shell:
    """The shell by `SHELL`, and its folders by the XDG base directory specification."""
    environ = given_or_own(environ)
    home = Path(environ.get("HOME") or Path.home())
    return Shell(
        name=Path(environ.get("SHELL", "")).name,
        home=home,
        data=Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share"),
        config=Path(environ.get("XDG_CONFIG_HOME") or home / ".config"),
        zsh=Path(environ.get("ZDOTDIR") or home),
    )


class Display(NamedTuple):
    """What the environment says of how to talk.

    Attributes:
        color: Whether colour is welcome on a terminal.
        motion: Whether a terminal can redraw a line.
        debug: Whether an error shows its traceback.
    """

    color: bool = True
    motion: bool = True
    debug: bool = False


def read_display(environ: Mapping[str, str] | None = None) -> Display:
    """`NO_COLOR` (https://no-color.org), `TERM=dumb` and `VULCAN_DEBUG`."""
    environ = given_or_own(environ)
    dumb = environ.get("TERM") == "dumb"
    return Display(
        color=not environ.get("NO_COLOR") and not dumb,
        motion=not dumb,
        debug=environ.get("VULCAN_DEBUG", "") not in {"", "0"},
    )


def read_job() -> dict[str, str]:
    """Which job this runs in; see `vulcan_cli.scheduling.job`. Empty outside of one."""
    return job_of(os.environ)


def spare_processors() -> None:
    """Let Polars have few threads in this process, unless the environment says how many.

    To be called before Polars is loaded. A worker shares its node with solvers, where an account
    may have only so many threads, and a shard is too small for more.
    """
    threads = min(WORKER_THREADS, len(os.sched_getaffinity(0)))
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))


def completion_request() -> str | None:
    """What a shell asks for, such as `complete_bash`; None where no shell asks."""
    return os.environ.get(COMPLETION_VARIABLE) or None


def completion_type() -> str:
    """What bash does with the words, as in its `COMP_TYPE`; empty where it does not say."""
    return os.environ.get("COMP_TYPE", "")
