"""Settings: what counts, and where each value comes from. The only reader of the environment.

An option wins over `VULCAN_*`, over `STRINGFORGE_VULCAN_*`, over `vulcan.toml` here or above, over
the user's own `vulcan.toml`, over the default.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from vulcan_cli import credentials
from vulcan_cli.credentials import Secret
from vulcan_cli.errors import NotSetUp, TokenInSettings, UsageError
from vulcan_cli.scheduling.job import job_of
from vulcan_cli.settings_fields import ENVIRONMENT, FIELDS, PREFIXES, WORKER_THREADS, Field
from vulcan_cli.settings_file import FILE_NAME, Found, SettingsFile, find_files, user_file
from vulcan_cli.vacua.secrets import looks_secret

_options_alone = ContextVar("options_alone", default=False)

Kind = Literal["option", "environment", "file", "default"]


class Origin(NamedTuple):
    """Where a value comes from.

    Attributes:
        kind: What sort of place that is.
        name: The option, the variable, or the file; `default`.
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        return self.name


class Settings(NamedTuple):
    """The settings that count.

    Attributes:
        staging_dir: The staging directory, or None.
        repo: Repos, the main one first; empty where none is set.
        main_repo: The one that the peer commits to from here, whose commits its budget file counts:
            the first of the environment or the files, whatever an option says for this run; else
            the first that was given. None where no repo is set.
        project: What `{project}` stands for in run ids.
        template: The run-id template.
        budget: Commit requests per window and repo.
        window_s: That window, seconds.
        max_batch: Shards in one commit.
        max_retries: How often a commit is tried again.
        commit_prefix: What commit messages begin with.
        card: Whether `sync` keeps the dataset card of the repo.
        license: The licence of the dataset, an identifier of the Hub; None says nothing.
        citation: How to cite the dataset, as text; None says nothing.
        healthcheck_url: What a sync pings, or None.
        origins: For each of these names where its value comes from.
        files: The settings files that were read, the one that wins first.
        notices: What a person should know: one sentence each.
    """

    staging_dir: Path | None
    repo: tuple[str, ...]
    project: str
    template: str
    budget: int
    window_s: float
    max_batch: int
    max_retries: int
    commit_prefix: str
    card: bool
    license: str | None
    citation: str | None
    healthcheck_url: Secret | None
    origins: Mapping[str, Origin]
    files: tuple[Path, ...] = ()
    main_repo: str | None = None
    notices: tuple[str, ...] = ()

    def require_staging_dir(self) -> Path:
        """The staging directory.

        Raises:
            NotSetUp: None is set.
        """
        if self.staging_dir is None:
            raise NotSetUp("staging_dir", "no staging directory is set")
        return self.staging_dir

    def require_repo(self) -> str:
        """The main repo.

        Raises:
            NotSetUp: None is set.
        """
        if not self.repo:
            raise NotSetUp("repo", "no repo is set")
        return self.repo[0]


def load_settings(
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    *,
    needed: Collection[str] = FIELDS,
    **options: object,
) -> Settings:
    """Find out which settings count.

    Args:
        environ: The environment; this process's own where none is given.
        cwd: Where the search for `vulcan.toml` begins; the working directory where none is given.
        needed: The names of the settings that will be looked at; others keep their defaults,
            whatever is set.
        options: What the person gave on the command line, by the names in `FIELDS`; None and an
            empty sequence count as not given.

    Raises:
        UsageError: An option has a value that cannot be.
        NotSetUp: A variable or a file has one, or a file holds an unknown key or a token.
    """
    environ = os.environ if environ is None else environ
    if unknown := options.keys() - FIELDS.keys():
        raise TypeError(f"no such settings: {sorted(unknown)}")
    found = Found((), ())
    if _options_alone.get():
        environ = {}
    else:
        found = find_files(_working_directory() if cwd is None else cwd, environ)
    for file in found.files:
        _refuse_unknown(file)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for field in FIELDS.values():
        is_needed = field.name in needed
        candidates = (
            _candidates(field, options, environ, found.files) if is_needed else _usual(field)
        )
        values[field.name], origins[field.name] = next(candidates)
    notices = (*found.notices, *_misspelt_variables(environ))
    main_repo = _main_repo(values["repo"], environ, found.files) if "repo" in needed else None
    files = tuple(file.path for file in found.files)
    return Settings(**values, origins=origins, main_repo=main_repo, files=files, notices=notices)


@contextmanager
def options_alone() -> Iterator[None]:
    """Let only options and defaults count, whatever is set on this machine: for the demo."""
    before = _options_alone.set(True)
    try:
        yield
    finally:
        _options_alone.reset(before)


def settings_path(environ: Mapping[str, str] | None = None, *, of_user: bool = False) -> Path:
    """Where the settings file of the working directory stands, or that of the user."""
    environ = os.environ if environ is None else environ
    return user_file(environ) if of_user else Path.cwd() / FILE_NAME


def find_token(environ: Mapping[str, str] | None = None) -> Secret | None:
    """The token for the Hub, or None; see `vulcan_cli.credentials.find_token`."""
    return credentials.find_token(os.environ if environ is None else environ)


def read_endpoint(environ: Mapping[str, str] | None = None) -> str | None:
    """Another Hub than the public one, as its client takes it from `HF_ENDPOINT`; or None."""
    return (os.environ if environ is None else environ).get("HF_ENDPOINT", "").rstrip("/") or None


def read_xet_cache(environ: Mapping[str, str] | None = None) -> Path:
    """Where the Hub's client keeps pieces of content; they belong on a disk of this node."""
    return credentials.xet_cache(os.environ if environ is None else environ)


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
    environ = os.environ if environ is None else environ
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
    environ = os.environ if environ is None else environ
    dumb = environ.get("TERM") == "dumb"
    return Display(
        color=not environ.get("NO_COLOR") and not dumb,
        motion=not dumb,
        debug=environ.get("VULCAN_DEBUG", "") not in {"", "0"},
    )


def read_job(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Which job this runs in; see `vulcan_cli.scheduling.job`. Empty outside of one."""
    return job_of(os.environ if environ is None else environ)


def spare_processors() -> None:
    """Let Polars have few threads in this process, unless the environment says how many.

    To be called before Polars is loaded. A worker shares its node with solvers, where an account
    may have only so many threads, and a shard is too small for more.
    """
    threads = min(WORKER_THREADS, len(os.sched_getaffinity(0)))
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))


def carried(
    settings: Settings, names: Iterable[str], environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Variables that make vulcan find the same settings from anywhere else on this machine.

    Args:
        settings: The settings that count here.
        names: Those to carry over, where they are not the default; secrets never are.
        environ: The environment; what leads to the token comes from there, not the token.
    """
    environ = os.environ if environ is None else environ
    variables = {}
    for name in names:
        value = getattr(settings, name)
        if settings.origins[name].kind != "default" and not isinstance(value, Secret):
            variables[FIELDS[name].variable] = _from_anywhere(value)
    if "repo" in names:
        paths = {name: Path(environ[name]) for name in _PATHS if environ.get(name)}
        paths |= {
            name: credentials.at_home(environ, environ[name])
            for name in _HUB_PATHS
            if environ.get(name)
        }
        endpoint = read_endpoint(environ)
        variables |= {name: str(path.absolute()) for name, path in paths.items()}
        variables |= {name: environ[name] for name in _WAYS if environ.get(name)}
        for name in proxies_held_back(environ):
            del variables[name]
        variables |= {} if endpoint is None else {"HF_ENDPOINT": endpoint}
    return variables


def proxies_held_back(environ: Mapping[str, str] | None = None) -> list[str]:
    """Variables whose proxy may hold a password, and so must not be written down."""
    environ = os.environ if environ is None else environ
    return [name for name in _PROXIES if "@" in environ.get(name, "")]


def holds_token(environ: Mapping[str, str] | None = None) -> str | None:
    """The variable that holds the token itself, and so must not be written down; or None."""
    place = token_place(environ)
    return place if isinstance(place, str) else None


def token_place(environ: Mapping[str, str] | None = None) -> str | Path | None:
    """The variable that holds the token, or the file that `VULCAN_TOKEN_FILE` names.

    None where it comes from `hf auth login`, or from nowhere.
    """
    environ = os.environ if environ is None else environ
    found = credentials.find_token(environ)
    if found is None:
        return None
    if found.origin in environ:
        return found.origin
    is_named = found.origin == environ.get("VULCAN_TOKEN_FILE")
    return Path(found.origin) if is_named else None


def _from_anywhere(value: object) -> str:
    """A setting as text that means the same in every folder."""
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return ",".join(_from_anywhere(each) for each in value)
    text = str(value)
    is_relative = text in {".", ".."} or text.startswith(("./", "../"))
    return os.path.abspath(text) if is_relative else text  # noqa: PTH100 (drops the ..)


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


def completion_request(environ: Mapping[str, str] | None = None) -> str | None:
    """What a shell asks for, such as `complete_bash`; None where no shell asks."""
    return (os.environ if environ is None else environ).get(COMPLETION_VARIABLE) or None


def completion_type(environ: Mapping[str, str] | None = None) -> str:
    """What bash does with the words, as in its `COMP_TYPE`; empty where it does not say."""
    return (os.environ if environ is None else environ).get("COMP_TYPE", "")


def _candidates(
    field: Field,
    options: Mapping[str, object],
    environ: Mapping[str, str],
    files: tuple[SettingsFile, ...],
) -> Iterator[tuple[object, Origin]]:
    """The values of a setting, the one that counts first."""
    given = options.get(field.name)
    if given is not None and given not in ([], ()):
        yield _read(field, given, Path(), Origin("option", field.option))
    for prefix in PREFIXES:
        variable = prefix + field.name.upper()
        if environ.get(variable):
            origin = Origin("environment", variable)
            yield _read(field, environ[variable], Path(), origin)
    for file in files:
        if field.name in file.values:
            origin = Origin("file", str(file.path))
            yield _read(field, file.values[field.name], file.path.parent, origin)
    yield from _usual(field)


def _usual(field: Field) -> Iterator[tuple[object, Origin]]:
    yield field.default, Origin("default", "default")


def _main_repo(
    given: Sequence[str], environ: Mapping[str, str], files: tuple[SettingsFile, ...]
) -> str | None:
    """See `Settings.main_repo`."""
    lasting = cast("Sequence[str]", next(_candidates(FIELDS["repo"], {}, environ, files))[0])
    return next(iter((*lasting, *given)), None)


def _read(field: Field, raw: object, base: Path, origin: Origin) -> tuple[object, Origin]:
    if looks_secret(str(raw)):
        raise _wrong(field, origin, "it looks like a token")
    try:
        return field.read(raw, base), origin
    except ValueError as error:
        raise _wrong(field, origin, str(error)) from error


def _wrong(field: Field, origin: Origin, why: str) -> UsageError | NotSetUp:
    if origin.kind == "option":
        return UsageError(f"{origin.name}: {why}")
    where = f"{origin.name}, {field.name}" if origin.kind == "file" else origin.name
    return NotSetUp(field.name, f"{where}: {why}")


def _refuse_unknown(file: SettingsFile) -> None:
    for key in file.values:
        if key == "token":
            message = f"{file.path} sets a token, and no file of ours may"
            raise TokenInSettings(file.path, message)
        if key not in FIELDS:
            near = _nearest(key, FIELDS)
            hint = f"; did you mean {near}?" if near else ""
            raise NotSetUp(FILE_NAME, f"{file.path}: there is no setting {key[:80]!r}{hint}")


def _misspelt_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = {field.variable for field in FIELDS.values()} | {
        name for name, _ in ENVIRONMENT if name.startswith(PREFIXES[0])
    }
    for name in sorted(environ):
        if name.startswith(PREFIXES[0]) and name not in known:
            near = _nearest(name, known)
            if near:
                yield f"{name[:80]} is ignored: did you mean {near}?"


def _nearest(word: str, words: Mapping[str, object] | set[str]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 - only for typos

    return next(iter(get_close_matches(word, sorted(words), n=1)), None)


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        # Somebody removed it; nothing can be found from here.
        return None
