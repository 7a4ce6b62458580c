"""Splits written down once, in a file for people to keep beside their code.

Fractions, salt or grouping may change later, and so may what a program makes of them: what is
frozen stays where it is, and only geometries that came since are drawn.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import polars as pl

from vulcan_cli.dataset.groups import GroupBy, group_ids
from vulcan_cli.dataset.splits import Splits
from vulcan_cli.errors import DiskTrouble, UsageError
from vulcan_cli.files.json_text import parse_json
from vulcan_cli.files.paths import replace_durably

_KEYS = {
    "splits": list,
    "fractions": list,
    "salt": str,
    "group_by": str,
    "assignments": dict,
}


def freeze(path: Path, splits: Splits, shards: pl.DataFrame) -> int:
    """Write down the split of every group, with all that was frozen before, and how it was drawn.

    Args:
        path: The file; it appears whole or not at all.
        splits: How geometries are split.
        shards: A catalog's rows.

    Returns:
        How many groups the file holds.

    Raises:
        DiskTrouble: The file system refuses; the file is as it was.
    """
    ids = group_ids(shards, splits.group_by).unique()
    held = {**splits.frozen, **dict(zip(ids, splits.of_all(ids), strict=True))}
    document = {
        "splits": list(splits.names),
        "fractions": list(splits.fractions),
        "salt": splits.salt,
        "group_by": splits.group_by,
        "assignments": dict(sorted(held.items())),
    }
    try:
        # A line for each group: what a later freeze adds is easy to see.
        replace_durably(path, (json.dumps(document, indent=1) + "\n").encode())
    except OSError as error:
        raise DiskTrouble(path, error) from error
    return len(held)


def read_frozen(path: Path) -> Splits:
    """The splits that `freeze` wrote down.

    Raises:
        UsageError: There is no such file, or it holds something else.
        DiskTrouble: It cannot be read.
    """
    try:
        document = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{path} is not there; --freeze writes one") from error
    except OSError as error:
        raise DiskTrouble(path, error) from error
    except ValueError as error:
        raise UsageError(f"{path} is no file of frozen splits: {error}") from error
    _check(document, path)
    try:
        return Splits(
            tuple(document["splits"]),
            tuple(document["fractions"]),
            document["salt"],
            cast("GroupBy", document["group_by"]),
            document["assignments"],
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} is no file of frozen splits: {error}") from error


def _check(document: object, path: Path) -> None:
    """Raise UsageError where a document has not the keys and types of frozen splits."""
    if not isinstance(document, dict):
        raise UsageError(f"{path} is no file of frozen splits: it holds no JSON object")
    for key, kind in _KEYS.items():
        if not isinstance(document.get(key), kind):
            raise UsageError(f"{path} is no file of frozen splits: it lacks {key}")
    texts = (*document["splits"], *document["assignments"].values())
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{path} is no file of frozen splits: names of splits are text")
