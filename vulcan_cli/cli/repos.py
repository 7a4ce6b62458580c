"""From settings to repos and shards: what several commands need before their one core call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast, get_args, overload

from vulcan_cli.environment import find_token, read_endpoint
from vulcan_cli.errors import NotSetUp, UsageError
from vulcan_cli.hub.open import Login, folder_of, is_directory, key_without_client, open_repo
from vulcan_cli.settings import Settings

if TYPE_CHECKING:
    from vulcan_cli.cli.output import Output
    from vulcan_cli.dataset.filters import Filters
    from vulcan_cli.dataset.sources import Found, Place
    from vulcan_cli.hub.repo import Repo


def open_configured(
    settings: Settings, *, to_write: bool = True, say: Callable[[str], None] = lambda _: None
) -> list[Repo]:
    """Open the repos of the settings, the main one first; a folder needs no token.

    Args:
        settings: What counts.
        to_write: Whether a token is needed; public repos are read without one.
        say: As for `Login`.

    Raises:
        UsageError: One is not apart from the staging directory.
        NotSetUp: No repo is set, or no token where one is needed.
    """
    settings.require_repo()
    for text in settings.repo:
        check_place(text, settings)
    return [open_one(text, to_write=to_write, say=say) for text in settings.repo]


def check_place(text: str, settings: Settings) -> None:
    """Make sure that a repo is apart from the staging directory, where one is set.

    Raises:
        UsageError: It is not, or it is written in no way that repos are.
    """
    from vulcan_cli.staging.apart import check_apart  # noqa: PLC0415
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415

    if settings.staging_dir is not None:
        check_apart(StagingArea(settings.staging_dir), folder_of(text))


def main_key(settings: Settings) -> str | None:
    """The key of the main repo, to which the peer commits from here; None where no repo is set."""
    main = settings.main_repo
    return None if main is None else key_without_client(main, read_endpoint())


def open_one(
    text: str, *, to_write: bool = True, say: Callable[[str], None] = lambda _: None
) -> Repo:
    """Open a repo as a person writes it; arguments and errors as for `open_configured`."""
    if is_directory(text):
        return open_repo(text)
    secret = find_token()
    token = None if secret is None else secret.reveal()
    # First of all the name must be one: nobody needs a token for a folder that lacks its ./
    opened = open_repo(text, Login(token=token, endpoint=read_endpoint(), say=say))
    if secret is None and to_write:
        raise NotSetUp("token", f"there is no token to write to {text} with")
    return opened


class _OnceNeeded(Sequence["Repo"]):
    """The repos of the settings; the Hub's client is slow to load, and often not needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: list[Repo] | None = None

    def __len__(self) -> int:
        return len(self._settings.repo)

    @overload
    def __getitem__(self, place: int) -> Repo: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Repo]: ...

    def __getitem__(self, place: int | slice) -> Repo | Sequence[Repo]:
        if self._opened is None:
            self._opened = open_configured(self._settings, to_write=False) if len(self) else []
        return self._opened[place]


def locate_shards(
    settings: Settings, source: str, revision: str, out: Output, filters: Filters | None = None
) -> Found:
    """Find the shards of a question by the settings and the options `--source`, `--revision`.

    What was found is told, and how far that is while it takes long. Shards that the filters leave
    out need not be among it.

    Raises:
        UsageError: There is no such source.
        NotSetUp: What the source needs is not set, or the folder of `--staging-dir` is missing.
    """
    from vulcan_cli.dataset.sources import Place, locate  # noqa: PLC0415
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415

    if source not in get_args(Place):
        raise UsageError(f"--source is one of {', '.join(get_args(Place))}, not {source!r}")
    area = None if settings.staging_dir is None else StagingArea(settings.staging_dir)
    # Settings are shared with machines that have the repo alone; who types a folder means it.
    is_typed = settings.origins["staging_dir"].kind == "option"
    if area is not None and is_typed and source == "auto":
        area.require()
    repos = _OnceNeeded(settings)
    where = None if filters is None else filters.on_shards()
    with out.counting("footers") as progress:
        found = locate(
            area,
            repos,
            cast("Place", source),
            revision=revision,
            where=where,
            progress=progress,
        )
    out.say(f"read {found.description}")
    return found
