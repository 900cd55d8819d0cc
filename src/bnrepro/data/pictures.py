"""Whole images for a trained network: the held-out part of its data set, or any image files."""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bnrepro.config.schema import Data
from bnrepro.data import load
from bnrepro.data.decode import CorruptImage, decode
from bnrepro.data.mnist import WIDTH, as_pictures
from bnrepro.data.parts import Encoded
from bnrepro.errors import UserError

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Pictures:
    """M images.

    Args:
        images: (M, 3, H, H) uint8, or encoded.
        labels: (M,) int64, or None if they are unknown.
        fingerprint: identifies the images; it is empty if no predictions are kept for them.
    """

    images: np.ndarray | Encoded
    labels: np.ndarray | None
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.images.names if isinstance(self.images, Encoded) else self.images)

    def image(self, k: int) -> np.ndarray:
        """Return image k, (H, W, 3) uint8."""
        return _decoded(self.images, k) if isinstance(self.images, Encoded) else self.images[k].transpose(1, 2, 0)


def _decoded(files: Encoded, k: int) -> np.ndarray:
    try:
        return decode(files.read(k))
    except (CorruptImage, OSError) as error:
        raise UserError(f"{files.path(k)} cannot be decoded ({error}); take it out or replace it") from None


def as_digit(picture: np.ndarray) -> tuple[np.ndarray, bool]:
    """Turn a picture (H, W, 3) uint8 into a digit (28, 28) uint8, and return whether it was inverted.

    MNIST's digits are white on black, so a picture with a light edge is inverted. It is made grey, and square by
    borders in the colour of its edge. A picture of MNIST itself stays as it is.
    """
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    background = int(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    inverted = background > 127
    if inverted:
        grey, background = 255 - grey, 255 - background
    height, width = grey.shape
    side = max(height, width)
    square = np.full((side, side), background, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = grey
    return np.asarray(Image.fromarray(square).resize((WIDTH, WIDTH), Image.Resampling.BILINEAR)), inverted


def held_out(options: Data) -> Pictures:
    """Return the images that a run with these options is evaluated on while it trains."""
    fingerprint = f"{load.fingerprint(options)}-{options.split}-{options.classes}-{options.images_per_class}"
    _, part = load.parts(options)
    return Pictures(part if isinstance(part, Encoded) else part.images, part.labels, fingerprint)


def _of_files(
    folder: Path, paths: list[Path], digits: bool, labels: np.ndarray | None = None, fingerprint: str = ""
) -> Pictures:
    """Return pictures of files. For a network of digits, decode them all, and say how many had to be inverted."""
    names = np.array([os.fsencode(path) for path in paths])
    files = Encoded(folder, names, np.zeros(len(paths), np.int64))
    if not digits:
        return Pictures(files, labels, fingerprint)
    images, inverted = zip(*(as_digit(_decoded(files, k)) for k in range(len(paths))), strict=True)
    if any(inverted):
        count = f"{sum(inverted)} of {len(images)} pictures are dark on light, and were inverted"
        print(f"{count}: MNIST's digits are white on black", file=sys.stderr)
    return Pictures(as_pictures(np.stack(images)), labels, fingerprint)


def of_files(paths: list[Path], digits: bool = False) -> Pictures:
    """Return the images in files, without labels."""
    for path in paths:
        if not path.is_file():
            raise UserError(f"no image {path}")
    return _of_files(Path("/"), [path.absolute() for path in paths], digits)


def of_folder(root: Path, classes: list[list[str]], digits: bool = False) -> Pictures:
    """Return every image below ``root``, each in a folder that is named after its class, by identifier or by words.

    ``classes`` are (identifier, words) in the order of the network's labels. ``digits`` turns each image into a digit.
    """
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"no images in {root} (looked for {', '.join(SUFFIXES)})")
    labels_of: dict[str, set[int]] = {}
    for k, pair in enumerate(classes):
        for name in pair:
            labels_of.setdefault(name, set()).add(k)
    relative = [path.relative_to(root) for path in paths]
    folders = [path.parts[0] if len(path.parts) > 1 else "" for path in relative]
    if unknown := sorted(set(folders) - labels_of.keys()):
        folder = unknown[0] or "images outside class folders"
        raise UserError(f"{root}: {folder}: not a class that the network knows; scripts/predict.py needs no classes")
    for folder in sorted(set(folders)):
        if len(labels_of[folder]) > 1:
            identifiers = " and ".join(classes[k][0] for k in sorted(labels_of[folder]))
            raise UserError(f"{root}: {folder} is the word for {identifiers}; name the folder after one of these")
    names = [os.fsencode(path) for path in relative]
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    fingerprint = hashlib.sha256(repr((names, contents)).encode()).hexdigest()[:16]
    return _of_files(root, relative, digits, np.array([min(labels_of[folder]) for folder in folders]), fingerprint)
