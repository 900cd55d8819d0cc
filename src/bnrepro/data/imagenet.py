"""ImageNet in its usual folders, or in the cache prepared from them.

``root/train/<wnid>/*.JPEG``, and ``root/val/`` in class folders too or flat beside a file of labels (see
`imagenet_labels`). The files are read once, for a fingerprint of their contents (see `contents`); ``python
scripts/prepare_data.py imagenet`` decodes them.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from bnrepro.data import imagenet_cache
from bnrepro.data.contents import digests
from bnrepro.data.encoded import Collection, Encoded, Files
from bnrepro.data.imagenet_labels import class_names, validation_labels
from bnrepro.data.tiny_imagenet import chosen_classes
from bnrepro.errors import UserError
from bnrepro.seeding import numpy_rng

SUFFIXES = (".jpeg", ".jpg", ".png")
HELD_OUT_SHARE = 0.1  # of each class's training images, set aside by split="tune"; our choice
REMEDY = "run: python scripts/prepare_data.py imagenet --source ARCHIVE_OR_FOLDER --root {root}"


def _images(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES))


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _by_class(folder: Path, wnids: list[str]) -> list[list[str]]:
    """The names below ``folder`` of each class's images."""
    return [[f"{wnid}/{name}" for name in _images(folder / wnid)] if (folder / wnid).is_dir() else [] for wnid in wnids]


def _flat_by_class(root: Path, wnids: list[str], files: list[str]) -> list[list[str]]:
    labels, found = validation_labels(root, files), {wnid: [] for wnid in wnids}
    for name in files:
        if labels.get(name) not in found:
            what = f"the class {labels[name]}, which is not in train/" if name in labels else "no label"
            raise UserError(f"{root / 'val' / name} has {what}; {REMEDY.format(root=root)}")
        found[labels[name]].append(name)
    return [found[wnid] for wnid in wnids]


def _part(folder: Path, by_class: list[list[str]], wnids: list[str]) -> Files:
    for wnid, names in zip(wnids, by_class, strict=True):
        if not names:
            raise UserError(f"{folder}: class {wnid} has no images; take it again with prepare_data.py imagenet")
    labels = np.repeat(np.arange(len(by_class)), [len(names) for names in by_class])
    return Files(folder, np.array([os.fsencode(name) for names in by_class for name in names]), labels)


def _fingerprint(root: Path, wnids: list[str], train: list[list[str]], val: list[list[str]]) -> str:
    """Of the classes and the contents of their images, in whichever folders the validation images are."""
    parts = (("train", train), ("val", val))
    files = {
        f"{part}/{wnid}": [root / part / name for name in names]
        for part, by_class in parts
        for wnid, names in zip(wnids, by_class, strict=True)
    }
    return hashlib.sha256(repr((wnids, digests(root, files))).encode()).hexdigest()[:16]


def scan(root: Path) -> Collection:
    """The images in the usual folders, and a fingerprint of their classes and contents.

    Raises:
        UserError: folders are missing, a class is empty, or a validation image has no label.
    """
    for part in ("train", "val"):
        if not (root / part).is_dir():
            raise UserError(f"no ImageNet in {root} ({part}/ is missing); {REMEDY.format(root=root)}")
    wnids = _folders(root / "train")
    if not wnids:
        raise UserError(f"{root / 'train'} has no class folders; {REMEDY.format(root=root)}")
    flat = _images(root / "val")
    val = _flat_by_class(root, wnids, flat) if flat else _by_class(root / "val", wnids)
    if strangers := [] if flat else sorted(set(_folders(root / "val")) - set(wnids)):
        raise UserError(f"{root / 'val' / strangers[0]} is a class that is not in train/; {REMEDY.format(root=root)}")
    train = _by_class(root / "train", wnids)
    return Collection(
        wnids,
        class_names(root, wnids),
        _part(root / "train", train, wnids),
        _part(root / "val", val, wnids),
        _fingerprint(root, wnids, train, val),
    )


@lru_cache(maxsize=2)
def collection(root: Path) -> Collection:
    """The data set in ``root``, folders or a prepared cache; looked up once a process.

    Raises:
        UserError: see `scan` and `imagenet_cache.opened`.
    """
    return imagenet_cache.opened(root) if imagenet_cache.is_cache(root) else scan(root)


def parts(found: Collection, classes: int, split: str, images_per_class: int) -> tuple[Encoded, Encoded]:
    """Training images and those to evaluate on, with labels from 0.

    Args:
        found: the whole data set.
        classes: how many, evenly spaced; 0 for all.
        split: ``full`` evaluates on the validation images; ``tune`` on a fixed random tenth of each class's training
            images, which are then not trained on.
        images_per_class: the first so many of each class, to train and to evaluate on; 0 for all.

    Raises:
        UserError: too many classes asked for, or a class too small to be split.
    """
    total = len(found.wnids)
    if classes > total:
        raise UserError(f"data.classes={classes}, but the data set has {total}")
    wanted = chosen_classes(classes or total, total)
    train = _indices(found.train, total)
    if split == "full":
        return _chosen(found.train, train, wanted, images_per_class), _chosen(
            found.val, _indices(found.val, total), wanted, images_per_class
        )
    kept, tune = {}, {}
    for k in wanted:  # by class of the whole data set, so that a class is split alike however many are chosen
        order = numpy_rng(0, "imagenet split", k).permutation(train[k])
        share = max(1, int(len(order) * HELD_OUT_SHARE))
        if len(order) == share:
            raise UserError(f"data.split=tune: class {found.wnids[k]} has one training image; two are needed")
        tune[k], kept[k] = np.sort(order[:share]), np.sort(order[share:])
    return tuple(_chosen(found.train, by_class, wanted, images_per_class) for by_class in (kept, tune))


def _indices(part: Encoded, classes: int) -> list[np.ndarray]:
    """The images of each class."""
    return np.split(np.arange(len(part.labels)), np.searchsorted(part.labels, np.arange(1, classes)))


def _chosen(part: Encoded, by_class: dict[int, np.ndarray], wanted: list[int], images_per_class: int) -> Encoded:
    taken = [by_class[k][: images_per_class or None] for k in wanted]
    return part.only(np.concatenate(taken), np.repeat(np.arange(len(wanted)), [len(index) for index in taken]))
