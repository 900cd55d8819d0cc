"""The claims that are exact identities, measured: ``python scripts/identities.py`` or ``... --only C03 C06``."""

import argparse
import shlex
import sys
from pathlib import Path

import torch

from bnrepro.errors import UserError
from bnrepro.identities import record

OUT = Path("results/claims/identities.json")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="CLAIM", help="measure these, keep the other numbers")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = ["python", "scripts/identities.py", *(["--only", *options.only] if options.only else [])]
    try:
        record.run(options.out, shlex.join(command), options.only)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {options.out}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
