"""A staging directory and a repo that is a folder stand apart: neither takes names of the other."""

from __future__ import annotations

import os
from pathlib import Path

from vulcan_cli.errors import UsageError
from vulcan_cli.staging.area import PRIVATE, STATES, StagingArea


def check_apart(area: StagingArea, repo: Path | None) -> None:
    """Make sure that a repo and a staging directory do not share a folder; nothing is opened.

    A repo may stand in a folder of the staging directory that is none of vulcan's: nobody touches
    those. A staging directory may not stand in a repo, whose readers would take its shards too.

    Args:
        area: The staging directory.
        repo: The folder that the repo is; None for one on the Hub.

    Raises:
        UsageError: They are one folder, or one stands where it would be taken for the other's.
    """
    if repo is None:
        return
    root, folder = (Path(os.path.realpath(path)) for path in (area.root, repo))
    if folder == root:
        raise UsageError(f"{repo} is the staging directory: a repo is a folder of its own")
    if root.is_relative_to(folder):
        raise UsageError(f"the staging directory {area.root} is in the repo {repo}")
    if any(folder.is_relative_to(root / name) for name in (*STATES, PRIVATE)):
        raise UsageError(f"the repo {repo} is in a folder of vulcan's own in {area.root}")
