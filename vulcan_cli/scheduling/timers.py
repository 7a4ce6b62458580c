"""Units that run `vulcan sync` again and again: cron, systemd, Slurm's scrontab."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.errors import UsageError
from vulcan_cli.quantities import format_duration, parse_duration

MINUTE, HOUR, DAY = 60, 3600, 86400

UNIT = "vulcan-sync"
"""What systemd and Slurm call it."""

ENABLE = (
    f"systemctl --user daemon-reload && systemctl --user enable --now {UNIT}.timer",
    "loginctl enable-linger  # it runs while you are logged out too",
)
"""What starts the units that `systemd` gives, and keeps them running."""


class Run(NamedTuple):
    """A command to run again and again.

    Attributes:
        command: Its words; the first is an absolute path.
        environment: The variables it needs.
        every_s: How often, in seconds.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    every_s: float


def parse_interval(every: str) -> float:
    """Seconds from one sync to the next, as `--every` has them.

    Raises:
        UsageError: It is no duration, or less than a minute.
    """
    seconds = parse_duration(every)
    if seconds < MINUTE:
        raise UsageError("--every is at least 1m: a sync takes a slot of the commit budget")
    return seconds


def check(run: Run) -> None:
    """Refuse what no line of a timer can hold.

    Raises:
        UsageError: A variable holds a line break.
    """
    for name, value in run.environment.items():
        if re.search(r"[\r\n]", value):
            raise UsageError(f"a timer is made of lines: {name} must not hold a line break")


def cron(run: Run) -> str:
    """A crontab entry with two comments above it.

    Raises:
        UsageError: Cron has no such interval.
    """
    return (
        "# Add it to yours: (crontab -l; vulcan schedule cron) | crontab -\n"
        "# What it prints, cron mails: sync --quiet prints warnings and errors only.\n"
        # In a crontab, a bare % begins the standard input of the command.
        f"{_when(run.every_s)} {_shell(run).replace('%', chr(92) + '%')}\n"
    )


def scrontab(run: Run) -> str:
    """Entries for Slurm's scrontab.

    Raises:
        UsageError: Cron has no such interval, or a value holds a percent sign.
    """
    line = _shell(run)
    if "%" in line:
        raise UsageError("Slurm's scrontab has no way to write a % in a command")
    return (
        "# Add it to yours: (scrontab -l; vulcan schedule scrontab) | scrontab -\n"
        "# It may land on a node without network: then every run ends with 5 and nothing is lost.\n"
        "# Ask for a partition that reaches the Hub, or use cron on a login node instead:\n"
        "##SCRON --partition=PARTITION\n"
        f"#SCRON --job-name={UNIT}\n"
        "#SCRON --cpus-per-task=1 --mem=1G\n"
        "#SCRON --time=01:00:00\n"
        f"{_when(run.every_s)} {line}\n"
    )


def systemd(run: Run) -> dict[str, str]:
    """A service and its timer, by file name, for the user's own manager."""
    environment = "".join(
        f'Environment="{name}={_systemd(value, dollar=False)}"\n'
        for name, value in run.environment.items()
    )
    command = " ".join(f'"{_systemd(word)}"' for word in run.command)
    service = (
        "[Unit]\n"
        "Description=Commit staged shards with vulcan\n\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"{environment}"
        f"ExecStart={command}\n"
        "# Another sync was at work: nothing is wrong.\n"
        "SuccessExitStatus=7\n"
        "# SIGTERM ends it after the batch in flight.\n"
        "TimeoutStopSec=10min\n"
        "Nice=10\n"
    )
    timer = (
        "[Unit]\n"
        f"Description=Commit staged shards every {_interval(run.every_s)}\n\n"
        "[Timer]\n"
        "OnActiveSec=10s\n"
        f"OnUnitInactiveSec={run.every_s:g}s\n"
        "RandomizedDelaySec=30s\n\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )
    return {f"{UNIT}.service": service, f"{UNIT}.timer": timer}


def both(files: Mapping[str, str], folder: str) -> str:
    """Units as one text, each below its path and how to start them."""
    then = "".join(f"#   {command}\n" for command in ENABLE)
    head = f"# Two files; --out-dir writes them. Then:\n{then}"
    return head + "".join(f"\n# {folder}/{name}\n{text}" for name, text in files.items())


def executable(python: Path) -> tuple[str, ...]:
    """The words that run vulcan from anywhere, by the Python that runs it now."""
    beside = python.parent / "vulcan"
    return (str(beside),) if beside.is_file() else (str(python), "-m", "vulcan_cli")


def _shell(run: Run) -> str:
    assigned = [f"{name}={value}" for name, value in run.environment.items()]
    return shlex.join(_with_env(assigned, run.command))


def _with_env(assigned: Sequence[str], command: Sequence[str]) -> list[str]:
    return ["/usr/bin/env", *assigned, *command] if assigned else list(command)


def _when(every_s: float) -> str:
    """The five fields of a crontab."""
    minutes, rest = divmod(every_s, MINUTE)
    if not rest and minutes < 60 and minutes and 60 % minutes == 0:
        return f"*/{minutes:g} * * * *" if minutes > 1 else "* * * * *"
    hours, rest = divmod(every_s, HOUR)
    if not rest and hours < 24 and hours and 24 % hours == 0:
        return f"0 */{hours:g} * * *" if hours > 1 else "0 * * * *"
    if every_s == DAY:
        return "0 0 * * *"
    raise UsageError(
        f"cron knows no {_interval(every_s)}: minutes that divide 60, hours that divide 24, "
        "and 1d; systemd takes any"
    )


def _interval(every_s: float) -> str:
    """An interval as people write it, without rounding."""
    text = format_duration(every_s)
    return text if parse_duration(text) == every_s else f"{every_s:g}s"


def _systemd(text: str, *, dollar: bool = True) -> str:
    """Text between the double quotes of a unit file (systemd.service, "Command lines")."""
    for mark, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%")):
        text = text.replace(mark, written)
    return text.replace("$", "$$") if dollar else text
