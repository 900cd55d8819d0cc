"""A sweep in calls of so many minutes: ``python scripts/campaign.py --minutes 9 experiment=figure2/inception ...``."""

import argparse
import sys
from pathlib import Path

from bnrepro import campaign
from bnrepro.errors import UserError


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a sweep in calls of so many minutes; the same call goes on.")
    parser.add_argument("words", nargs="+", metavar="KEY=VALUE", help="what scripts/train.py -m takes")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="end within so many")
    parser.add_argument("--grace", type=float, default=30.0, metavar="SECONDS", help="of it, to save in (default: 30)")
    parser.add_argument("--pack", type=Path, metavar="FILE", help="a tar for the records of runs that have ended")
    options = parser.parse_intermixed_args()
    try:
        left = campaign.deadline(options.minutes, options.grace)
        return campaign.run(options.words, left, options.grace, options.pack)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
