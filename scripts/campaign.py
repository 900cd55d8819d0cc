"""Train a figure's variants on one card, side by side, in calls of so many minutes; the same command goes on."""

import argparse
import sys
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from bnrepro import campaign
from bnrepro.errors import UserError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="+", metavar="EXPERIMENT|KEY=VALUE", help="experiments, and overrides of them")
    parser.add_argument("--seeds", default="0", help="separated by commas (default: 0)")
    parser.add_argument("--scale", required=True)
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--side-by-side", type=int, default=1, metavar="K", help="runs at a time (default: 1)")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="end within so many")
    parser.add_argument("--grace", type=float, default=30.0, metavar="SECONDS", help="of it, to save in (default: 30)")
    parser.add_argument("--pack", type=Path, metavar="FILE", help="a tar for the records of runs that have ended")
    options = parser.parse_intermixed_args()
    try:
        left = campaign.deadline(options.minutes, options.grace)
        jobs = campaign.plan(options.words, options.seeds, options.scale, options.device)
        return campaign.run(jobs, options.side_by_side, left, options.grace, options.pack)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print("error:", " ".join(str(error).split("\n")[:3]), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
