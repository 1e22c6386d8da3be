"""Makes ``python -m pussycache`` run `cli.main`; decides nothing itself."""

import sys

from pussycache.cli import main

if __name__ == "__main__":
    sys.exit(main())
