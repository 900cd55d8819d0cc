"""A trained network as a folder that timm loads: ``python scripts/export.py runs/RUN``."""

import sys

from bnrepro.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
