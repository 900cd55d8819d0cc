"""The claims that are exact identities, measured: ``python scripts/identities.py``."""

import sys

from bnrepro.cli.identities import main

if __name__ == "__main__":
    sys.exit(main())
