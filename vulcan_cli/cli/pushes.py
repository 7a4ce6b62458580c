"""What `card` and `split` share when they push: options for the commit, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vulcan_cli.cli.repos import check_place, open_one
from vulcan_cli.errors import UsageError
from vulcan_cli.hub.repo import MAIN
from vulcan_cli.quantities import counted
from vulcan_cli.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from vulcan_cli.cli.output import Output
    from vulcan_cli.hub.repo import Repo
    from vulcan_cli.staging.area import StagingArea
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


class SplitPush(NamedTuple):
    """Where the files of splits are to be pushed, and how.

    Attributes:
        area: The staging directory, which holds the budget.
        repo: The repo of the splits.
        settings: What counts.
        create_repo: Make the repo where there is none.
        dry_run: Only find out what would be committed.
    """

    area: StagingArea
    repo: Repo
    settings: Settings
    create_repo: bool
    dry_run: bool

    @classmethod
    def open(
        cls, text: str | None, settings: Settings, *, create_repo: bool, dry_run: bool
    ) -> SplitPush | None:
        """Open a repo as it was typed; None where there is none.

        Raises:
            UsageError: It is one that shards are synced to, or not apart from the staging
                directory.
            NotSetUp: A token or the staging directory is missing.
        """
        from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415

        if text is None:
            return None
        area = StagingArea(settings.require_staging_dir())
        check_place(text, settings)
        repo = open_one(text)
        if repo.key in {open_one(each).key for each in settings.repo}:
            raise UsageError(f"{repo.name} is for shards; splits go to a repo of their own")
        return cls(area, repo, settings, create_repo, dry_run)

    def send(self, folder: Path) -> Sent:
        """Push what is in a folder."""
        from vulcan_cli.sync.push_splits import push_splits  # noqa: PLC0415
        from vulcan_cli.sync.readme import about_of  # noqa: PLC0415

        settings = self.settings
        about = about_of(self.repo, settings.license, settings.citation)
        options = options_of(settings, revision=MAIN, with_peer=False, create_repo=self.create_repo)
        return push_splits(self.area, self.repo, options, about, folder, dry_run=self.dry_run)


def tell_sent(sent: Sent, out: Output) -> None:
    """Say what became of a push: a line on stdout, a file each on stderr where there are many."""
    if sent.status == "unchanged":
        line = f"unchanged\t{sent.repo}"
    else:
        line = f"{sent.status}\t{sent.repo}\t{sent.commit or '-'}"
    if not out.as_json and not out.quiet:
        out.line(line)
    if sent.added or sent.removed:
        removed = f", {counted(len(sent.removed), 'file')} removed" if sent.removed else ""
        out.say(f"{counted(len(sent.added), 'file')} changed{removed}")


def document_of(sent: Sent) -> dict[str, object]:
    """The same for scripts."""
    return {
        "repo": sent.repo,
        "status": sent.status,
        "commit": sent.commit,
        "added": list(sent.added),
        "removed": list(sent.removed),
    }
