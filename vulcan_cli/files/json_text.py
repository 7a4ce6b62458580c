"""JSON that anybody may have written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 (whatever stands there)
    """The value that a JSON text holds.

    Raises:
        ValueError: It is no JSON, or nested too deep to read.
    """
    try:
        return json.loads(text)
    # A megabyte of opening brackets.
    except RecursionError:
        raise ValueError("it is nested too deep") from None
