"""`vulcan config`: which settings count, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vulcan_cli.cli.options.everywhere import Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.suggest import did_you_mean, one_of
from vulcan_cli.cli.tree import Example
from vulcan_cli.credentials import Secret
from vulcan_cli.environment import find_token, read_endpoint
from vulcan_cli.errors import UsageError
from vulcan_cli.settings import load_settings, settings_path
from vulcan_cli.settings_fields import shown, written

if TYPE_CHECKING:
    from vulcan_cli.settings import Settings

EXAMPLES = (
    Example("What counts here, and why", "vulcan config"),
    Example("A settings file for this folder, and all below it", "vulcan config init"),
    Example(
        "One for all that you do, with two settings in it",
        "vulcan config init --user --staging-dir /shared/vulcan --repo owner/name",
    ),
)
EXIT_CODES = (4, 6)

_ACTIONS = {
    "show": "every setting, and where its value comes from",
    "init": "write a vulcan.toml in which every setting is explained",
}
_HIDDEN = "[hidden]"
_NONE = "-"
_PUBLIC_HUB = "https://huggingface.co"

Action = Annotated[
    str,
    typer.Argument(
        metavar="ACTION",
        help="show, or init to write a vulcan.toml; never over one that is there.",
        autocompletion=one_of(_ACTIONS),
    ),
]

OfUser = Annotated[
    bool,
    typer.Option("--user", help="With init: the file for all that you do, not for this folder."),
]


def config(
    action: Action = "show",
    *,
    user: OfUser = False,
    staging_dir: StagingDir = None,
    repo: Repos = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show every setting with where its value comes from, or write a settings file.

    An option wins over `VULCAN_*`, that over `STRINGFORGE_VULCAN_*`, that over the nearest
    `vulcan.toml` here or above, that over your own in ~/.config/vulcan, that over the default. A
    file that others can write is ignored, and said. Secrets are never shown.
    """
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    if action not in _ACTIONS:
        meant = did_you_mean(action, _ACTIONS)
        raise UsageError(f"vulcan config does {' or '.join(_ACTIONS)}, not {action!r}{meant}")
    settings = load_settings(staging_dir=staging_dir, repo=repo)
    if action == "init":
        _write(settings, out, of_user=user)
        return
    if user:
        raise UsageError("--user goes with vulcan config init")
    out.notices(settings.notices)
    if json:
        out.json(_document(settings))
        return
    out.table(_rows(settings), header=("setting", "comes from", "value"))


def _write(settings: Settings, out: Output, *, of_user: bool) -> None:
    from vulcan_cli.settings_file import write_new  # noqa: PLC0415

    path = settings_path(of_user=of_user)
    values = _given(settings, of_user=of_user)
    write_new(path, written(values))
    if out.as_json:
        out.json({"path": path, "set": values})
        return
    out.line(str(path))
    out.say(f"it sets {', '.join(values) or 'nothing yet'}; all the rest are comments")


def _given(settings: Settings, *, of_user: bool) -> dict[str, object]:
    """The values that were typed; what is relative must mean the same from the user's folder."""
    values = {name: getattr(settings, name) for name, _ in _of_kind(settings, "option")}
    if of_user and "staging_dir" in values:
        values["staging_dir"] = Path(values["staging_dir"]).absolute()
    if of_user and "repo" in values:
        values["repo"] = tuple(_from_anywhere(repo) for repo in values["repo"])
    return values


def _of_kind(settings: Settings, kind: str) -> Iterator[tuple[str, str]]:
    return ((name, origin.name) for name, origin in settings.origins.items() if origin.kind == kind)


def _from_anywhere(repo: str) -> str:
    is_relative = repo in {".", ".."} or repo.startswith(("./", "../"))
    return str(Path(repo).absolute()) if is_relative else repo


def _rows(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for name, origin in settings.origins.items():
        yield name, origin.name, shown(getattr(settings, name)) or _NONE
    secret = find_token()
    yield "token", *(("default", _NONE) if secret is None else (secret.origin, _HIDDEN))
    endpoint = read_endpoint()
    yield "endpoint", "HF_ENDPOINT" if endpoint else "default", endpoint or _PUBLIC_HUB


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Secret) else value


def _document(settings: Settings) -> Mapping[str, object]:
    secret = find_token()
    return {
        "settings": {
            name: {
                "value": _plain(getattr(settings, name)),
                "origin": {"kind": origin.kind, "name": origin.name},
            }
            for name, origin in settings.origins.items()
        },
        "token": {"set": secret is not None, "origin": None if secret is None else secret.origin},
        "endpoint": read_endpoint() or _PUBLIC_HUB,
        "files": settings.files,
        "ignored": settings.notices,
    }
