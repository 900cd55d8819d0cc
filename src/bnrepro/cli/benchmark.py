"""``scripts/benchmark.py``: speed against named peers, side by side in one run."""

import argparse
from pathlib import Path

from bnrepro.benchmarks import input as input_speed
from bnrepro.benchmarks import mnist, training
from bnrepro.cli.mistakes import exit_status

BENCHMARKS = {
    "mnist": mnist.main,
    "train": training.train,
    "gpu": training.gpu,
    "input": input_speed.main,
}


def main(words: list[str] | None = None) -> int:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description="Speed against named peers, side by side in one run.")
    commands = parser.add_subparsers(dest="benchmark", required=True)
    commands.add_parser("mnist", help="Figure 1's training steps")
    commands.add_parser("train", help="the ImageNet networks' training steps, and what each scale costs")
    card = commands.add_parser("gpu", help="a network's training steps on one GPU, setting by setting")
    card.add_argument("--experiment", default="figure2/bn_x5", metavar="NAME", help="of configs/experiment")
    card.add_argument("--scale", default="tiny64", choices=("smoke", "laptop", "tiny64", "paper"))
    images = commands.add_parser("input", help="reading and augmenting images")
    images.add_argument("--photographs", type=Path, metavar="FOLDER", help="class folders of full-size JPEGs")
    images.add_argument("--tiny", type=Path, metavar="FOLDER", help="the unpacked Tiny-ImageNet, with its train/")
    for command in commands.choices.values():
        command.add_argument("--out", type=Path, help="where to write (default: results/benchmarks/BENCHMARK.json)")
    options = vars(parser.parse_args(words))
    name = options.pop("benchmark")
    out = options.pop("out") or Path("results/benchmarks") / f"{name}.json"
    given = "".join(
        f" --{key} {'FOLDER' if isinstance(value, Path) else value}" for key, value in options.items() if value
    )
    return exit_status(lambda: BENCHMARKS[name](out, f"python scripts/benchmark.py {name}{given}", **options))
