"""``scripts/identities.py``: measure the claims that are exact identities."""

import argparse
from pathlib import Path

import torch

from bnrepro.cli.mistakes import script
from bnrepro.identities import record

OUT = Path("results/claims/identities.json")


@script
def main(words: list[str] | None) -> None:
    """Run the programs and write their record."""
    parser = argparse.ArgumentParser(description="The claims that are exact identities, measured.")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: %(default)s)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    record.run(options.out, "python scripts/identities.py")
