"""``scripts/benchmark.py``: speed against named peers, side by side in one run."""

import argparse
from pathlib import Path

from bnrepro.benchmarks import record
from bnrepro.benchmarks.mnist import mnist
from bnrepro.benchmarks.training import train
from bnrepro.cli.mistakes import exit_status
from bnrepro.records.files import make_writable

PROGRAMS = {"mnist": mnist, "train": train}


def main(words: list[str] | None = None) -> int:
    """Measure, write the record, and return the exit status."""
    parser = argparse.ArgumentParser(description="Speed against named peers, side by side in one run.")
    parser.add_argument("name", choices=PROGRAMS, help="Figure 1's training steps, or those of networks for images")
    parser.add_argument("--out", type=Path, help="the file to write (default: results/benchmarks/NAME.json)")
    options = parser.parse_args(words)
    return exit_status(lambda: _measure(options.name, options.out or Path(f"results/benchmarks/{options.name}.json")))


def _measure(name: str, out: Path) -> None:
    make_writable(out.parent)
    title, rows, raw = PROGRAMS[name]()
    record.write(out, title, f"python scripts/benchmark.py {name}", rows, raw)
