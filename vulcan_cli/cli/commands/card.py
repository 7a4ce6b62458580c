"""`vulcan card`: the dataset card of the shards that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.commits import CommitBudget, MaxRetries, Window
from vulcan_cli.cli.options.everywhere import DryRun, Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.fit import refuse_typed
from vulcan_cli.cli.options.keeping import CitationFile, Into, Licence, PushCard
from vulcan_cli.cli.options.results import Revision, SourcePlace
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.pushes import document_of, options_of, tell_sent
from vulcan_cli.cli.questions import BAD_SHARDS, tell_bad
from vulcan_cli.cli.repos import locate_shards, open_configured
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import DiskTrouble, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vulcan_cli.dataset.card import About
    from vulcan_cli.errors import BadShard
    from vulcan_cli.settings import Settings

EXAMPLES = (
    Example("A card for a new dataset", "vulcan card --license cc-by-4.0 > README.md"),
    Example("Bring the card of a dataset up to date", "vulcan card --into README.md > new.md"),
    Example("For a dataset that another program wrote", "vulcan card --repo owner/name --push"),
)
EXIT_CODES = (3, 4, 5, 6)


def card(
    *,
    into: Into = None,
    push: PushCard = False,
    licence: Licence = None,
    citation: CitationFile = None,
    source: SourcePlace = "auto",
    revision: Revision = "main",
    staging_dir: StagingDir = None,
    repo: Repos = None,
    budget: CommitBudget = None,
    window_s: Window = None,
    max_retries: MaxRetries = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print the dataset card of published vacua: a README.md for the repo; or commit it.

    By its first lines `datasets.load_dataset` and the Hub's viewer read every shard. What people
    wrote in the card stays where it is; only what stands between vulcan's marks is new. `sync`
    keeps the card with each commit; `--push` is for a repo where nothing waits.
    """
    if not push:
        of_push = {
            "--dry-run": dry_run,
            "--budget": budget,
            "--window-s": window_s,
            "--max-retries": max_retries,
        }
        refuse_typed("{} goes with --push", of_push)
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(
        out,
        staging_dir=staging_dir,
        repo=repo,
        budget=budget,
        window_s=window_s,
        max_retries=max_retries,
        license=licence,
        citation=None if citation is None else _text_of(citation),
    )
    if push and (into is not None or source not in {"auto", "repo"}):
        raise UsageError("--push is about what stands in the repo: no --into, no other --source")
    if push:
        bad = _push(settings, out, revision, dry_run=dry_run)
    else:
        bad = _show(settings, out, into, source, revision)
    tell_bad(out, bad)
    if bad:
        raise typer.Exit(BAD_SHARDS)


def _show(
    settings: Settings, out: Output, into: Path | None, source: str, revision: str
) -> Sequence[BadShard]:
    from vulcan_cli.dataset.card import card as made  # noqa: PLC0415

    before = None if into is None else _text_of(into)
    found = locate_shards(settings, source, revision, out)
    result = made(before, found.catalog, _about(settings))
    _tell_left_alone(result.left_alone, str(into), out)
    if out.as_json:
        out.json({"text": result.text, "left_alone": list(result.left_alone)})
    else:
        out.binary().write(result.text.encode())
    return found.catalog.bad


def _about(settings: Settings) -> About:
    """What the card says beside what the shards tell: as `sync` would write it."""
    from vulcan_cli.dataset.card import About  # noqa: PLC0415
    from vulcan_cli.hub.open import is_directory, open_repo  # noqa: PLC0415
    from vulcan_cli.sync.readme import about_of  # noqa: PLC0415

    name = settings.repo[0] if settings.repo else "owner/name"
    if is_directory(name):
        return about_of(open_repo(name), settings.license, settings.citation)
    return About(name, settings.license, settings.citation)


def _push(settings: Settings, out: Output, revision: str, *, dry_run: bool) -> Sequence[BadShard]:
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415
    from vulcan_cli.sync.push_card import push_card  # noqa: PLC0415
    from vulcan_cli.sync.readme import about_of  # noqa: PLC0415

    area = StagingArea(settings.require_staging_dir())
    bad: list[BadShard] = []
    documents = []
    for number, each in enumerate(open_configured(settings)):
        about = about_of(each, settings.license, settings.citation)
        options = options_of(settings, revision=revision, with_peer=number == 0)
        done = push_card(area, each, options, about, dry_run=dry_run)
        _tell_left_alone(done.left_alone, f"the card of {each.name}", out)
        tell_sent(done.sent, out)
        documents.append({**document_of(done.sent), "left_alone": [*done.left_alone]})
        bad += done.bad
    if out.as_json:
        out.json({"pushed": documents})
    return bad


def _tell_left_alone(keys: Sequence[str], where: str, out: Output) -> None:
    for key in keys:
        out.warn(f"{key} in {where} is not vulcan's: it stays as it is")


def _text_of(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {file}") from error
    except OSError as error:
        raise DiskTrouble(file, error) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8") from error
