"""`vulcan doctor`: what is not as it should be, and its cure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vulcan_cli.cli.options.everywhere import Json, Quiet, Repos, StagingDir, Verbose
from vulcan_cli.cli.output import Output, Style
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import WORST_FIRST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vulcan_cli.cli.checks import Check, Verdict

EXAMPLES = (
    Example("Is all well on this node?", "vulcan doctor"),
    Example("On a worker, which has no network", "vulcan doctor --offline"),
    Example("Only what needs you", "vulcan doctor --quiet"),
)
EXIT_CODES = (4, 5, 6)

_STYLES: Mapping[Verdict, Style] = {"ok": "green", "warn": "yellow", "fail": "red"}

Offline = Annotated[bool, typer.Option("--offline", help="Ask nothing of the network.")]


def doctor(
    *,
    offline: Offline = False,
    staging_dir: StagingDir = None,
    repo: Repos = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Look at all that staging and syncing depend on, and say what to do where it is not well.

    Python and packages, whether Polars runs on this processor, completion, settings, the staging
    directory and its file system, space, permissions and clocks, the token, and whether each repo
    can be read and written; nothing is changed. Warnings end with 0; of what fails, the exit status
    is that of the worst.
    """
    from vulcan_cli.cli.checks import checks  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    found = []
    for check in checks(staging_dir=staging_dir, repo=repo, offline=offline):
        found.append(check)
        if not json and not (quiet and check.verdict == "ok"):
            _tell(check, out)
    if json:
        out.json(_document(found))
    failed = {check.exit_code for check in found if check.verdict == "fail"}
    return min(failed, key=WORST_FIRST.index, default=0)


def _tell(check: Check, out: Output) -> None:
    out.verdict(check.verdict.ljust(4), _STYLES[check.verdict], f"{check.name}: {check.text}")
    if check.cure:
        out.line(f"      cure: {check.cure}")


def _document(found: Iterable[Check]) -> dict[str, object]:
    return {
        "checks": [
            {
                "name": check.name,
                "verdict": check.verdict,
                "text": check.text,
                "cure": check.cure,
            }
            for check in found
        ]
    }
