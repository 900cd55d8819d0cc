"""Speed against named peers, side by side in one run: ``python scripts/benchmark.py mnist``."""

import sys

from bnrepro.cli.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
