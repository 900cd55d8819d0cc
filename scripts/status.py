"""Every run: state, step, accuracy, time, where; and what the last sweep still lacks. ``--json`` for programs."""

import sys

from bnrepro.cli.status import main

if __name__ == "__main__":
    sys.exit(main())
