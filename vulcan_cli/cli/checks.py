"""What `vulcan doctor` looks at: facts of the core become lines, each with its cure."""

from __future__ import annotations

import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from vulcan_cli.cli.explain import explain
from vulcan_cli.environment import find_token, read_endpoint, read_shell, read_xet_cache
from vulcan_cli.errors import OnlyProposals, StagingMissing, VulcanError
from vulcan_cli.quantities import format_duration, format_size
from vulcan_cli.settings import Settings, load_settings

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from vulcan_cli.hub.repo import Repo
    from vulcan_cli.mounts import Mount
    from vulcan_cli.staging.health import Health, Space

Verdict = Literal["ok", "warn", "fail"]

_OURS = "vulcan-cli"
_FOR_XET = "hf-xet"
_TRIAL = "import polars; polars.DataFrame({'a': [1]}).filter(polars.col('a') > 0)"
_SKEW_S = 30.0
_LITTLE_BYTES = 10 * 1000**3
_LITTLE = 0.05


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: What, in a word or two.
        verdict: How it is.
        text: What was found.
        cure: What to type, or do, where it is not well; else empty.
        exit_code: What the process ends with where it fails.
    """

    name: str
    verdict: Verdict
    text: str
    cure: str = ""
    exit_code: int = 4


def checks(*, staging_dir: Path | None, repo: list[str] | None, offline: bool) -> Iterator[Check]:
    """Look at everything, one thing after the other.

    Args:
        staging_dir: As typed.
        repo: As typed.
        offline: Ask nothing of the network.
    """
    yield _python()
    yield _packages()
    yield _polars()
    yield _completion()
    try:
        settings = load_settings(staging_dir=staging_dir, repo=repo)
    except VulcanError as error:
        yield _failed("settings", error)
        return
    yield _settings(settings)
    yield from _staging(settings)
    yield from _token(settings)
    for text in settings.repo:
        yield from _repo(text, settings, offline=offline)
    if not settings.repo:
        cure = "export VULCAN_REPO=owner/name"
        yield Check("repo", "warn", "none is set: enough to stage, not to sync", cure)


def _failed(name: str, error: VulcanError) -> Check:
    said = explain(error, "vulcan doctor", ("doctor",))
    return Check(name, "fail", said.sentence, ", then ".join(said.next), said.exit_code)


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} on {platform.system()}")


def _packages() -> Check:
    """Whether each package is there in a version that ours says it works with."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    found: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for needed in _requirements():
        name = needed.name
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if needed.marker is None:
                wrong[name] = f"{name} is not installed"
            continue
        if not needed.specifier.contains(found[name], prereleases=True):
            wanted = f"{name}{needed.specifier}"
            wrong[wanted] = f"{name} {found[name]} where {wanted} is needed"
    text = ", ".join(f"{name} {have}" for name, have in found.items())
    if wrong:
        cure = shlex.join(["python", "-m", "pip", "install", *wrong])
        return Check("packages", "warn", f"{', '.join(wrong.values())}; {text}", cure)
    return Check("packages", "ok", text)


def _requirements() -> list[Requirement]:
    """Our package, what it needs, and what its extras need: those have a marker."""
    from importlib.metadata import PackageNotFoundError, requires  # noqa: PLC0415

    from packaging.requirements import Requirement  # noqa: PLC0415

    needed: list[str] = []
    # A checkout that nobody installed says nothing of what it needs.
    with suppress(PackageNotFoundError):
        needed = requires(_OURS) or []
    return [Requirement(each) for each in (_OURS, *needed, _FOR_XET)]


def _polars() -> Check:
    """Whether Polars runs: where it does not, it may end the whole process, so a child tries it."""
    # -P: anybody may have put a polars.py into the working directory.
    done = subprocess.run(  # noqa: S603 (no word of it comes from outside)
        [sys.executable, "-P", "-c", _TRIAL], capture_output=True, text=True, check=False
    )
    if done.returncode == -signal.SIGILL:
        text = "ends by SIGILL: this processor is older than it is made for"
        return Check("polars", "fail", text, "python -m pip install 'polars[rtcompat]'")
    if done.returncode != 0:
        text = (done.stderr.splitlines() or [f"ends with {done.returncode}"])[-1]
        return Check("polars", "fail", text, "python -m pip install --force-reinstall polars")
    return Check("polars", "ok", "runs on this processor")


def _completion() -> Check:
    from vulcan_cli.cli.installing import SHELLS, is_installed  # noqa: PLC0415

    shell = read_shell()
    if shell.name not in SHELLS:
        return Check("completion", "ok", f"not for {shell.name or 'a shell that nobody names'}")
    if is_installed(shell):
        return Check("completion", "ok", f"installed for {shell.name}")
    cure = "vulcan --install-completion"
    return Check("completion", "warn", f"not installed for {shell.name}", cure)


def _settings(settings: Settings) -> Check:
    if settings.notices:
        return Check("settings", "warn", "; ".join(settings.notices), "vulcan help settings")
    files = ", ".join(map(str, settings.files)) or "no vulcan.toml"
    return Check("settings", "ok", files)


def _staging(settings: Settings) -> Iterator[Check]:
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415
    from vulcan_cli.staging.health import examine  # noqa: PLC0415

    try:
        root = settings.require_staging_dir()
        health = examine(StagingArea(root))
    except VulcanError as error:
        check = _failed("staging directory", error)
        if isinstance(error, StagingMissing):
            check = check._replace(cure=shlex.join(["vulcan", "init", str(error.root)]))
        yield check
        return
    yield _writable(root, health)
    if health.mount is not None:
        yield _mount(health.mount)
    yield from _abilities(health)
    yield _permissions(root, health)
    yield from _space(health.space)
    if health.skew_s is not None:
        yield _clock("clock of the files", health.skew_s)


def _writable(root: Path, health: Health) -> Check:
    name = "staging directory"
    if "pending" not in health.writable:
        cure = f"ask its owner for `{shlex.join(['vulcan', 'init', str(root)])} --group GROUP`"
        return Check(name, "fail", f"this account may not write to {root}/pending", cure)
    if health.elsewhere:
        names = ", ".join(map(str, health.elsewhere))
        cure = "make its folders one file system: shards are moved by their names"
        return Check(name, "fail", f"on another file system: {names}", cure, 6)
    what = "stage and sync" if len(health.writable) == 3 else "stage; another account syncs"
    return Check(name, "ok", f"{root}: this account can {what}")


def _mount(mount: Mount) -> Check:
    name = "file system"
    text = f"{mount.kind} of {mount.source} at {mount.point}"
    options = mount.options
    if "ro" in options:
        return Check(name, "fail", f"{text}, read-only", "mount it with rw", 6)
    if mount.is_memory:
        return Check(name, "warn", f"{text}: a reboot empties it", "choose a folder on a disk")
    if mount.kind.startswith("nfs") and options & {"nolock", "local_lock=all", "local_lock=posix"}:
        cure = "mount it without nolock and local_lock; the lease of sync still keeps nodes apart"
        return Check(name, "warn", f"{text}: locks of one node are unknown to others", cure)
    if mount.kind.startswith("nfs") and "soft" in options:
        cure = "mount it with hard"
        return Check(
            name, "warn", f"{text}: soft, so writes may fail when the server is slow", cure
        )
    if mount.kind == "lustre" and "flock" not in options:
        cure = "mount it with flock; the lease of sync still keeps nodes apart"
        return Check(name, "warn", f"{text}: no locks between nodes", cure)
    reach = "shared with other nodes" if mount.is_network else "of this node alone"
    return Check(name, "ok", f"{text}, {reach}")


def _abilities(health: Health) -> Iterator[Check]:
    if health.has_links is False:
        cure = "nothing to do: names are taken by renaming, which is as safe and slower"
        yield Check("hard links", "warn", "the file system has none", cure)
    elif health.has_links:
        yield Check("hard links", "ok", "work")
    if health.has_locks is False:
        cure = "nothing to do: the lease of sync keeps nodes apart"
        yield Check("locks", "warn", "the file system has none", cure)
    elif health.has_locks:
        yield Check("locks", "ok", "work")


def _permissions(root: Path, health: Health) -> Check:
    if health.wide:
        names = ", ".join(map(str, health.wide))
        cure = shlex.join(["vulcan", "init", str(root)])
        return Check("permissions", "warn", f"more accounts than needed may write to {names}", cure)
    return Check("permissions", "ok", "no wider than staging needs")


def _space(space: Space) -> Iterator[Check]:
    text = f"{format_size(space.free)} of {format_size(space.size)} free"
    if space.free == 0:
        yield Check("space", "fail", text, "vulcan trim-synced --older-than 30d", 6)
    elif space.free < min(_LITTLE * space.size, _LITTLE_BYTES):
        yield Check("space", "warn", text, "vulcan trim-synced --older-than 30d")
    else:
        yield Check("space", "ok", text)
    if not space.inodes:
        return
    text = f"{space.free_inodes:,} of {space.inodes:,} free"
    little = space.free_inodes < _LITTLE * space.inodes
    cure = "vulcan trim-synced --older-than 30d" if little else ""
    yield Check("inodes", "warn" if little else "ok", text, cure)


def _clock(name: str, skew_s: float) -> Check:
    if abs(skew_s) <= _SKEW_S:
        return Check(name, "ok", "the same as of this node")
    way = "ahead of" if skew_s > 0 else "behind"
    text = f"{format_duration(abs(skew_s))} {way} that of this node"
    return Check(name, "warn", text, "let NTP or chrony set the clock of each node")


def _token(settings: Settings) -> Iterator[Check]:
    from vulcan_cli.hub.open import is_directory  # noqa: PLC0415

    if settings.repo and all(map(is_directory, settings.repo)):
        yield Check("token", "ok", "not needed for a folder")
        return
    try:
        secret = find_token()
    except VulcanError as error:
        yield _failed("token", error)
        return
    if secret is None:
        text = "none: enough to stage, and to read public repos"
        yield Check("token", "warn", text, "hf auth login")
    else:
        yield Check("token", "ok", f"from {secret.origin}")


def _repo(text: str, settings: Settings, *, offline: bool) -> Iterator[Check]:
    """Ask a repo what can be asked without a commit."""
    from vulcan_cli.cli.repos import check_place  # noqa: PLC0415
    from vulcan_cli.hub.open import (  # noqa: PLC0415
        Login,
        is_directory,
        key_without_client,
        open_repo,
    )

    name = f"repo {text}"
    is_folder = is_directory(text)
    try:
        # A name that cannot be needs no network to be told.
        key_without_client(text)
        check_place(text, settings)
        if offline and not is_folder:
            yield Check(name, "ok", "not asked: --offline")
            return
        secret = None if is_folder else find_token()
        token = None if secret is None else secret.reveal()
        repo = open_repo(text, Login(token=token, endpoint=read_endpoint()))
        if not is_folder:
            yield from _account(repo, has_token=token is not None)
        head = repo.head()
    except VulcanError as error:
        yield _failed(name, error)
        return
    if is_folder or token is not None:
        yield _written_to(repo, name, text, f"at commit {head[:8]}")
    else:
        found = f"can be read, at commit {head[:8]}; not written"
        yield Check(name, "warn", found, "hf auth login")


def _written_to(repo: Repo, name: str, text: str, head: str) -> Check:
    """Whether a repo that can be read takes commits."""
    try:
        repo.preflight()
    except OnlyProposals:
        found = f"can be read, {head}; takes only pull requests of this token"
        cure = shlex.join(["vulcan", "sync", "--create-pr", "--repo", text])
        return Check(name, "warn", found, cure)
    except VulcanError as error:
        return _failed(name, error)
    return Check(name, "ok", f"can be read and written, {head}")


def _account(repo: object, *, has_token: bool) -> Iterator[Check]:
    from vulcan_cli.hub.huggingface import HubRepo  # noqa: PLC0415

    assert isinstance(repo, HubRepo)
    before = time.time()
    account = repo.account()
    if has_token:
        role = account.role or "unknown"
        yield Check("account", "ok", f"{account.name}, role of the token: {role}")
    if account.time is not None:
        yield _clock("clock of the Hub", account.time - (before + time.time()) / 2)
    yield _xet()


def _xet() -> Check:
    from vulcan_cli.mounts import mount_of  # noqa: PLC0415

    folder = read_xet_cache()
    mount = mount_of(folder)
    if mount is not None and mount.is_network:
        cure = "export HF_XET_CACHE=/tmp/xet-$USER"
        return Check("xet cache", "warn", f"{folder} is on {mount.kind}, not on a disk here", cure)
    return Check("xet cache", "ok", f"{folder}, on a disk of this node")
