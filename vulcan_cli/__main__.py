"""What `vulcan` and `python -m vulcan_cli` run."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; see `vulcan_cli.cli.app.main`."""
    try:
        from vulcan_cli.cli.app import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        # Stopped before anything had begun: there is nothing to say.
        return 130
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
