"""Fetch or take a data set, and verify it: ``python scripts/prepare_data.py tiny_imagenet [--source PATH]``."""

import argparse
import sys
from pathlib import Path

from bnrepro.data import prepare_imagenet, prepare_tiny_imagenet
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
    imagenet = commands.add_parser("imagenet", help="ILSVRC2012, from archives fetched with an account")
    imagenet.add_argument("--source", type=Path, help="an archive, a folder of them, or one of train/ and val/")
    imagenet.add_argument("--root", type=Path, default=Path("data/imagenet"), help="where it is or goes")
    imagenet.add_argument("--cache", type=Path, help="also write smaller images in shards there, for data.root=CACHE")
    imagenet.add_argument("--side", type=int, default=prepare_imagenet.SIDE, help="the cache's shorter side in pixels")
    imagenet.add_argument("--repair", action="store_true", help="take or make again what is missing or damaged")
    options = parser.parse_args()
    try:
        if options.dataset == "mnist":
            print(prepare_mnist(options.root, options.source))
        elif options.dataset == "imagenet":
            print(prepare_imagenet.prepare(options.root, options.source, options.repair, options.cache, options.side))
        else:
            print(prepare_tiny_imagenet.prepare(options.root, options.source, options.repair))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
