"""`vulcan schedule`: a timer that syncs again and again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.scheduling import Interval, UnitsDir
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.suggest import did_you_mean, one_of
from vulcan_cli.cli.tree import Example
from vulcan_cli.environment import holds_token, proxies_held_back, read_shell
from vulcan_cli.errors import UsageError
from vulcan_cli.settings import Settings, carried, settings_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vulcan_cli.scheduling.timers import Run

EXAMPLES = (
    Example(
        "Into your crontab, on a node with network",
        "(crontab -l; vulcan schedule cron) | crontab -",
    ),
    Example(
        "For systemd, every five minutes",
        "vulcan schedule systemd --every 5m --out-dir ~/.config/systemd/user",
    ),
    Example("For Slurm", "vulcan schedule scrontab"),
)
EXIT_CODES = (4, 6)

_KINDS = {
    "cron": "a line for your crontab",
    "systemd": "a service and a timer of your own manager",
    "scrontab": "a line for Slurm's scrontab, which may land on a node without network",
}
_CARRIED = (
    "staging_dir",
    "repo",
    "budget",
    "window_s",
    "max_batch",
    "max_retries",
    "commit_prefix",
    "card",
    "license",
)
_NOT_CARRIED = ("citation", "healthcheck_url")
_USER_UNITS = "~/.config/systemd/user"

Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND", help="cron, systemd or scrontab.", autocompletion=one_of(_KINDS)
    ),
]


def schedule(
    kind: Kind,
    *,
    every: Interval = "15m",
    out_dir: UnitsDir = None,
    staging_dir: StagingDir = None,
    repo: Repos = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print a timer that runs sync with the settings that count here.

    Paths in it are absolute, and every setting that is not the default stands in it, with the
    proxies and certificates of this shell, so that it works from anywhere on this machine. No
    secret does: a token comes from `hf auth login`, or from the file that VULCAN_TOKEN_FILE names,
    and a healthcheck_url from ~/.config/vulcan/vulcan.toml.
    """
    from vulcan_cli.scheduling import timers  # noqa: PLC0415

    out = Output(quiet=quiet, verbose=verbose)
    if kind not in _KINDS:
        meant = did_you_mean(kind, _KINDS)
        raise UsageError(f"vulcan schedule does {', '.join(_KINDS)}, not {kind!r}{meant}")
    if out_dir is not None and kind != "systemd":
        raise UsageError("--out-dir goes with vulcan schedule systemd")
    settings = configured(out, staging_dir=staging_dir, repo=repo)
    settings.require_staging_dir()
    settings.require_repo()
    run = timers.Run(
        command=(*timers.executable(Path(sys.executable)), "sync", "--quiet"),
        environment=carried(settings, _CARRIED),
        every_s=timers.parse_interval(every),
    )
    timers.check(run)
    _tell_secrets(settings, out)
    if kind == "systemd":
        _systemd(run, out_dir, out)
    else:
        out.lines((timers.cron if kind == "cron" else timers.scrontab)(run).splitlines())


def _systemd(run: Run, folder: Path | None, out: Output) -> None:
    from vulcan_cli.scheduling import timers  # noqa: PLC0415

    units = timers.systemd(run)
    if folder is None:
        out.lines(timers.both(units, _USER_UNITS).splitlines())
        return
    paths = _written(folder.expanduser(), units)
    out.lines(map(str, paths))
    for command in (*_link(paths), *timers.ENABLE):
        out.say(f"next: {command}")


def _link(paths: Sequence[Path]) -> list[str]:
    """What shows units to systemd, where they do not stand among those of this user."""
    shell = read_shell()
    known = [(base / "systemd/user").resolve() for base in (shell.config, shell.data)]
    if paths[0].parent.resolve() in known:
        return []
    return [shlex.join(["systemctl", "--user", "link", *(str(path.resolve()) for path in paths)])]


def _written(folder: Path, units: Mapping[str, str]) -> list[Path]:
    from vulcan_cli.files.paths import replace_durably  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in units.items():
        replace_durably(folder / name, text.encode())
    return [folder / name for name in units]


def _tell_secrets(settings: Settings, out: Output) -> None:
    """Say what is not in it, and where it belongs."""
    variable = holds_token()
    if variable is not None:
        out.warn(
            f"the token in {variable} is not written down: put it into a file of mode 0600 and "
            "export VULCAN_TOKEN_FILE, or run hf auth login"
        )
    for name in proxies_held_back():
        out.warn(
            f"{name} is not written down, as it may hold a password: set it where the timer runs"
        )
    found_anywhere = str(settings_path(of_user=True))
    for name in _NOT_CARRIED:
        origin = settings.origins[name]
        if origin.kind != "default" and origin.name != found_anywhere:
            out.warn(
                f"{name} is not written down: put it into the file that "
                "vulcan config init --user makes"
            )
