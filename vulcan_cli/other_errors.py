"""What errors of Python, Polars and Arrow say, as far as people are told of it."""

from __future__ import annotations

_WRONG_PATTERN = "error: "


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind; Polars adds a plan, Arrow its reasons."""
    lines = str(error).splitlines() or [type(error).__name__]
    # Of a regular expression the first line only says that it is none.
    wrong = [line for line in lines if line.startswith(_WRONG_PATTERN)]
    if lines[0].endswith("regex parse error:") and wrong:
        return f"no regular expression: {wrong[0].removeprefix(_WRONG_PATTERN)}"
    return lines[0]


def is_out_of_threads(error: BaseException) -> bool:
    """Whether Python, or Polars, which panics then, wanted a thread and did not get it."""
    words = str(error)
    if isinstance(error, RuntimeError):
        return words == "can't start new thread"
    is_panic = type(error).__name__ == "PanicException"
    return is_panic and "spawn" in words and "Resource temporarily unavailable" in words
