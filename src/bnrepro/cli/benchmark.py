"""``scripts/benchmark.py``: speed against named peers, side by side in one run."""

import argparse
from pathlib import Path

from bnrepro.benchmarks import input as input_speed
from bnrepro.benchmarks import record
from bnrepro.benchmarks.mnist import mnist
from bnrepro.benchmarks.training import gpu, train
from bnrepro.cli.mistakes import script
from bnrepro.records.files import make_writable

PROGRAMS = {  # what each measures, and its help
    "mnist": (lambda options: mnist(), "Figure 1's training steps"),
    "input": (lambda options: input_speed.measure(options.photographs, options.tiny), "reading and augmenting images"),
    "train": (lambda options: train(), "training steps of networks for images"),
    "gpu": (lambda options: gpu(), "BN-x5's training steps on a GPU, by mini-batch, precision and torch.compile"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Speed against named peers, side by side in one run.")
    commands = parser.add_subparsers(dest="name", required=True)
    for name, (_, help_) in PROGRAMS.items():
        command = commands.add_parser(name, help=help_)
        command.add_argument("--out", type=Path, help=f"the file to write (default: results/benchmarks/{name}.json)")
        if name == "input":
            command.add_argument("--photographs", type=Path, required=True, help="class folders of full-size JPEGs")
            command.add_argument("--tiny", type=Path, required=True, help="the unpacked Tiny-ImageNet")
    return parser


@script
def main(words: list[str] | None) -> None:
    """Measure, and write the record."""
    options = _parser().parse_args(words)
    out = options.out or Path(f"results/benchmarks/{options.name}.json")
    make_writable(out.parent)
    title, rows, raw = PROGRAMS[options.name][0](options)
    record.write(out, title, f"python scripts/benchmark.py {options.name}", rows, raw)
