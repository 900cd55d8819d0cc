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

from bnrepro.config.schema import Data
from bnrepro.data import imagenet_cache
from bnrepro.data.contents import digests
from bnrepro.data.encoded import Collection, Encoded
from bnrepro.data.imagenet_labels import class_names, validation_labels
from bnrepro.data.parts import chosen_classes, split
from bnrepro.errors import UserError

SUFFIXES = (".jpeg", ".jpg", ".png")
REMEDY = "run: python scripts/prepare_data.py imagenet --source ARCHIVE_OR_FOLDER --root {root}"


def fingerprint(options: Data) -> str:
    """See `bnrepro.data.load`."""
    return collection(Path(options.root)).fingerprint


def classes(options: Data) -> list[list[str]]:
    """See `bnrepro.data.load`."""
    whole = collection(Path(options.root))
    return [[whole.wnids[k], whole.names[k]] for k in chosen_classes(options.classes, len(whole.wnids))]


def parts(options: Data) -> tuple[Encoded, Encoded]:
    """See `bnrepro.data.load`."""
    return of_collection(collection(Path(options.root)), options.classes, options.split)


def of_collection(whole: Collection, classes: int, which: str) -> tuple[Encoded, Encoded]:
    """Training images and those to evaluate on: the validation images, or with ``tune`` a tenth of training images."""
    chosen = chosen_classes(classes, len(whole.wnids))
    return split(whole.train, whole.val if which == "full" else None, chosen, "imagenet split")


@lru_cache(maxsize=2)
def collection(root: Path) -> Collection:
    """The data set in ``root``, folders or a prepared cache; looked up once a process."""
    return imagenet_cache.opened(root) if imagenet_cache.is_cache(root) else scan(root)


def scan(root: Path) -> Collection:
    """The images in the usual folders, and a fingerprint of their classes and contents."""
    remedy = REMEDY.format(root=root)
    for part in ("train", "val"):
        if not (root / part).is_dir():
            raise UserError(f"no ImageNet in {root} ({part}/ is missing); {remedy}")
    wnids, _ = _listing(root / "train")
    if not wnids:
        raise UserError(f"{root / 'train'} has no class folders; {remedy}")
    train = {wnid: _in_class_folder(root / "train", wnid) for wnid in wnids}
    val_folders, flat = _listing(root / "val")
    if flat:
        labels = validation_labels(root, flat)
        val: dict[str, list[str]] = {wnid: [] for wnid in wnids}
        for name in flat:
            if labels.get(name) not in val:
                label = f"the class {labels[name]}, which is not in train/" if name in labels else "no label"
                raise UserError(f"{root / 'val' / name} has {label}; {remedy}")
            val[labels[name]].append(name)
    else:
        if strangers := sorted(set(val_folders) - set(wnids)):
            raise UserError(f"{root / 'val' / strangers[0]} is a class that is not in train/; {remedy}")
        val = {wnid: _in_class_folder(root / "val", wnid) for wnid in wnids}
    files = {
        f"{part}/{wnid}": [root / part / name for name in names]
        for part, by_class in (("train", train), ("val", val))
        for wnid, names in by_class.items()
    }
    contents = hashlib.sha256(repr((wnids, digests(root, files))).encode()).hexdigest()[:16]
    return Collection(wnids, class_names(root, wnids), _part(root / "train", train), _part(root / "val", val), contents)


def _listing(folder: Path) -> tuple[list[str], list[str]]:
    """The sorted names of a folder's folders, and of its images."""
    with os.scandir(folder) as entries:
        visible = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    folders = [name for name, is_folder in visible if is_folder]
    return folders, [name for name, is_folder in visible if not is_folder and name.lower().endswith(SUFFIXES)]


def _in_class_folder(folder: Path, wnid: str) -> list[str]:
    if not (folder / wnid).is_dir():
        return []
    return [f"{wnid}/{name}" for name in _listing(folder / wnid)[1]]


def _part(folder: Path, by_class: dict[str, list[str]]) -> Encoded:
    for wnid, names in by_class.items():
        if not names:
            raise UserError(f"{folder}: class {wnid} has no images; take it again with prepare_data.py imagenet")
    labels = np.repeat(np.arange(len(by_class)), [len(names) for names in by_class.values()])
    return Encoded(folder, np.array([os.fsencode(name) for names in by_class.values() for name in names]), labels)
