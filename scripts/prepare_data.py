"""Fetch or take a data set, and verify it: ``python scripts/prepare_data.py tiny_imagenet [--source PATH]``."""

import sys

from bnrepro.cli.prepare_data import main

if __name__ == "__main__":
    sys.exit(main())
