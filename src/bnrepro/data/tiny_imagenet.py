"""Tiny-ImageNet-200: 200 classes, 500 training and 50 validation images each, 64 px; read from decoded arrays.

``prepare`` (`bnrepro.data.prepare_tiny_imagenet`) takes the official layout, checks it, and writes every image into
``decoded/train.npy`` and ``decoded/val.npy``, (images, 3, 64, 64) uint8 by class in the order of the sorted wnids, and
``decoded/index.json``.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.config.schema import Data
from bnrepro.data.parts import Labelled, chosen_classes, split
from bnrepro.errors import UserError
from bnrepro.records.files import read_json

CLASSES, TRAIN_PER_CLASS, VAL_PER_CLASS, PIXELS = 200, 500, 50, 64
# SHA-256 over every file's name and the SHA-256 of its bytes, by part, class and name. It is of the JPEG files and not
# of their pixels, in which versions of libjpeg may differ; its first 16 digits are the fingerprint in the runs' ids.
DIGEST = "2acf3e84885846b41ab399862f48814c7c1b8c6c55089fcee0b04d7a7e0ca3da"
REMEDY = "run: python scripts/prepare_data.py tiny_imagenet [--source FOLDER_OR_ARCHIVE] [--root {root}]"


def fingerprint(options: Data) -> str:
    """See `bnrepro.data.load`."""
    return index(Path(options.root))["fingerprint"]


def classes(options: Data) -> list[list[str]]:
    """See `bnrepro.data.load`."""
    whole = index(Path(options.root))
    return [[whole["wnids"][k], whole["names"][k]] for k in chosen_classes(options.classes, len(whole["wnids"]))]


def parts(options: Data) -> tuple[Labelled, Labelled]:
    """See `bnrepro.data.load`."""
    return load(Path(options.root), options.classes, options.split)


def index(root: Path) -> dict[str, Any]:
    """What ``prepare`` wrote of the data set: wnids, names, counts and a fingerprint of every file."""
    path = root / "decoded" / "index.json"
    if not path.is_file():
        raise UserError(f"no prepared Tiny-ImageNet in {root}; {REMEDY.format(root=root)}")
    return read_json(path)


def load(root: Path, classes: int, which: str) -> tuple[Labelled, Labelled]:
    """Training images and labels, and those to evaluate on.

    ``full`` trains on all training images and evaluates on the official validation images; ``tune`` holds out a fixed
    random 50 training images per class to evaluate on, and never reads the validation images.
    """
    whole = index(root)
    chosen = chosen_classes(classes, len(whole["wnids"]))
    val = _open(root, "val", whole) if which == "full" else None
    return split(_open(root, "train", whole), val, chosen, "tiny_imagenet split")


def _open(root: Path, part: str, whole: dict[str, Any]) -> Labelled:
    """The decoded images of a part, (M, 3, H, W), mapped and not yet read."""
    path, count, total = root / "decoded" / f"{part}.npy", whole["images"][part], len(whole["wnids"])
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); {REMEDY.format(root=root)}") from None
    if len(images) != count:
        raise UserError(f"{path} has {len(images)} images, expected {count}; {REMEDY.format(root=root)}")
    return Labelled(images, np.repeat(np.arange(total), count // total))
