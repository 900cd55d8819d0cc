"""Tiny-ImageNet-200: 200 classes, 500 training and 50 validation images each, 64 px; read from decoded arrays.

``prepare`` (`bnrepro.data.prepare_tiny_imagenet`) unpacks the official layout, checks it, and writes every image into
``decoded/train.npy`` and ``decoded/val.npy``, (images, 3, 64, 64) uint8 by class in the order of the sorted wnids, and
``decoded/index.json``.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from bnrepro.seeding import numpy_rng

CLASSES, TRAIN_PER_CLASS, VAL_PER_CLASS, PIXELS = 200, 500, 50, 64
# SHA-256 over every file's name and the SHA-256 of its bytes, by part, class and name. It is of the JPEG files and not
# of their pixels, in which versions of libjpeg may differ; its first 16 digits are the fingerprint in the runs' ids.
DIGEST = "2acf3e84885846b41ab399862f48814c7c1b8c6c55089fcee0b04d7a7e0ca3da"
HELD_OUT_PER_CLASS = 50  # training images of each class set aside by split="tune"; our choice
REMEDY = "run: python scripts/prepare_data.py tiny_imagenet [--source FOLDER_OR_ARCHIVE] [--root {root}]"

Labelled = tuple[np.ndarray, np.ndarray]


def index(root: Path) -> dict[str, Any]:
    """What ``prepare`` wrote of the data set: wnids, names, counts and a fingerprint of every file.

    Raises:
        UserError: the data set has not been prepared.
    """
    path = root / "decoded" / "index.json"
    if not path.is_file():
        raise UserError(f"no prepared Tiny-ImageNet in {root}; {REMEDY.format(root=root)}")
    return read_json(path)


def chosen_classes(classes: int, total: int) -> list[int]:
    """Evenly spaced classes of the sorted wnids: every 4th of 200 for 50."""
    return [k * total // classes for k in range(classes)]


def load(root: Path, classes: int, split: str) -> tuple[Labelled, Labelled]:
    """Training images and labels, and those to evaluate on.

    Args:
        root: where ``prepare`` put the data set.
        classes: how many, evenly spaced; 0 for all.
        split: ``full`` trains on all training images and evaluates on the official validation images; ``tune`` holds
            out a fixed random 50 training images a class to evaluate on, and never reads the validation images.

    Raises:
        UserError: not prepared, damaged, or too many classes asked for.
    """
    told = index(root)
    total = len(told["wnids"])
    if classes > total:
        raise UserError(f"data.classes={classes}, but {root} has {total}")
    wanted = chosen_classes(classes or total, total)
    train = _open(root, "train", told)
    held_out = _open(root, "val", told) if split == "full" else None
    if held_out is not None:
        return _gather(train, wanted), _gather(held_out, wanted)
    share = train.shape[1] * HELD_OUT_PER_CLASS // TRAIN_PER_CLASS
    kept, tune = [], []
    for k in wanted:  # by class of the whole data set, so that a class is split alike however many are chosen
        order = numpy_rng(0, "tiny_imagenet split", k).permutation(train.shape[1])
        tune.append(train[k][np.sort(order[:share])])
        kept.append(train[k][np.sort(order[share:])])
    return _labelled(kept), _labelled(tune)


def _open(root: Path, part: str, told: dict[str, Any]) -> np.ndarray:
    """The decoded images of a part by class, (classes, images a class, 3, H, W), mapped and not yet read."""
    path = root / "decoded" / f"{part}.npy"
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); {REMEDY.format(root=root)}") from None
    if len(images) != told["images"][part]:
        raise UserError(f"{path} has {len(images)} images, expected {told['images'][part]}; {REMEDY.format(root=root)}")
    return images.reshape(len(told["wnids"]), -1, *images.shape[1:])


def _gather(images: np.ndarray, wanted: list[int]) -> Labelled:
    return _labelled([images[k] for k in wanted])


def _labelled(by_class: list[np.ndarray]) -> Labelled:
    labels = np.repeat(np.arange(len(by_class)), [len(images) for images in by_class])
    return np.concatenate(by_class), labels
