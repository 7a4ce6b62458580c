"""What `card` and `split` share when they push: options for the commit, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vulcan_cli.quantities import counted

if TYPE_CHECKING:
    from vulcan_cli.cli.output import Output
    from vulcan_cli.settings import Settings
    from vulcan_cli.sync.options import SyncOptions
    from vulcan_cli.sync.send import Sent


def options_of(
    settings: Settings, *, revision: str, with_peer: bool, create_repo: bool = False
) -> SyncOptions:
    """How to commit, by the settings.

    Args:
        settings: What counts.
        revision: The branch.
        with_peer: Whether the peer commits to this repo from here too.
        create_repo: Make the repo where there is none.
    """
    from vulcan_cli.sync.options import SyncOptions  # noqa: PLC0415

    return SyncOptions(
        budget=settings.budget,
        window_s=settings.window_s,
        max_retries=settings.max_retries,
        commit_prefix=settings.commit_prefix,
        revision=revision,
        create_repo=create_repo,
        with_peer=with_peer,
    )


def tell_sent(sent: Sent, repo: str, out: Output) -> None:
    """Say what became of a push: a line on stdout, a file each on stderr where there are many."""
    if sent.status == "unchanged":
        line = f"unchanged\t{repo}"
    else:
        line = f"{sent.status}\t{repo}\t{sent.commit or '-'}"
    if not out.as_json and not out.quiet:
        out.line(line)
    if sent.added or sent.removed:
        removed = f", {counted(len(sent.removed), 'file')} removed" if sent.removed else ""
        out.say(f"{counted(len(sent.added), 'file')} changed{removed}")


def document_of(sent: Sent, repo: str) -> dict[str, object]:
    """The same for scripts."""
    return {
        "repo": repo,
        "status": sent.status,
        "commit": sent.commit,
        "added": list(sent.added),
        "removed": list(sent.removed),
    }
