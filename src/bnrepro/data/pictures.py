"""Whole images to ask a trained network about: the held-out part of its data set, or any folder."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from bnrepro.config.schema import Data
from bnrepro.data import imagenet, load
from bnrepro.data.decode import CorruptImage, decode
from bnrepro.data.encoded import Encoded, Files
from bnrepro.errors import UserError

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


class Pictures(Protocol):
    """M images. ``labels`` (M,) int64, or None where nobody has said; ``fingerprint`` of the whole set."""

    labels: np.ndarray | None
    fingerprint: str

    def __len__(self) -> int: ...

    def image(self, k: int) -> np.ndarray:
        """Image k, (H, W, 3) uint8.

        Raises:
            UserError: it cannot be decoded.
        """

    def name(self, k: int) -> str:
        """What to call image k."""


@dataclass(frozen=True)
class Decoded:
    """Images held as (M, 3, H, W) uint8."""

    images: np.ndarray
    labels: np.ndarray
    fingerprint: str

    def __len__(self) -> int:
        return len(self.images)

    def image(self, k: int) -> np.ndarray:
        return self.images[k].transpose(1, 2, 0)

    def name(self, k: int) -> str:
        return f"image {k}"


@dataclass(frozen=True)
class Stored:
    """Images that are decoded when they are asked for."""

    part: Encoded
    labels: np.ndarray | None
    fingerprint: str

    def __len__(self) -> int:
        return len(self.part.labels)

    def image(self, k: int) -> np.ndarray:
        try:
            return decode(self.part.read(k))
        except (CorruptImage, OSError) as error:
            raise UserError(f"{self.part.name(k)} cannot be decoded ({error}); take it out or replace it") from None

    def name(self, k: int) -> str:
        return self.part.name(k)


def held_out(options: Data) -> Pictures:
    """The images that a run with these options is judged on while it trains."""
    fingerprint = f"{load.fingerprint(options)}-{options.split}-{options.classes}-{options.images_per_class}"
    if options.name == "imagenet":
        found = imagenet.collection(Path(options.root))
        _, part = imagenet.parts(found, options.classes, options.split, options.images_per_class)
        return Stored(part, part.labels, fingerprint)
    _, (images, labels) = load.arrays(options)
    return Decoded(images, labels, fingerprint)


def files(paths: list[Path]) -> Stored:
    """These image files, without labels.

    Raises:
        UserError: one of them is not there.
    """
    for path in paths:
        if not path.is_file():
            raise UserError(f"no image {path}")
    names = np.array([os.fsencode(path.absolute()) for path in paths])
    return Stored(Files(Path("/"), names, np.zeros(len(paths), np.int64)), None, "")


def folder(root: Path, classes: list[list[str]]) -> Stored:
    """Every image below ``root``.

    In a folder for each class, named by the class's identifier or its name in words, the images have labels; otherwise
    none has.

    Args:
        root: where to look.
        classes: (identifier, words) of each class that the network knows, in the order of its labels.

    Raises:
        UserError: there is no such folder, no image, or only some of the folders are classes.
    """
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"no images in {root} (looked for {', '.join(SUFFIXES)})")
    known = {name: k for k, pair in enumerate(classes) for name in pair}
    folders = [path.relative_to(root).parts[0] if path.parent != root else "" for path in paths]
    unknown = sorted(set(folders) - known.keys())
    labels = None if unknown else np.array([known[name] for name in folders])
    if unknown and len(unknown) < len(set(folders)):
        raise UserError(f"{root}: {unknown[0] or 'images outside class folders'}: not a class that the network knows")
    names = [os.fsencode(path.relative_to(root)) for path in paths]
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    fingerprint = hashlib.sha256(repr((names, contents)).encode()).hexdigest()[:16]
    return Stored(Files(root, np.array(names), np.zeros(len(paths), np.int64)), labels, fingerprint)
