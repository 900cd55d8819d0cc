"""Speed against named peers, side by side in one run: ``python scripts/benchmark.py mnist``."""

import argparse
import sys
from pathlib import Path

from bnrepro.benchmarks import crops, gpu, mnist, train
from bnrepro.benchmarks import input as input_speed
from bnrepro.errors import UserError

BENCHMARKS = {"mnist": mnist.main, "train": train.main, "crops": crops.main, "gpu": gpu.main, "input": input_speed.main}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("mnist", help="Figure 1's training steps")
    commands.add_parser("train", help="the ImageNet networks' training steps, and what each scale costs")
    commands.add_parser("crops", help="144 crops of an image against 144 single evaluations")
    card = commands.add_parser("gpu", help="a network's training steps on one GPU, setting by setting")
    card.add_argument("--experiment", default="figure2/bn_x5", metavar="NAME", help="of configs/experiment")
    card.add_argument("--scale", default="tiny64", choices=("smoke", "laptop", "tiny64", "paper"))
    images = commands.add_parser("input", help="reading and augmenting images")
    images.add_argument("--photographs", type=Path, metavar="FOLDER", help="class folders of full-size JPEGs")
    images.add_argument("--tiny", type=Path, metavar="FOLDER", help="the unpacked Tiny-ImageNet, with its train/")
    for command in commands.choices.values():
        command.add_argument("--out", type=Path, help="where to write (default: results/benchmarks/WHAT.json)")
    options = vars(parser.parse_args())
    what = options.pop("what")
    out = options.pop("out") or Path("results/benchmarks") / f"{what}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    given = "".join(f" --{k} {'FOLDER' if isinstance(v, Path) else v}" for k, v in options.items() if v is not None)
    try:
        BENCHMARKS[what](out, f"python scripts/benchmark.py {what}{given}", **options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
