"""The claims that are exact identities, measured: ``python scripts/identities.py`` or ``... --only C03 C06``."""

import sys

from bnrepro.cli.identities import main

if __name__ == "__main__":
    sys.exit(main())
