"""`vulcan status`: how things stand."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.options.everywhere import OUTPUT, Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.questions import BAD_SHARDS, tell_bad
from vulcan_cli.cli.tree import Example
from vulcan_cli.cli.watching import document_of
from vulcan_cli.errors import DiskTrouble, UsageError
from vulcan_cli.settings import Settings

if TYPE_CHECKING:
    from vulcan_cli.cli.standing import Standing
    from vulcan_cli.staging.survey import Survey

EXAMPLES = (
    Example("How many shards wait, and when the next commit may be", "vulcan status"),
    Example("The same, kept up to date until Ctrl-C", "vulcan status --watch"),
    Example("For a script", "vulcan status --staging-dir /shared/vulcan --json"),
    Example(
        "For Prometheus, from cron",
        "vulcan status --metrics /var/lib/node_exporter/vulcan.prom",
    ),
)
EXIT_CODES = (3, 4, 6)

_PAUSE_S = 2.0
# A large staging directory must not be listed all the time.
_PAUSES = 10.0

_TO_STDOUT = Path("-")

Rows = Annotated[
    bool,
    typer.Option(
        "--rows", help="Count the rows of every state, also of pending.", rich_help_panel=OUTPUT
    ),
]

Watch = Annotated[
    bool, typer.Option("--watch", help="Stay, and keep it up to date.", rich_help_panel=OUTPUT)
]

MetricsFile = Annotated[
    Path | None,
    typer.Option(
        "--metrics",
        metavar="FILE",
        help="Write it to a file for Prometheus, replaced as a whole; - is stdout.",
        rich_help_panel=OUTPUT,
    ),
]


def status(
    *,
    staging_dir: StagingDir = None,
    repo: Repos = None,
    rows: Rows = False,
    watch: Watch = False,
    metrics: MetricsFile = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say how many shards wait, how many are published, and what the commit budget allows.

    Nothing is changed, and nothing is asked of the repo. The picture shows when commits were made
    in the window of the budget. Warnings tell of folders that are too open, and of repos and
    folders near the number of files that the Hub asks for. Rows of synced/ are told where its
    catalog is up to date; a shard whose rows --rows cannot count is skipped and named.
    """
    # Help and completion load this module, and must not wait for the rest.
    from vulcan_cli.cli.standing import read_standing  # noqa: PLC0415

    if metrics == _TO_STDOUT and (json or watch):
        raise UsageError(
            f"--metrics - and {'--json' if json else '--watch'} both write to stdout: "
            "name a file, or leave out one"
        )
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(out, staging_dir=staging_dir, repo=repo)
    if watch:
        try:
            _watch(settings, out, metrics, all_rows=rows)
        except KeyboardInterrupt:
            # Nothing was interrupted: this is how one stops watching.
            raise typer.Exit(130) from None
        return
    with out.counting("footers") as progress:
        standing = read_standing(settings, all_rows=rows, progress=progress)
    if metrics is not None:
        _measure(standing, metrics, out)
    if json:
        out.json(_document(standing, settings))
    elif metrics is None:
        _tell(standing, out)
    tell_bad(out, standing.bad)
    if standing.bad:
        raise typer.Exit(BAD_SHARDS)


def _tell(standing: Standing, out: Output) -> None:
    from vulcan_cli.cli.standing import lines_of, table_of, warnings_of  # noqa: PLC0415

    out.line(str(standing.root))
    out.table(table_of(standing), indent="  ", right=range(1, 3 + bool(standing.rows)))
    out.lines(f"  {line}" for line in lines_of(standing, draws=out.draws))
    out.notices(warnings_of(standing))


def _watch(settings: Settings, out: Output, metrics: Path | None, *, all_rows: bool) -> None:
    """Show how things stand, over and over; Ctrl-C is how it ends."""
    from vulcan_cli.cli.standing import read_standing  # noqa: PLC0415

    with out.screen() as show:
        signal.signal(signal.SIGTERM, _stop)
        while not out.reader_gone:
            started = time.monotonic()
            standing = read_standing(settings, all_rows=all_rows)
            if metrics is not None:
                _measure(standing, metrics, out)
            with show():
                if out.as_json:
                    out.json(_document(standing, settings))
                else:
                    _tell(standing, out)
                tell_bad(out, standing.bad)
            time.sleep(max(_PAUSE_S, _PAUSES * (time.monotonic() - started)))


def _stop(*_: object) -> NoReturn:
    """Leave as Ctrl-C would, with the cursor where it was."""
    raise SystemExit(0)


def _measure(standing: Standing, file: Path, out: Output) -> None:
    from vulcan_cli.cli.metrics import render  # noqa: PLC0415
    from vulcan_cli.files.paths import replace_durably  # noqa: PLC0415

    text = render(standing)
    if file == _TO_STDOUT:
        out.lines(text.splitlines())
        return
    try:
        replace_durably(file, text.encode())
    except OSError as error:
        raise DiskTrouble(file, error) from error


def _document(standing: Standing, settings: Settings) -> object:
    found, slots = standing.survey, standing.slots
    states: dict[str, object] = {
        state: {
            "shards": counts.shards,
            "bytes": counts.size,
            "rows": standing.rows.get(state),
            "oldest": counts.oldest,
        }
        for state, counts in found.states.items()
    }
    return {
        "staging_dir": str(standing.root),
        **states,
        "rejected": found.rejected,
        "conflicts": found.conflicts,
        "repo": None if slots is None else slots.repo,
        "budget": {
            "budget": settings.budget,
            "limit": settings.budget if slots is None else slots.limit,
            "window_s": settings.window_s,
            "remaining": None if slots is None else slots.remaining,
            "next_slot_at": None if slots is None else slots.next_slot_at,
            "spent_at": [] if slots is None else slots.spent_at,
        },
        "sync": _owner(found),
        "wider_than_needed": [str(path) for path in found.wide],
        "crowded": [
            {"folder": crowd.folder, "files": crowd.files, "most": crowd.most}
            for crowd in standing.crowds
        ],
    }


def _owner(found: Survey) -> object:
    if not found.leased:
        return None
    if found.owner is None:
        return {"host": None, "pid": None, "since": None, "gone": None}
    return document_of(found.owner)
