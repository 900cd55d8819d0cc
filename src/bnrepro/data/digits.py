"""Any pictures of digits as MNIST has its own: 28 pixels wide, grey, white on black."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from bnrepro.data.mnist import WIDTH
from bnrepro.data.pictures import Pictures

EDGE = 2  # of black, as `bnrepro.data.load` has it: the single centre crop of 0.875 is then the whole digit
MIDDLE = 127  # of 255


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


@dataclass(frozen=True)
class Digits:
    """Pictures as `as_digit` makes them; those that were inverted are noted as they are looked at."""

    pictures: Pictures
    inverted: set[int] = field(default_factory=set)

    @property
    def labels(self) -> np.ndarray | None:
        return self.pictures.labels

    @property
    def fingerprint(self) -> str:
        return self.pictures.fingerprint

    def __len__(self) -> int:
        return len(self.pictures)

    def image(self, k: int) -> np.ndarray:
        digit, inverted = as_digit(self.pictures.image(k))
        if inverted:
            self.inverted.add(k)
        return np.repeat(np.pad(digit, EDGE)[..., None], 3, axis=2)

    def name(self, k: int) -> str:
        return self.pictures.name(k)

    def remark(self) -> str:
        """What was done to those that are not white on black; nothing if all are."""
        count = len(self.inverted)
        how = f"{count} of {len(self)} pictures are dark on light, and were inverted"
        return f"{how}: MNIST's digits are white on black" if count else ""
