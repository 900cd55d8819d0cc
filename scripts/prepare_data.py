"""Fetch or take a data set, and verify it: ``python scripts/prepare_data.py mnist [--source FOLDER]``."""

import argparse
import sys
from pathlib import Path

from bnrepro.data.prepare import prepare_mnist
from bnrepro.errors import UserError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="dataset", required=True)
    mnist = commands.add_parser("mnist", help="the four gzip'd idx files; they ship with the repository")
    mnist.add_argument("--source", type=Path, help="a folder that holds them (default: verify what is there)")
    mnist.add_argument("--root", type=Path, default=Path("data/mnist"), help="where they go")
    options = parser.parse_args()
    try:
        print(prepare_mnist(options.root, options.source))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
