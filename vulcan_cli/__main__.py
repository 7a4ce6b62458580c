"""What `vulcan` and `python -m vulcan_cli` run."""

import sys

from vulcan_cli.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
