"""``scripts/prepare_data.py``: fetch or take a data set, and verify it."""

import argparse
from pathlib import Path

from bnrepro.cli.mistakes import script
from bnrepro.data import mnist, prepare_imagenet, tiny_imagenet

PREPARE = {
    "mnist": lambda options: mnist.prepare(options.root, options.source),
    "tiny_imagenet": lambda options: tiny_imagenet.prepare(options.root, options.source, options.repair),
    "imagenet": lambda options: prepare_imagenet.prepare(options.root, options.source, options.cache),
}


@script
def main(words: list[str] | None) -> None:
    """Prepare a data set, and print a summary of it."""
    parser = argparse.ArgumentParser(description="Fetch or take a data set, and verify it.")
    commands = parser.add_subparsers(dest="dataset", required=True)
    digits = commands.add_parser("mnist", help="the four gzip'd idx files; they ship with the repository")
    digits.add_argument("--source", type=Path, help="a folder that holds them (default: verify what is there)")
    digits.add_argument("--root", type=Path, default=Path("data/mnist"), help="where they go")
    tiny = commands.add_parser("tiny_imagenet", help="Tiny-ImageNet-200, fetched from its official address")
    tiny.add_argument("--source", type=Path, help="an archive, a folder of archive parts, or a folder of the layout")
    tiny.add_argument("--root", type=Path, default=Path("data/tiny-imagenet-200"), help="where it goes")
    tiny.add_argument("--repair", action="store_true", help="verify the files again, and decode them again")
    full = commands.add_parser("imagenet", help="ILSVRC2012, from archives fetched with an account")
    full.add_argument("--source", type=Path, help="the folder of the official archives")
    full.add_argument("--root", type=Path, default=Path("data/imagenet"), help="where it is or goes")
    full.add_argument("--cache", type=Path, help="also write smaller images there, for data.root=CACHE")
    options = parser.parse_args(words)
    print(PREPARE[options.dataset](options))
