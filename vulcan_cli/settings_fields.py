"""Each setting: its name, its default, how a value of it is read, and its line in `vulcan.toml`.

Also the list of all variables and files that are read, for people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.credentials import Secret
from vulcan_cli.quantities import parse_duration
from vulcan_cli.scheduling.job import DESCRIBED
from vulcan_cli.vacua.run_id import DEFAULT_TEMPLATE, template_names

PREFIXES = ("VULCAN_", "STRINGFORGE_VULCAN_")
"""What the names of our variables and of the peer's begin with; ours win."""


def shown(value: object) -> str:
    """A value of a setting as people read it, on one line."""
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else " ".join(str(value).splitlines())


class Field(NamedTuple):
    """A setting.

    Attributes:
        name: Its key in `vulcan.toml`; `VULCAN_` and this in capitals is its variable.
        default: Its value where nobody says otherwise.
        read: From a text or a TOML value, and the folder that relative paths count from, to the
            value; raises ValueError saying what it should be.
        help: One line for people.
        example: How a value is written in `vulcan.toml`, where there is no default to show.
    """

    name: str
    default: object
    read: Callable[[object, Path], object]
    help: str
    example: str = ""

    @property
    def option(self) -> str:
        """Its option on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def described(self) -> str:
        """Its line for people, with the default where there is one."""
        is_set = self.default not in (None, (), "")
        return f"{self.help}; default: {shown(self.default)}" if is_set else self.help

    @property
    def variable(self) -> str:
        """Its variable in the environment."""
        return PREFIXES[0] + self.name.upper()


def _text(raw: object, _: Path) -> str:
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError("it must be one line of text")
    return raw


def _lines(raw: object, _: Path) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("it must be text")
    return raw


def _yes_or_no(raw: object, _: Path) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    found = words.get(str(raw).strip().lower())
    if found is None:
        raise ValueError("it must be true or false")
    return found


def _template(raw: object, base: Path) -> str:
    template = _text(raw, base)
    template_names(template)
    return template


def _folder(raw: object, base: Path) -> Path:
    if not isinstance(raw, str | Path) or not str(raw) or "\0" in str(raw):
        raise ValueError("it must be a folder")
    try:
        return base / Path(raw).expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _repos(raw: object, base: Path) -> tuple[str, ...]:
    if isinstance(raw, str):
        raw = [part.strip() for part in raw.split(",")]
    if not isinstance(raw, list | tuple) or not raw or not all(isinstance(r, str) for r in raw):
        raise ValueError("it must be a repo, or a list of repos")
    if not all(raw):
        raise ValueError("a repo is empty")
    return tuple(_repo(repo, base) for repo in raw)


def _repo(repo: str, base: Path) -> str:
    """A repo as it was written; a folder in a file counts from that file's folder."""
    relative = repo in {".", ".."} or repo.startswith(("./", "../"))
    return str(base.absolute() / repo) if relative and base != Path() else repo


def _whole(least: int) -> Callable[[object, Path], int]:
    def read(raw: object, _: Path) -> int:
        text = str(raw).strip()
        if isinstance(raw, bool | float) or not text.isascii() or not text.isdigit():
            raise ValueError(f"it must be a whole number of at least {least}")
        value = int(text) if len(text) < 19 else 10**18
        if not least <= value < 10**18:
            raise ValueError(f"it must be a whole number of at least {least}")
        return value

    return read


def _seconds(raw: object, _: Path) -> float:
    seconds = parse_duration(str(raw))
    if not 0 < seconds < 1e9:
        raise ValueError("it must be longer than 0 s")
    return seconds


def _address(raw: object, base: Path) -> Secret:
    """An address that whoever knows it can use: it is never shown."""
    text = _text(raw, base)
    if not text.startswith(("http://", "https://")) or " " in text:
        raise ValueError("it must begin with https:// or http://")
    return Secret(text, "healthcheck_url")


FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field("staging_dir", None, _folder, "the staging directory", '"/shared/vulcan"'),
        Field(
            "repo",
            (),
            _repos,
            "the repo: owner/name, file:///folder or ./folder; or several, separated by commas",
            '"owner/name"',
        ),
        Field("project", "", _text, "what {project} stands for in run ids", '"landscape"'),
        Field("template", DEFAULT_TEMPLATE, _template, "the run-id template"),
        Field("budget", 90, _whole(1), "commits in one window, for each repo"),
        Field("window_s", 3600.0, _seconds, "that window, in seconds or as 1h"),
        Field("max_batch", 500, _whole(1), "shards in one commit"),
        Field("max_retries", 3, _whole(0), "how often a commit is tried again"),
        Field("commit_prefix", "vulcan: forge", _text, "what commit messages begin with"),
        Field("card", default=True, read=_yes_or_no, help="whether sync keeps the dataset card"),
        Field("license", None, _text, "the licence of the dataset, for its card", '"cc-by-4.0"'),
        Field("citation", None, _lines, "how to cite the dataset, for its card", '"Us (2026)"'),
        Field(
            "healthcheck_url",
            None,
            _address,
            "what sync pings at its start (/start), when done, and where it fails (/fail)",
            '"https://hc-ping.com/UUID"',
        ),
    )
}
"""All settings by name, in the order people read them."""

WORKER_THREADS = 4
"""So many threads Polars has at most in a worker, where nobody says otherwise."""

ENVIRONMENT: tuple[tuple[str, str], ...] = (
    *((field.variable, field.described) for field in FIELDS.values()),
    ("STRINGFORGE_VULCAN_*", "the same, as stringforge.vulcan names them; VULCAN_* wins"),
    ("VULCAN_TOKEN", "the token for the Hub; then STRINGFORGE_VULCAN_TOKEN"),
    ("VULCAN_TOKEN_FILE", "a file that holds the token, of mode 0600"),
    ("HF_TOKEN", "the token where none of these is set; then what `hf auth login` stored"),
    ("HF_ENDPOINT", "another Hub than https://huggingface.co"),
    ("HF_*, *_PROXY, SSL_CERT_*", "as the Hub's client takes them, such as HF_HOME, HTTPS_PROXY"),
    (DESCRIBED, "which job a worker runs in, for the provenance of what it stages"),
    ("VULCAN_DEBUG", "1 shows the traceback of an error"),
    (
        "POLARS_MAX_THREADS",
        f"how many threads Polars has; where it is not set, {WORKER_THREADS} at most in `stage`",
    ),
    ("NO_COLOR", "no colour"),
    ("XDG_CONFIG_HOME", "where the user's own settings file stands, in vulcan/vulcan.toml"),
)
"""The variables that vulcan reads, with one line for people."""

FILES: tuple[tuple[str, str], ...] = (
    ("vulcan.toml", "settings, in the working directory or the nearest folder above"),
    ("~/.config/vulcan/vulcan.toml", "the user's own settings"),
)
"""Every file that settings come from, with one line for people."""


def written(values: Mapping[str, object]) -> str:
    """A `vulcan.toml` in which every setting is explained.

    Args:
        values: What it sets, by name; all other lines are comments that show the default.
    """
    return "\n".join([*_HEAD, *(_entry(field, values) for field in FIELDS.values())])


_HEAD = (
    "# Settings of vulcan; take the # away from a line to make it count.",
    "# Options and the environment win over this file: `vulcan config` shows what counts.",
    "# No token belongs here.",
    "",
)


def _entry(field: Field, values: Mapping[str, object]) -> str:
    is_set = field.name in values
    value = _toml(values[field.name]) if is_set else field.example or _toml(field.default)
    line = f"{field.name} = {value}"
    text = field.help[:1].upper() + field.help[1:]
    return f"# {text}. [{field.variable}]\n{line if is_set else '# ' + line}\n"


def _toml(value: object) -> str:
    """A value as TOML, whose strings are written as JSON's are."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        items = [str(item) for item in value]
        return _quoted(items[0] if len(items) == 1 else items)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else _quoted(str(value))


def _quoted(value: str | list[str]) -> str:
    # JSON leaves one control character as it is, which TOML refuses.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
