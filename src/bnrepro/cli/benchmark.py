"""``scripts/benchmark.py``: speed against named peers, side by side in one run."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bnrepro.benchmarks import mnist, training
from bnrepro.cli.mistakes import exit_status
from bnrepro.records.files import make_writable


def main(words: list[str] | None = None) -> int:
    """Measure, write the record, and return the exit status."""
    parser = argparse.ArgumentParser(description="Speed against named peers, side by side in one run.")
    commands = parser.add_subparsers(dest="name", required=True)
    command = commands.add_parser("mnist", help="Figure 1's training steps")
    command.set_defaults(measure=mnist.main)
    command = commands.add_parser("train", help="the ImageNet networks' training steps, and what training costs")
    command.set_defaults(measure=training.train)
    command = commands.add_parser("gpu", help="a network's training steps on one GPU, setting by setting")
    command.set_defaults(measure=training.gpu)
    command.add_argument("--experiment", default="figure2/bn_x5", metavar="NAME", help="a file of configs/experiment")
    command.add_argument("--scale", default="tiny64", choices=("smoke", "laptop", "tiny64", "paper"))
    for command in commands.choices.values():
        command.add_argument("--out", type=Path, help="the file to write (default: results/benchmarks/NAME.json)")
    options = vars(parser.parse_args(words))
    name, measure, out = (options.pop(key) for key in ("name", "measure", "out"))
    typed = f"python scripts/benchmark.py {name}"
    for key, value in options.items():
        if value:
            typed += f" --{key} {'FOLDER' if isinstance(value, Path) else value}"
    return exit_status(lambda: _measure(measure, out or Path("results/benchmarks") / f"{name}.json", typed, options))


def _measure(measure: Callable[..., None], out: Path, command: str, options: dict[str, Any]) -> None:
    make_writable(out.parent)
    measure(out, command, **options)
