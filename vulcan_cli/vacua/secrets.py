"""What looks like a token: such text is refused in shards and hidden in everything we print."""

from __future__ import annotations

import re

PATTERN = r"hf_[A-Za-z0-9]{20,}|(?i:\bBearer\s+[A-Za-z0-9._~+/=-]{8,})|(?i:[a-z][a-z0-9+.-]*://[^/?#\s@]+@)"
"""A Hub token, a bearer credential, or the user part of a URL (Python and Rust syntax alike)."""

_SECRET = re.compile(PATTERN)

HIDDEN = "[hidden]"
"""What stands in a message where a secret stood."""


def looks_secret(text: str) -> bool:
    """Whether some part of the text looks like a token."""
    return _SECRET.search(text) is not None


def scrub(text: str) -> str:
    """The text with everything that looks like a token replaced by `HIDDEN`."""
    return _SECRET.sub(HIDDEN, text)
