"""The command line of ``python -m lorascope``."""

import sys

from lorascope.cli import main

if __name__ == "__main__":
    sys.exit(main())
