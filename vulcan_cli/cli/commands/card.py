"""`vulcan card`: the dataset card of the shards that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from vulcan_cli.cli.options.everywhere import Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.keeping import CitationFile, Into, Licence
from vulcan_cli.cli.options.results import Revision, SourcePlace
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.questions import BAD_SHARDS, tell_bad
from vulcan_cli.cli.repos import locate_shards
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import DiskTrouble, UsageError
from vulcan_cli.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = (
    Example("A card for a new dataset", "vulcan card --license cc-by-4.0 > README.md"),
    Example("Bring the card of a dataset up to date", "vulcan card --into README.md > new.md"),
)
EXIT_CODES = (3, 4, 5, 6)


def card(
    *,
    into: Into = None,
    licence: Licence = None,
    citation: CitationFile = None,
    source: SourcePlace = "auto",
    revision: Revision = "main",
    staging_dir: StagingDir = None,
    repo: Repos = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print the dataset card of published vacua: a README.md for the repo.

    By its first lines `datasets.load_dataset` and the Hub's viewer read every shard. What people
    wrote in the card of `--into` stays where it is; only what stands between vulcan's marks is new.
    """
    from vulcan_cli.dataset.card import About  # noqa: PLC0415
    from vulcan_cli.dataset.card import card as made  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = load_settings(staging_dir=staging_dir, repo=repo)
    out.notices(settings.notices)
    before = None if into is None else _text_of(into)
    said = None if citation is None else _text_of(citation)
    found = locate_shards(settings, source, revision)
    out.say(f"read {found.description}")
    name = settings.repo[0] if settings.repo else "owner/name"
    result = made(before, found.catalog, About(name, licence, said))
    for key in result.left_alone:
        out.warn(f"{key} in {into} is not vulcan's: it stays as it is")
    if json:
        out.json({"text": result.text, "left_alone": list(result.left_alone)})
    else:
        out.binary().write(result.text.encode())
    tell_bad(out, found.catalog.bad)
    if found.catalog.bad:
        raise typer.Exit(BAD_SHARDS)


def _text_of(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {file}") from error
    except OSError as error:
        raise DiskTrouble(file, error) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8") from error
