"""Trained networks with other statistics in BN: ``python scripts/swap_statistics.py runs/x5-s*-HASH``."""

import sys

from bnrepro.cli.swap_statistics import main

if __name__ == "__main__":
    sys.exit(main())
