"""`python -m tests.hubserver --root DIR --port 0`: serve until killed; prints its URL."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from tests.hubserver.server import HubServer


def _end_with_parent() -> None:
    """Standard input ends when the parent is gone."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(
        prog="tests.hubserver", description="A local Hugging Face Hub for tests."
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of the state, made if missing"
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    server = HubServer(arguments.root, arguments.port)
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    if arguments.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
