"""Which paths a repo takes: plain relative ones, so that no name can lead outside of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from vulcan_cli.hub.repo import Addition, Refused

LONGEST_NAME = 255
"""Bytes that a file system takes for one name."""


def problem_of(path: str) -> str | None:
    """Why a path in the repo is not allowed; None for a good one."""
    parts = path.split("/")
    if "" in parts:
        return "the path is empty, absolute, or has an empty part"
    if any(part.startswith(".") for part in parts):
        return "the path has a hidden part, or leads upwards"
    if not path.isprintable() or "\\" in path:
        return "the path has control characters or backslashes"
    if any(len(part.encode(errors="surrogatepass")) > LONGEST_NAME for part in parts):
        return f"a part of the path is longer than {LONGEST_NAME} bytes"
    return None


def parents(path: str) -> list[str]:
    """The folders of a path, outermost first: `a/b/c` gives `a` and `a/b`."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def clashes(paths: Iterable[str]) -> tuple[str, ...]:
    """Paths that cannot all be files of one repo: named twice, or a folder of another."""
    given = Counter(paths)
    folders = {folder for path in given for folder in parents(path)}
    return tuple(sorted(path for path, times in given.items() if times > 1 or path in folders))


def refuse_paths(additions: Sequence[Addition]) -> Refused | None:
    """Refuse a batch with names that lead out of the repo, or cannot stand side by side."""
    problems = {each.path_in_repo: problem_of(each.path_in_repo) for each in additions}
    for problem in problems.values():
        if problem is not None:
            return Refused(problem, tuple(path for path in problems if problems[path] == problem))
    twice = clashes(each.path_in_repo for each in additions)
    return Refused("the path is named twice, or is a folder of another", twice) if twice else None
