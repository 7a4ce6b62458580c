"""`vulcan.toml`: finding it, deciding whether it may be trusted, and reading it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.errors import DiskTrouble, NotSetUp, TokenInSettings, UsageError
from vulcan_cli.files.folder import Folder
from vulcan_cli.vacua.secrets import looks_secret

FILE_NAME = "vulcan.toml"

_LIMIT = 1 << 20


class SettingsFile(NamedTuple):
    """A settings file that was read.

    Attributes:
        path: Where it stands.
        values: Its keys and values, as TOML types.
    """

    path: Path
    values: Mapping[str, object]


class Found(NamedTuple):
    """The settings files that count, and what a person should know of others.

    Attributes:
        files: The one here or above, then the user's own; those that are there.
        notices: One sentence for each file that was ignored.
    """

    files: tuple[SettingsFile, ...]
    notices: tuple[str, ...]


def find_files(cwd: Path | None, environ: Mapping[str, str]) -> Found:
    """Read `vulcan.toml` here or above, and the user's own.

    Args:
        cwd: The working directory; None where it is gone.
        environ: Names the user's configuration folder.

    Raises:
        NotSetUp: A trusted file is no TOML, or holds what looks like a token.
    """
    notices: list[str] = []
    nearest = (path for path in _here_or_above(cwd))
    users = iter([user_file(environ)])
    files = [_first(nearest, notices), _first(users, notices)]
    return Found(tuple(file for file in files if file is not None), tuple(notices))


def _here_or_above(cwd: Path | None) -> Iterator[Path]:
    if cwd is not None:
        for folder in (cwd, *cwd.parents):
            yield folder / FILE_NAME


def user_file(environ: Mapping[str, str]) -> Path:
    """`$XDG_CONFIG_HOME/vulcan/vulcan.toml`; a relative value there counts as none, by XDG."""
    folder = Path(environ.get("XDG_CONFIG_HOME") or "")
    if not folder.is_absolute():
        folder = Path(environ.get("HOME") or Path.home()) / ".config"
    return folder / "vulcan" / FILE_NAME


def _first(paths: Iterator[Path], notices: list[str]) -> SettingsFile | None:
    """The first file that is there and may be trusted."""
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            notices.append(f"{path} is ignored: {error.strerror}")
            continue
        with os.fdopen(fd, "rb") as file:
            why = _distrust(path, fd)
            if why is None:
                return SettingsFile(path, _parse(path, file.read(_LIMIT + 1)))
        notices.append(f"{path} is ignored: {why}")
    return None


def _distrust(path: Path, fd: int) -> str | None:
    """Why a settings file must not be obeyed; None where only its owner can have written it."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file"
    folders = {path.parent, path.resolve().parent}
    for what, found in (("it", status), *(("its folder", folder.stat()) for folder in folders)):
        if why := _not_mine(what, found):
            return why
    return None


def _not_mine(what: str, found: os.stat_result) -> str | None:
    if found.st_uid not in {os.geteuid(), 0}:
        return f"{what} belongs to another account"
    return f"others can write to {what}" if others_can_write(found) else None


def write_new(path: Path, text: str) -> None:
    """Make a settings file, durably, where there is none; only its owner may write to it.

    Raises:
        UsageError: Something stands there already.
        NotSetUp: The file would not be trusted there.
        DiskTrouble: It cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Folder.open(path.parent) as folder:
            if why := _not_mine("its folder", os.fstat(folder.fd)):
                raise NotSetUp(FILE_NAME, f"{path} would be ignored: {why}")
            if not folder.create(path.name, text.encode()):
                raise UsageError(f"{path} is there already, and was left as it is")
    except OSError as error:
        raise DiskTrouble(path, error) from error


def others_can_write(status: os.stat_result) -> bool:
    """Whether an account other than the owner and root may write to a file or folder.

    A group that is the owner's alone (as Debian makes one for each user) does not count.
    """
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_private_group(status)


def _is_private_group(status: os.stat_result) -> bool:
    import grp  # noqa: PLC0415 - seldom needed, and slow where accounts live on the network
    import pwd  # noqa: PLC0415

    try:
        user = pwd.getpwuid(status.st_uid).pw_name
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return group.gr_name == user and set(group.gr_mem) <= {user}


def _parse(path: Path, data: bytes) -> dict[str, object]:
    import tomllib  # noqa: PLC0415 - most runs find no file

    if len(data) > _LIMIT:
        raise NotSetUp(FILE_NAME, f"{path} is larger than {_LIMIT} bytes")
    try:
        text = data.decode("utf-8")
        _refuse_secrets(path, text)
        return tomllib.loads(text)
    except ValueError as error:
        if isinstance(error, NotSetUp):
            raise
        raise NotSetUp(FILE_NAME, f"{path} is no TOML: {error}") from error
    except RecursionError:
        raise NotSetUp(FILE_NAME, f"{path} is no TOML: it is nested too deep") from None


def _refuse_secrets(path: Path, text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if looks_secret(line):
            message = f"{path}, line {number} holds what looks like a token; no file of ours may"
            raise TokenInSettings(path, message)
