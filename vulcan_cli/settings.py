"""Settings: what counts, and where each value comes from.

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

from vulcan_cli.credentials import Secret
from vulcan_cli.environment import given_or_own, ways_to_hub
from vulcan_cli.errors import NotSetUp, TokenInSettings, UsageError
from vulcan_cli.settings_fields import ENVIRONMENT, FIELDS, PREFIXES, Field
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
    environ = given_or_own(environ)
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
    environ = given_or_own(environ)
    return user_file(environ) if of_user else Path.cwd() / FILE_NAME


def carried(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Variables that make vulcan find the same settings from anywhere else on this machine.

    Args:
        settings: The settings that count here.
        names: Those to carry over, where they are not the default; secrets never are.
    """
    variables = {}
    for name in names:
        value = getattr(settings, name)
        if settings.origins[name].kind != "default" and not isinstance(value, Secret):
            variables[FIELDS[name].variable] = _from_anywhere(value)
    return variables | (ways_to_hub() if "repo" in names else {})


def _from_anywhere(value: object) -> str:
    """A setting as text that means the same in every folder."""
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return ",".join(_from_anywhere(each) for each in value)
    text = str(value)
    is_relative = text in {".", ".."} or text.startswith(("./", "../"))
    return os.path.abspath(text) if is_relative else text  # noqa: PTH100 (drops the ..)


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
