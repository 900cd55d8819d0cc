"""ImageNet in its usual folders.

The folders are ``root/train/<wnid>/*.JPEG`` and ``root/val/``, which has class folders too or is flat. The labels of a
flat ``val/`` come from the devkit's or Kaggle's files in ``root``. The files are read once, for a fingerprint of their
contents; ``python scripts/prepare_data.py imagenet`` also decodes them.
"""

import csv
import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from rich.progress import track
from scipy.io import loadmat

from bnrepro.config.schema import Data
from bnrepro.data.parts import Collection, Encoded, chosen_classes, split
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_json

SUFFIXES = (".jpeg", ".jpg", ".png")
GROUND_TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"  # the devkit's files
SOLUTION, MAPPING = "LOC_val_solution.csv", "LOC_synset_mapping.txt"  # Kaggle's files
CACHE = "bnrepro-cache.json"  # in the root of a cache, see `bnrepro.data.imagenet_cache`
DIGESTS = ".contents.json"  # in root; for each class folder the state of its files on disk, and their digest
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
    """Return the images to train on and to evaluate on: the validation images, or for ``tune`` training images."""
    chosen = chosen_classes(classes, len(whole.wnids))
    return split(whole.train, whole.val if which == "full" else None, chosen, "imagenet split")


@lru_cache(maxsize=2)
def collection(root: Path) -> Collection:
    """Return the data set in ``root``; a process looks once."""
    return scan(root)


def scan(root: Path) -> Collection:
    """List the images in the usual folders, and take the fingerprint of their classes and contents."""
    remedy = REMEDY.format(root=root)
    for part in ("train", "val"):
        if not (root / part).is_dir():
            raise UserError(f"no ImageNet in {root} ({part}/ is missing); {remedy}")
    if (root / CACHE).is_file() and not read_json(root / CACHE)["finished"]:
        raise UserError(f"the cache {root} is unfinished; run prepare_data.py imagenet --cache {root} again to go on")
    wnids = _class_folders(root / "train")
    if not wnids:
        raise UserError(f"{root / 'train'} has no class folders; {remedy}")
    train = {wnid: _images(root / "train", wnid) for wnid in wnids}
    if flat := _images(root / "val"):
        val = _by_label(root, wnids, flat)
    elif unknown := sorted(set(_class_folders(root / "val")) - set(wnids)):
        raise UserError(f"{root / 'val' / unknown[0]} is a class that is not in train/; {remedy}")
    else:
        val = {wnid: _images(root / "val", wnid) for wnid in wnids}
    digests = _digests(root, {"train": train, "val": val})
    contents = hashlib.sha256(repr((wnids, digests)).encode()).hexdigest()[:16]
    return Collection(wnids, _words(root, wnids), _part(root / "train", train), _part(root / "val", val), contents)


def _class_folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _images(part: Path, wnid: str = "") -> list[str]:
    """Return the sorted images of a class folder, or of a flat part, by their paths below the part."""
    folder = part / wnid
    if not folder.is_dir():
        return []
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES) and not name.startswith("."))
    return [f"{wnid}/{name}" if wnid else name for name in names]


def _part(folder: Path, by_class: dict[str, list[str]]) -> Encoded:
    for wnid, names in by_class.items():
        if not names:
            raise UserError(f"{folder}: class {wnid} has no images; take it again with prepare_data.py imagenet")
    labels = np.repeat(np.arange(len(by_class)), [len(names) for names in by_class.values()])
    return Encoded(folder, np.array([os.fsencode(name) for names in by_class.values() for name in names]), labels)


def _synsets(root: Path) -> np.ndarray:
    return loadmat(root / META, squeeze_me=True)["synsets"]


def _words(root: Path, wnids: list[str]) -> list[str]:
    """Return the words for each wnid if a file has them, and the wnid itself otherwise."""
    words: dict[str, str] = {}
    if (root / MAPPING).is_file():
        words = dict(row.split(maxsplit=1) for row in (root / MAPPING).read_text().splitlines() if " " in row)
    elif (root / META).is_file():
        synsets = _synsets(root)
        words = dict(zip(map(str, synsets["WNID"]), map(str, synsets["words"]), strict=True))
    return [words.get(wnid, wnid) for wnid in wnids]


def _by_label(root: Path, wnids: list[str], names: list[str]) -> dict[str, list[str]]:
    """Sort the validation images of a flat folder by the class that the labels in ``root`` give them."""
    if (root / SOLUTION).is_file():
        with open(root / SOLUTION, newline="") as file:
            labels = {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}
    elif (root / GROUND_TRUTH).is_file() and (root / META).is_file():
        numbers = (root / GROUND_TRUTH).read_text().split()  # in the order of the sorted names
        if len(numbers) != len(names):
            raise UserError(
                f"{root / GROUND_TRUTH} has {len(numbers)} lines for {len(names)} images in {root / 'val'}; "
                "take both again"
            )
        synsets = _synsets(root)  # numbered from 1, in an order that is not the sorted one
        wnid_of = {str(number): str(w) for number, w in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
        labels = {Path(name).stem: wnid_of[number] for name, number in zip(names, numbers, strict=True)}
    else:
        sources = f"{SOLUTION}, or {GROUND_TRUTH} with {META}"
        raise UserError(f"{root / 'val'} has no class folders and no labels; put {sources}, into {root}")
    by_class: dict[str, list[str]] = {wnid: [] for wnid in wnids}
    for name in names:
        label = labels.get(Path(name).stem)
        if label not in by_class:
            problem = f"has the class {label}, which is not in train/" if label else "has no label"
            raise UserError(f"{root / 'val' / name} {problem}; {REMEDY.format(root=root)}")
        by_class[label].append(name)
    return by_class


def _digests(root: Path, parts: dict[str, dict[str, list[str]]]) -> list[str]:
    """Return a digest of the files of each class of each part.

    Only the classes whose files have changed since the last call are read again.
    """
    files = {
        f"{part}/{wnid}": [root / part / name for name in names]
        for part, by_class in parts.items()
        for wnid, names in by_class.items()
    }
    known = read_json(root / DIGESTS) if (root / DIGESTS).is_file() else {}
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
            advice = "every run reads all files again, unless you prepare a cache: prepare_data.py imagenet --cache"
            print(f"cannot write to {root}: {advice}", file=sys.stderr)
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
