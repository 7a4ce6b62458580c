"""Names in one option: `--columns a,b`."""

from __future__ import annotations

from vulcan_cli.errors import UsageError


def split_names(text: str | None) -> tuple[str, ...] | None:
    """Read `a,b`; None where nothing was given."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise UsageError(f"names are written a,b, not {text!r}")
    return names
