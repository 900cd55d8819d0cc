"""A user's mistake is one line and exit status 2, at every door."""

import sys
from collections.abc import Callable

from bnrepro.errors import UserError


def exit_status(work: Callable[[], object]) -> int:
    """Do the work; 0, or 2 after a mistake or where a file cannot be read or written."""
    try:
        work()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename2 or error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0
