"""Text of Arrow, searched for what looks like a token."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vulcan_cli.errors import BadShard
from vulcan_cli.vacua import secrets
from vulcan_cli.vacua.arrow_leaves import holds, is_text, texts

MARKS = (b"hf_", b"bearer", b"://")
"""In lower case, what text holds that `secrets.PATTERN` finds; one for each of its cases."""


def check_text(rows: pa.RecordBatch, path: Path) -> None:
    """Make sure that no text in some rows looks like a token.

    Raises:
        BadShard: Some does.
    """
    for field, cells in zip(rows.schema, rows.columns, strict=True):
        if holds(field.type, is_text):
            check_cells(field.name, cells, path)


def check_cells(name: str, cells: pa.Array, path: Path) -> None:
    """Make sure that no text in a column looks like a token.

    Raises:
        BadShard: Some does.
    """
    if has_secret(texts(cells)):
        where = secrets.scrub(name)
        raise BadShard(path, f"column {where} holds what looks like a token")


def has_secret(texts: Iterable[pa.Array]) -> bool:
    """Whether some text looks like a token."""
    for text in texts:
        plain = _plain(text)
        data = plain.buffers()[2]
        if data is not None and _has_mark(data.to_pybytes()) and _matches(plain):
            return True
    return False


def _plain(text: pa.Array) -> pa.Array:
    """The different texts of an array, all in one type; most text repeats from row to row."""
    kind = text.type
    if pa.types.is_fixed_size_binary(kind):
        text = text.cast(pa.binary())
    return text.unique().cast(pa.large_binary())


def _has_mark(texts: bytes) -> bool:
    """Whether all texts together hold what every token holds, found in no time."""
    lower = texts.lower()
    return any(mark in lower for mark in MARKS)


def _matches(text: pa.Array) -> bool:
    # Arrow's regular expressions take linear time, whatever the text.
    return pc.any(pc.match_substring_regex(text, secrets.PATTERN)).as_py() is True
