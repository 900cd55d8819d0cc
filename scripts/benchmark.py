"""Speed against named peers, side by side in one run: ``python scripts/benchmark.py mnist``."""

import argparse
import sys
from pathlib import Path

from bnrepro.benchmarks import crops, mnist, train
from bnrepro.benchmarks import input as input_speed
from bnrepro.errors import UserError

BENCHMARKS = {"mnist": mnist.main, "train": train.main, "crops": crops.main}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("mnist", help="Figure 1's training steps")
    commands.add_parser("train", help="the ImageNet networks' training steps, and what each scale costs")
    commands.add_parser("crops", help="144 crops of an image against 144 single evaluations")
    images = commands.add_parser("input", help="reading and augmenting images")
    images.add_argument("--photographs", type=Path, metavar="FOLDER", help="class folders of full-size JPEGs")
    images.add_argument("--tiny", type=Path, metavar="FOLDER", help="the unpacked Tiny-ImageNet, with its train/")
    for command in commands.choices.values():
        command.add_argument("--out", type=Path, help="where to write (default: results/benchmarks/WHAT.json)")
    options = parser.parse_args()
    out = options.out or Path("results/benchmarks") / f"{options.what}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    command = f"python scripts/benchmark.py {options.what}"
    try:
        if options.what in BENCHMARKS:
            BENCHMARKS[options.what](out, command)
        else:
            input_speed.main(out, f"{command} --photographs FOLDER --tiny FOLDER", options.photographs, options.tiny)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
