"""ImageNet in class folders, ``root/train/<wnid>/*.JPEG`` and ``root/val/<wnid>/*.JPEG``.

``python scripts/prepare_data.py imagenet`` makes them from the official archives. The files are read once, for a
fingerprint of their contents.
"""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from bnrepro.config.schema import Data
from bnrepro.data.parts import Encoded, chosen_classes, split
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_json

SUFFIXES = (".jpeg", ".jpg", ".png")
META = "meta.bin"  # torchvision writes it from the devkit: the words for each wnid, and the validation labels
DIGESTS = ".contents.json"  # in root; for each class folder the state of its files on disk, and their digest
REMEDY = "run: python scripts/prepare_data.py imagenet --source FOLDER_OF_THE_ARCHIVES --root {root}"

FilesByClass = dict[str, list[str]]  # the sorted file names of each class folder, by its wnid


@dataclass(frozen=True)
class ImageNet:
    """All images. ``wnids`` and ``names`` describe the classes in the order of their labels."""

    wnids: list[str]
    names: list[str]
    train: Encoded
    val: Encoded
    fingerprint: str


def fingerprint(options: Data) -> str:
    """See `bnrepro.data.load`."""
    return _scanned(Path(options.root)).fingerprint


def classes(options: Data) -> list[list[str]]:
    """See `bnrepro.data.load`."""
    imagenet = _scanned(Path(options.root))
    return [[imagenet.wnids[k], imagenet.names[k]] for k in chosen_classes(options.classes, len(imagenet.wnids))]


def parts(options: Data) -> tuple[Encoded, Encoded]:
    """See `bnrepro.data.load`."""
    imagenet = _scanned(Path(options.root))
    chosen = chosen_classes(options.classes, len(imagenet.wnids))
    return split(imagenet.train, imagenet.val if options.split == "full" else None, chosen, "imagenet split")


def scan(root: Path) -> ImageNet:
    """List the images in the class folders, and take the fingerprint of their classes and contents."""
    remedy = REMEDY.format(root=root)
    for part in ("train", "val"):
        if not (root / part).is_dir():
            raise UserError(f"no ImageNet in {root} ({part}/ is missing); {remedy}")
    train, val = _files_by_class(root / "train"), _files_by_class(root / "val")
    wnids = sorted({*train, *val})
    for part, files in (("train", train), ("val", val)):
        for wnid in wnids or ["of any name"]:
            if not files.get(wnid):
                raise UserError(f"{root / part}: a class folder {wnid} has to hold images; {remedy}")
    words = torch.load(root / META, weights_only=True)[0] if (root / META).is_file() else {}
    names = [", ".join(words.get(wnid, [wnid])) for wnid in wnids]
    digests = _digests(root, {"train": train, "val": val})
    contents = hashlib.sha256(repr((wnids, digests)).encode()).hexdigest()[:16]
    return ImageNet(wnids, names, _encoded(root / "train", train), _encoded(root / "val", val), contents)


_scanned = lru_cache(maxsize=2)(scan)


def _files_by_class(folder: Path) -> FilesByClass:
    wnids = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return {
        wnid: sorted(name for name in os.listdir(folder / wnid) if name.lower().endswith(SUFFIXES) and name[0] != ".")
        for wnid in wnids
    }


def _encoded(folder: Path, files: FilesByClass) -> Encoded:
    labels = np.repeat(np.arange(len(files)), [len(names) for names in files.values()])
    paths = [os.fsencode(f"{wnid}/{name}") for wnid, names in files.items() for name in names]
    return Encoded(folder, np.array(paths), labels)


def _digests(root: Path, parts: dict[str, FilesByClass]) -> list[str]:
    """Return a digest of the files of each class of each part.

    Only the classes whose files have changed since the last call are read again.
    """
    files = {
        f"{part}/{wnid}": [root / part / wnid / name for name in names]
        for part, by_class in parts.items()
        for wnid, names in by_class.items()
    }
    try:
        known = read_json(root / DIGESTS)
    except (FileNotFoundError, UserError):  # a damaged file is made anew
        known = {}
    states = {folder: _state(paths) for folder, paths in files.items()}
    changed = [folder for folder, state in states.items() if known.get(folder, ["", ""])[0] != state]
    if changed:
        with ThreadPoolExecutor() as pool:
            computed = pool.map(_digest, [files[folder] for folder in changed])
            computed = list(track(computed, f"reading {root}, once", len(changed), transient=True))
        known |= {folder: [states[folder], digest] for folder, digest in zip(changed, computed, strict=True)}
        try:
            write_json(root / DIGESTS, known)
        except OSError:
            print(f"cannot write to {root}: every run will read all files again", file=sys.stderr)
    return [known[folder][1] for folder in files]


def _state(paths: list[Path]) -> str:
    """Return a digest of names, sizes and times, which changes when a file does."""
    stats = [(path.name, path.stat()) for path in paths]
    return hashlib.sha256(repr([(name, s.st_size, s.st_mtime_ns) for name, s in stats]).encode()).hexdigest()


def _digest(paths: list[Path]) -> str:
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()
