"""`vulcan verify`: is everything there, whole and once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.commits import Branch
from vulcan_cli.cli.options.everywhere import Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.fit import refuse_typed
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.repos import open_configured
from vulcan_cli.cli.text import printable
from vulcan_cli.cli.tree import Example
from vulcan_cli.cli.watching import teller
from vulcan_cli.hub.open import folder_of
from vulcan_cli.hub.repo import MAIN
from vulcan_cli.interrupts import asked_by_sigterm
from vulcan_cli.quantities import counted, format_size

if TYPE_CHECKING:
    from vulcan_cli.sync.verify import Finding, Verified

EXAMPLES = (
    Example("The staging directory", "vulcan verify"),
    Example("And all that the repo holds", "vulcan verify --repo owner/name"),
    Example("Finish what a crash left, set aside what is bad", "vulcan verify --fix"),
)
EXIT_CODES = (3, 4, 5, 6, 7)

Fix = Annotated[
    bool,
    typer.Option("--fix", help="Mend what can be mended without losing anything."),
]

NoDownload = Annotated[
    bool,
    typer.Option(
        "--no-download", help="With --repo: ask for SHA-256s only, do not read what it holds."
    ),
]


def verify(
    context: typer.Context,
    *,
    staging_dir: StagingDir = None,
    repo: Repos = None,
    revision: Branch = MAIN,
    no_download: NoDownload = False,
    fix: Fix = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Read every shard and say what is missing, altered, doubled, orphaned or in two states.

    Shards are held against their SHA-256, their own footer and rows, and the ledger of what the
    repo confirmed. Only with --repo is the repo asked, for all that it should hold and all that it
    does. --fix joins pairs, rebuilds sidecars, and sets bad entries of pending/ aside; it deletes
    nothing of which there is not the same elsewhere. Duplicate vacua are counted.
    """
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415
    from vulcan_cli.sync import mend  # noqa: PLC0415
    from vulcan_cli.sync import verify as core  # noqa: PLC0415

    if not repo:
        of_repo = {"--no-download": no_download, "--revision": revision != MAIN}
        refuse_typed("{} goes with --repo", of_repo)
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    named = [each for text in repo or () for each in _parted(text)]
    settings = configured(out, staging_dir=staging_dir, repo=named)
    area = StagingArea(settings.require_staging_dir())
    repos = open_configured(settings, to_write=False) if named else []
    total = area.counts("pending").shards + area.counts("synced").shards
    with out.progress("shards", total) as advance:
        found = core.verify(
            area,
            repos,
            now=time.time(),
            revision=revision,
            download=not no_download,
            progress=advance,
        )
    fixed: Collection[Finding] = ()
    if fix and found.findings:
        fixed = mend.mend(
            area,
            found.findings,
            watching=teller(out, context.obj),
            stopping=asked_by_sigterm(),
        )
    if json:
        out.json(_document(str(area.root), [each.name for each in repos], found, fixed))
    else:
        _tell(out, found, fixed)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _parted(text: str) -> list[str]:
    """The repos of one --repo: a comma parts them as in VULCAN_REPO, but for a folder so named."""
    folder = folder_of(text)
    if folder is not None and folder.is_dir():
        return [text]
    return [each.strip() for each in text.split(",")]


def _tell(out: Output, found: Verified, fixed: Collection[Finding]) -> None:
    for each in found.findings:
        done = "\tfixed" if each in fixed else ""
        # One line for each finding, whatever a file is called.
        name, why = printable(each.name), printable(each.why)
        out.line(f"{each.kind}\t{each.where}\t{name}\t{why}{done}")
    shards = f"{counted(found.shards, 'shard')}, {format_size(found.size)}"
    out.say(
        f"read {shards}: {counted(found.vacua, 'row')}, {found.duplicate_vacua:,} of them twice"
    )
    kinds = Counter(each.kind for each in found.findings)
    out.say(", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "all is well")


def _document(
    staging_dir: str, repos: list[str], found: Verified, fixed: Collection[Finding]
) -> object:
    return {
        "staging_dir": staging_dir,
        "repos": repos,
        "shards": found.shards,
        "bytes": found.size,
        "vacua": found.vacua,
        "duplicate_vacua": found.duplicate_vacua,
        "findings": [
            {
                "kind": each.kind,
                "name": each.name,
                "where": each.where,
                "why": each.why,
                "fixed": each in fixed,
            }
            for each in found.findings
        ],
    }
