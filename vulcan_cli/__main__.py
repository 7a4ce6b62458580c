"""What `vulcan` and `python -m vulcan_cli` run."""

import gc
import sys
from collections.abc import Sequence

# New objects before Python looks for garbage among them; by itself it does after some hundreds.
_NEW_OBJECTS = 50_000

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; see `vulcan_cli.cli.app.main`."""
    # While modules load nothing is garbage.
    gc.set_threshold(_NEW_OBJECTS)
    try:
        from vulcan_cli.cli.app import main as run  # noqa: PLC0415
        from vulcan_cli.interrupts import catch_interrupts  # noqa: PLC0415

        catch_interrupts()
        code = run(arguments)
    except KeyboardInterrupt:
        # Before anything had begun, or while an error was told: there is nothing to say.
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        from vulcan_cli.interrupts import end_interrupted  # noqa: PLC0415

        end_interrupted(code)
    # When the process ends, all of it is: not worth a search.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
