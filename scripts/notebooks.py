"""Execute notebooks and write them back with their outputs: ``python scripts/notebooks.py`` (make notebooks)."""

import sys

from bnrepro.cli.notebooks import main

if __name__ == "__main__":
    sys.exit(main())
