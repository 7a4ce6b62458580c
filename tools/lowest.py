"""The lowest versions that `pyproject.toml` allows, as constraints for pip, one a line.

`make test-lowest` runs the suite with them, so that what is promised there has been seen.
"""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

_PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_LOWEST = re.compile(r"([\w-]+)>=([\d.]+)")


def main() -> None:
    """Print a constraint for each package that vulcan or one of its extras needs."""
    project = tomllib.loads(_PROJECT.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    needed = chain(project["dependencies"], *extras)
    lowest = (_LOWEST.sub(r"\1==\2", each).split(",")[0] for each in needed)
    sys.stdout.writelines(f"{each}\n" for each in dict.fromkeys(lowest))


if __name__ == "__main__":
    main()
