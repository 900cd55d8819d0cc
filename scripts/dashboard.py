"""Dashboards of runs: local ones without an account, and the workspace and report in W&B."""

import sys

from bnrepro.cli.dashboard import main

if __name__ == "__main__":
    sys.exit(main())
