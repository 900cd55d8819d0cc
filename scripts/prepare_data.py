"""Fetch or take a data set, and verify it: ``python scripts/prepare_data.py tiny_imagenet [--source PATH]``."""

import argparse
import sys
from pathlib import Path

from bnrepro.data import prepare_tiny_imagenet
from bnrepro.data.prepare import prepare_mnist
from bnrepro.errors import UserError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="dataset", required=True)
    mnist = commands.add_parser("mnist", help="the four gzip'd idx files; they ship with the repository")
    mnist.add_argument("--source", type=Path, help="a folder that holds them (default: verify what is there)")
    mnist.add_argument("--root", type=Path, default=Path("data/mnist"), help="where they go")
    tiny = commands.add_parser("tiny_imagenet", help="Tiny-ImageNet-200, fetched from its official address")
    tiny.add_argument("--source", type=Path, help="an archive, a folder of archive parts, or a folder of the layout")
    tiny.add_argument("--root", type=Path, default=Path("data/tiny-imagenet-200"), help="where it goes")
    tiny.add_argument("--repair", action="store_true", help="unpack and decode again what is there")
    options = parser.parse_args()
    try:
        if options.dataset == "mnist":
            print(prepare_mnist(options.root, options.source))
        else:
            print(prepare_tiny_imagenet.prepare(options.root, options.source, options.repair))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
