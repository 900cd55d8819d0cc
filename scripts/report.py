"""Figures and tables, rebuilt from the committed records: ``python scripts/report.py``."""

import sys

from bnrepro.cli.report import main

if __name__ == "__main__":
    sys.exit(main())
