"""Speed against named peers, side by side in one run: ``python scripts/benchmark.py mnist``."""

import argparse
from pathlib import Path

from bnrepro.benchmarks import mnist

BENCHMARKS = {"mnist": mnist.main}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=BENCHMARKS)
    parser.add_argument("--out", type=Path, help="where to write (default: results/benchmarks/WHAT.json)")
    options = parser.parse_args()
    out = options.out or Path("results/benchmarks") / f"{options.what}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    BENCHMARKS[options.what](out, f"python scripts/benchmark.py {options.what}")
