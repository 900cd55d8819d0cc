"""``scripts/identities.py``: measure the claims that are exact identities."""

import argparse
import shlex
from pathlib import Path

import torch

from bnrepro.cli.mistakes import exit_status
from bnrepro.identities import record

OUT = Path("results/claims/identities.json")


def main(words: list[str] | None = None) -> int:
    """Run the programs and write their record."""
    parser = argparse.ArgumentParser(description="The claims that are exact identities, measured.")
    parser.add_argument("--only", nargs="+", default=[], metavar="CLAIM", help="measure these, keep the other numbers")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: %(default)s)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    command = ["python", "scripts/identities.py", *(["--only", *options.only] if options.only else [])]
    return exit_status(lambda: record.run(options.out, shlex.join(command), options.only))
