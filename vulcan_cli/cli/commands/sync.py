"""`vulcan sync`: from `pending/` to the repo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from vulcan_cli.cli.configured import configured
from vulcan_cli.cli.explain import Explanation, explain
from vulcan_cli.cli.options.commits import (
    Branch,
    CommitBudget,
    CommitPrefix,
    CreatePr,
    CreateRepo,
    ErrorOnRemaining,
    Every,
    FailExhausted,
    HealthcheckUrl,
    KeepCard,
    MaxBatch,
    MaxDuration,
    MaxRetries,
    NoReserve,
    Wait,
    Window,
)
from vulcan_cli.cli.options.everywhere import DryRun, Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.options.fit import refuse_typed
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.repos import check_place, main_key, open_configured
from vulcan_cli.cli.tree import Example
from vulcan_cli.cli.typed import here
from vulcan_cli.cli.watching import teller
from vulcan_cli.environment import read_endpoint
from vulcan_cli.errors import NotSetUp, SyncAtWork, TryLater, UsageError, VulcanError
from vulcan_cli.interrupts import asked_by_sigterm
from vulcan_cli.quantities import counted, parse_duration
from vulcan_cli.settings import Settings

if TYPE_CHECKING:
    from vulcan_cli.hub.repo import Repo
    from vulcan_cli.staging.area import StagingArea
    from vulcan_cli.sync.options import SyncOptions
    from vulcan_cli.sync.report import SyncReport
    from vulcan_cli.sync.timing import Clock

EXAMPLES = (
    Example("From cron on a node with network", "vulcan sync --repo owner/name --quiet"),
    Example(
        "Stay for a day, every quarter of an hour", "vulcan sync --every 15m --max-duration 1d"
    ),
    Example("To a folder that behaves like a repo", "vulcan sync --repo ./repo --create-repo"),
    Example("Only count", "vulcan sync --dry-run --no-reserve"),
)
EXIT_CODES = (3, 4, 5, 6, 7)

_LATER = 5
_WAITING = (4, _LATER)
"""What is no fault of shards or disk: they wait until it is mended, or over."""


def sync(
    context: typer.Context,
    *,
    staging_dir: StagingDir = None,
    repo: Repos = None,
    max_batch: MaxBatch = None,
    budget: CommitBudget = None,
    window_s: Window = None,
    max_retries: MaxRetries = None,
    revision: Branch = "main",
    commit_prefix: CommitPrefix = None,
    card: KeepCard = None,
    create_repo: CreateRepo = False,
    create_pr: CreatePr = False,
    fail_exhausted: FailExhausted = False,
    wait: Wait = False,
    every: Every = None,
    max_duration: MaxDuration = None,
    dry_run: DryRun = False,
    no_reserve: NoReserve = False,
    error_on_remaining: ErrorOnRemaining = False,
    healthcheck_url: HealthcheckUrl = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Commit what waits in pending/ to the repo, and move what the repo confirms to synced/.

    Run it as often as you like: it takes up where the last run ended, whatever ended it. When the
    commit budget is used up it ends with 0 and says when the next commit may be; where the repo
    itself takes no more for now, with 5.
    """
    from vulcan_cli.scheduling.timers import parse_interval  # noqa: PLC0415
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415
    from vulcan_cli.sync.options import SyncOptions  # noqa: PLC0415

    if no_reserve and not dry_run:
        raise UsageError("--no-reserve goes with --dry-run")
    if dry_run:
        lasting = {"--every": every, "--max-duration": max_duration}
        refuse_typed("a --dry-run does not stay: leave out {}", lasting)
    every_s = None if every is None else parse_interval(every)
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = configured(
        out,
        staging_dir=staging_dir,
        repo=repo,
        max_batch=max_batch,
        budget=budget,
        window_s=window_s,
        max_retries=max_retries,
        commit_prefix=commit_prefix,
        card=card,
        healthcheck_url=healthcheck_url,
    )
    area = StagingArea(settings.require_staging_dir())
    options = SyncOptions(
        max_batch=settings.max_batch,
        budget=settings.budget,
        window_s=settings.window_s,
        max_retries=settings.max_retries,
        revision=revision,
        commit_prefix=settings.commit_prefix,
        create_repo=create_repo,
        create_pr=create_pr,
        wait=wait,
        fail_exhausted=fail_exhausted,
        card=settings.card,
        licence=settings.license,
        citation=settings.citation,
    )
    code_of = partial(_code_of, error_on_remaining=error_on_remaining)
    code = 0
    with _explained(area, out, context.obj):
        if dry_run:
            if wait:
                out.warn("--wait: a rehearsal counts one window of the budget, and does not wait")
            reports = _rehearse(area, settings, options, reserve=not no_reserve)
        else:
            reports = _rounds(
                area,
                settings,
                options,
                out,
                code_of,
                every_s=every_s,
                max_duration=max_duration,
                watching=teller(out, context.obj),
            )
        for report in reports:
            _tell(out, report, context.obj)
            code = code_of(report)
    if code:
        raise typer.Exit(code)


def _code_of(report: SyncReport, *, error_on_remaining: bool) -> int:
    late = error_on_remaining and report.n_remaining > 0
    return report.exit_code or (_LATER if late else 0)


def _rehearse(
    area: StagingArea, settings: Settings, options: SyncOptions, *, reserve: bool
) -> Iterator[SyncReport]:
    from vulcan_cli.hub.open import key_without_client  # noqa: PLC0415
    from vulcan_cli.sync.spread import rehearse_all  # noqa: PLC0415

    settings.require_repo()
    for repo in settings.repo:
        check_place(repo, settings)
    _check_proposals(settings, options)
    keys = [key_without_client(repo, read_endpoint()) for repo in settings.repo]
    yield rehearse_all(area, keys, options, main=main_key(settings), reserve=reserve)


def _rounds(
    area: StagingArea,
    settings: Settings,
    options: SyncOptions,
    out: Output,
    code_of: Callable[[SyncReport], int],
    *,
    every_s: float | None,
    max_duration: str | None,
    watching: Callable[[str], None],
) -> Iterator[SyncReport]:
    from vulcan_cli.sync.healthcheck import Healthcheck  # noqa: PLC0415
    from vulcan_cli.sync.rounds import for_at_most, rounds  # noqa: PLC0415
    from vulcan_cli.sync.spread import sync_all  # noqa: PLC0415
    from vulcan_cli.sync.timing import Clock  # noqa: PLC0415

    url = settings.healthcheck_url
    health = Healthcheck(None if url is None else url.reveal(), out.warn)
    repos = health.guard(lambda: _opened(settings, options, out))
    clock = Clock()
    asked = asked_by_sigterm()
    longest_s = None if max_duration is None else parse_duration(max_duration)
    stopping = for_at_most(longest_s, clock, asked)

    def run() -> SyncReport:
        with out.progress("shards", area.counts("pending").shards) as advance:
            report = sync_all(
                area,
                repos,
                options,
                main=main_key(settings),
                stopping=stopping,
                progress=_counter(advance, clock),
                watching=watching,
            )
        if not asked():
            report.out_of_time()
        return report

    return rounds(
        lambda: health.watch(run, code_of),
        every_s=every_s,
        clock=clock,
        stopping=stopping,
        passed=lambda busy: out.say(f"this round is left out: {busy}"),
    )


def _opened(settings: Settings, options: SyncOptions, out: Output) -> list[Repo]:
    """The repos, none of which has been touched where one of them cannot be."""
    _check_proposals(settings, options)
    return open_configured(settings, say=out.say)


def _check_proposals(settings: Settings, options: SyncOptions) -> None:
    """Refuse pull requests that one of the repos cannot have, asking nobody."""
    from vulcan_cli.hub.open import check_proposal  # noqa: PLC0415

    for repo in settings.repo:
        check_proposal(repo, options.revision, create_pr=options.create_pr)


def _tell(out: Output, report: SyncReport, typed: Sequence[str]) -> None:
    from vulcan_cli.quantities import format_moment  # noqa: PLC0415

    for error in report.errors:
        if report.stopped is None or error != str(report.stopped):
            out.warn(error)
    if report.stopped is not None:
        out.explain(_explanation(report, report.stopped, typed))
        out.causes(report.stopped)
    # Beside an error in JSON nothing else stands on stderr.
    is_alone = out.as_json and report.stopped is not None
    if report.n_in_review and not is_alone:
        where = "".join(f", {each}" for each in _pull_requests(report))
        out.say(f"{counted(report.n_in_review, 'shard')} in review{where}")
    if report.n_young and not is_alone:
        out.say(_young(report.n_young))
    told = is_alone or (isinstance(report.stopped, TryLater) and report.stopped.retry_at)
    if report.n_remaining and report.next_slot_at is not None and not told:
        out.say(f"the next commit may be at {format_moment(report.next_slot_at)}")
    if out.as_json:
        out.json(_document(report))
    elif not out.quiet:
        out.line(
            f"committed={report.n_committed} failed={report.n_failed} "
            f"remaining={report.n_remaining} commits={report.n_commits}"
        )


def _pull_requests(report: SyncReport) -> list[str]:
    """Each by its number, and where there are several, by its repo."""
    several = len(report.pull_requests) > 1
    return [
        f"pull request {number}{f' of {repo}' if several else ''}"
        for repo, number in report.pull_requests.items()
    ]


def _explanation(report: SyncReport, stopped: VulcanError, typed: Sequence[str]) -> Explanation:
    """What ended a run early, with where its shards are and what brings them on."""
    if stopped.exit_code not in _WAITING:
        # The disk has advice of its own.
        return explain(stopped, "vulcan sync", typed)
    safe = _safe(report.n_remaining, report.n_failed)
    explanation = explain(stopped, "vulcan sync", typed, safe=safe)
    if report.n_remaining or not report.n_failed:
        return explanation
    # Another sync alone would find nothing to do.
    bring_back = here("vulcan retry-failed", typed)
    return replace(explanation, next=(bring_back, *explanation.next))


def _young(count: int) -> str:
    """What becomes of files that are no shards, and too young to be rejected for it."""
    are = "is no shard" if count == 1 else "are no shards"
    files = counted(count, "file")
    return f"{files} in pending/, not a minute old, {are} yet; the next sync looks again"


@contextmanager
def _explained(area: StagingArea, out: Output, typed: Sequence[str]) -> Iterator[None]:
    """End where nothing can begin: no mail for another sync; how many shards wait for a token."""
    try:
        yield
    except SyncAtWork as error:
        # Nothing is wrong, and cron mails what is said: that sync tells how it goes.
        if out.as_json or not out.quiet:
            raise
        raise typer.Exit(error.exit_code) from error
    except NotSetUp as error:
        if error.setting != "token":
            raise
        safe = _safe(area.counts("pending").shards)
        out.explain(explain(error, "vulcan sync", typed, safe=safe))
        out.causes(error)
        raise typer.Exit(error.exit_code) from error


def _safe(n_remaining: int, n_failed: int = 0) -> str | None:
    """What is safe when a sync was stopped; None where nothing waits and nothing failed."""
    places = []
    if n_remaining:
        waiting = f"{counted(n_remaining, 'shard')} that the repo has not confirmed"
        places.append(f"{waiting} {_are(n_remaining)} in pending/")
    if n_failed:
        places.append(f"{counted(n_failed, 'shard')} {_are(n_failed)} in failed/")
    return ", and ".join(places) or None


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _document(report: SyncReport) -> dict[str, object]:
    return {
        "committed": report.n_committed,
        "failed": report.n_failed,
        "rejected": report.n_rejected,
        "conflicts": report.n_conflicts,
        "remaining": report.n_remaining,
        "in_review": report.n_in_review,
        "pull_request": next(iter(report.pull_requests.values()), None),
        "pull_requests": report.pull_requests,
        "commits": report.commit_oids,
        "errors": report.errors,
        "next_slot_at": report.next_slot_at,
    }


def _counter(advance: Callable[..., None], clock: Clock) -> Callable[[SyncReport, int], None]:
    """Turn how many entries are left into steps of a progress bar, with what else is to say."""
    began = clock.now()
    last: list[int] = []

    def count(report: SyncReport, waiting: int) -> None:
        done = last[0] - waiting if last else 0
        last[:] = [waiting]
        advance(done, _note(report, clock.now() - began))

    return count


def _note(report: SyncReport, seconds: float) -> str:
    """Bytes, rate, and what the budget allows: `45 MB, 3 MB/s, 87 slots left`."""
    from vulcan_cli.quantities import format_moment, format_size  # noqa: PLC0415

    rate = format_size(int(report.n_bytes / max(seconds, 1)))
    slots = f"{counted(report.n_slots, 'slot')} left"
    if report.next_slot_at is not None:
        slots = f"next slot at {format_moment(report.next_slot_at)}"
    return f"{format_size(report.n_bytes)}, {rate}/s, {slots}"
