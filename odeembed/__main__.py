"""`python -m odeembed`: the command line."""

import sys

from odeembed.cli import main

if __name__ == "__main__":
    sys.exit(main())
