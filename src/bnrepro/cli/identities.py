"""``scripts/identities.py``: measure the claims that are exact identities."""

import argparse
from pathlib import Path

import torch

from bnrepro.cli.mistakes import exit_status
from bnrepro.identities import record

OUT = Path("results/claims/identities.json")


def main(words: list[str] | None = None) -> int:
    """Run the programs and write their record."""
    parser = argparse.ArgumentParser(description="The claims that are exact identities, measured.")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: %(default)s)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    return exit_status(lambda: record.run(options.out, "python scripts/identities.py"))
