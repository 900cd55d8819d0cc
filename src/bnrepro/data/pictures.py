"""Whole images to ask a trained network about: the held-out part of its data set, or any folder."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from bnrepro.config.schema import Data
from bnrepro.data import load
from bnrepro.data.decode import CorruptImage, decode
from bnrepro.data.encoded import Encoded
from bnrepro.data.mnist import EDGE, WIDTH
from bnrepro.errors import UserError

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MIDDLE = 127  # of 255


@dataclass(frozen=True)
class Pictures:
    """M images.

    Args:
        images: (M, 3, H, H) uint8, or encoded.
        labels: (M,) int64; None where they are unknown.
        fingerprint: of the whole set; empty where nothing is kept of it.
        digits: whether to show each image as MNIST has its digits, see `as_digit`.
    """

    images: np.ndarray | Encoded
    labels: np.ndarray | None
    fingerprint: str = ""
    digits: bool = False
    inverted: set[int] = field(default_factory=set)  # digits shown so far that are dark on light

    def __len__(self) -> int:
        return len(self.images.labels if isinstance(self.images, Encoded) else self.images)

    def image(self, k: int) -> np.ndarray:
        """Image k, (H, W, 3) uint8."""
        image = self._decoded(k)
        if not self.digits:
            return image
        digit, inverted = as_digit(image)
        if inverted:
            self.inverted.add(k)
        return np.repeat(np.pad(digit, EDGE)[..., None], 3, axis=2)

    def _decoded(self, k: int) -> np.ndarray:
        if not isinstance(self.images, Encoded):
            return self.images[k].transpose(1, 2, 0)
        try:
            return decode(self.images.read(k))
        except (CorruptImage, OSError) as error:
            raise UserError(f"{self.name(k)} cannot be decoded ({error}); take it out or replace it") from None

    def name(self, k: int) -> str:
        """What to call image k."""
        return self.images.name(k) if isinstance(self.images, Encoded) else f"image {k}"

    def remark(self) -> str:
        """What was done to digits that are not white on black; empty if all are."""
        if not self.inverted:
            return ""
        count = f"{len(self.inverted)} of {len(self)} pictures are dark on light, and were inverted"
        return f"{count}: MNIST's digits are white on black"


def as_digit(picture: np.ndarray) -> tuple[np.ndarray, bool]:
    """A picture (H, W, 3) uint8 as (28, 28) uint8, and whether it was dark on light, by its edge, and was inverted.

    It is made grey, and square by what its edge is like; a picture of MNIST itself comes back as it is.
    """
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    background = int(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    inverted = background > MIDDLE
    if inverted:
        grey, background = 255 - grey, 255 - background
    height, width = grey.shape
    side = max(height, width)
    square = np.full((side, side), background, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = grey
    return np.asarray(Image.fromarray(square).resize((WIDTH, WIDTH), Image.Resampling.BILINEAR)), inverted


def held_out(options: Data) -> Pictures:
    """The images that a run with these options is judged on while it trains."""
    fingerprint = f"{load.fingerprint(options)}-{options.split}-{options.classes}-{options.images_per_class}"
    _, part = load.parts(options)
    return Pictures(part if isinstance(part, Encoded) else part.images, part.labels, fingerprint)


def of_files(paths: list[Path], digits: bool = False) -> Pictures:
    """These image files, without labels."""
    for path in paths:
        if not path.is_file():
            raise UserError(f"no image {path}")
    names = np.array([os.fsencode(path.absolute()) for path in paths])
    return Pictures(Encoded(Path("/"), names, np.zeros(len(paths), np.int64)), None, digits=digits)


def of_folder(root: Path, classes: list[list[str]], digits: bool = False) -> Pictures:
    """Every image below ``root``.

    If each is in a folder for its class, named by the class's identifier or its name in words, they have labels;
    otherwise none has.

    Args:
        root: where to look.
        classes: (identifier, words) of each class that the network knows, in the order of its labels.
        digits: see `Pictures`.
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
    return Pictures(Encoded(root, np.array(names), np.zeros(len(paths), np.int64)), labels, fingerprint, digits)
