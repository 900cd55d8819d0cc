"""GoogLeNet's augmentation: crops of 8-100 % of the area, mirror images, photometric distortions.

Random numbers are drawn with numpy. Pixels are changed by batched tensor operations on the device of the images.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.config.schema import Augment

ATTEMPTS = 10  # to draw a crop that fits into the image, as torchvision's RandomResizedCrop
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's "L"
BRIGHTNESS, SATURATION = 32 / 255, 0.5  # at strength 1, as tf-slim's fast mode; the paper gives no amounts
NONE = Augment("none", [1.0, 1.0], [1.0, 1.0], flip=False, colour=0.0)  # the whole image, unchanged
CENTRE = 0.875  # share of the shorter side that the centre crop of an evaluation takes (224 of 256)


class Draws(NamedTuple):
    """The random numbers of n images.

    Args:
        boxes: (n, 4), top, left, height and width of the crop in pixels.
        flips: (n,), whether the crop is mirrored.
        brightness: (n,), added to pixels in [0, 1].
        saturation: (n,); 1 leaves the colours as they are, 0 makes the image grey.
    """

    boxes: np.ndarray
    flips: np.ndarray
    brightness: np.ndarray
    saturation: np.ndarray


def draw_boxes(
    rng: np.random.Generator, sizes: np.ndarray, area: Sequence[float], aspect: Sequence[float]
) -> np.ndarray:
    """Draw a crop of each image by torchvision's rule: area uniform, log aspect uniform, up to 10 attempts.

    If no attempt fits, the crop is the largest centre crop of an allowed aspect. ``sizes`` (n, 2) are the heights and
    widths of the images; the result (n, 4) holds top, left, height and width as integers.
    """
    n = len(sizes)
    height, width = sizes[:, :1], sizes[:, 1:]
    areas = height * width * rng.uniform(*area, (n, ATTEMPTS))
    ratio = np.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1]), (n, ATTEMPTS)))
    w, h = np.rint(np.sqrt(areas * ratio)), np.rint(np.sqrt(areas / ratio))
    fits = (w >= 1) & (h >= 1) & (w <= width) & (h <= height)
    first = fits.argmax(1)
    rows = np.arange(n)
    clipped = np.clip(sizes[:, 1] / sizes[:, 0], *aspect)
    centred = ~fits.any(1)
    w = np.where(centred, np.minimum(sizes[:, 1], np.rint(sizes[:, 0] * clipped)), w[rows, first])
    h = np.where(centred, np.minimum(sizes[:, 0], np.rint(sizes[:, 1] / clipped)), h[rows, first])
    room = sizes - np.stack([h, w], 1)
    corner = np.where(centred[:, None], room // 2, np.floor(rng.random((n, 2)) * (room + 1)))
    return np.column_stack([corner, h, w]).astype(np.int64)


def draw(rng: np.random.Generator, sizes: np.ndarray, options: Augment) -> Draws:
    """Draw all random numbers of n images of the given heights and widths (n, 2)."""
    n = len(sizes)
    boxes = draw_boxes(rng, sizes, options.area, options.aspect)
    flips = (rng.random(n) < 0.5) & options.flip
    brightness = rng.uniform(-1, 1, n) * BRIGHTNESS * options.colour
    saturation = 1 + rng.uniform(-1, 1, n) * SATURATION * options.colour
    return Draws(boxes, flips, brightness.astype(np.float32), saturation.astype(np.float32))


def centre_boxes(sizes: np.ndarray, share: float = CENTRE) -> np.ndarray:
    """Return the centre squares (n, 4) with a share of the shorter side."""
    side = np.rint(sizes.min(1) * share)
    corner = (sizes - side[:, None]) // 2
    return np.column_stack([corner, side, side]).astype(np.int64)


def resampling(start: Tensor, length: Tensor, source: int, out: int, flips: Tensor | None = None) -> Tensor:
    """Return matrices (n, out, source) that resize the pixels [start, start + length) of a row to ``out`` pixels.

    They are bilinear and antialiased in the way of Pillow and torchvision: the kernel is as wide as an output pixel, or
    as a source pixel when it enlarges, it ends at the ends of the interval, and its weights sum to 1. A pixel is in the
    interval if its centre is. ``flips`` (n,) says which rows to mirror.
    """
    start, length = start.float()[:, None, None], length.float()[:, None, None]
    scale = length / out
    i = torch.arange(out, device=start.device, dtype=torch.float32)[None, :, None]
    j = torch.arange(source, device=start.device, dtype=torch.float32)[None, None, :]
    centre = start + (i + 0.5) * scale
    weights = (1 - ((j + 0.5 - centre) / scale.clamp(min=1)).abs()).clamp(min=0)
    weights = weights * ((j + 0.5 >= start) & (j + 0.5 < start + length))
    weights = weights / weights.sum(2, keepdim=True)
    return weights if flips is None else torch.where(flips[:, None, None], weights.flip(1), weights)


def crop_and_resize(images: Tensor, boxes: Tensor, out: int, flips: Tensor | None = None) -> Tensor:
    """Crop images (n, C, H, W) to boxes (n, 4), and resize them to floats (n, C, out, out) on the same scale."""
    top, left, height, width = boxes.unbind(1)
    down = resampling(top, height, images.shape[2], out)
    across = resampling(left, width, images.shape[3], out, flips)
    n, channels, rows, columns = images.shape
    narrow = torch.bmm(images.float().view(n, channels * rows, columns), across.mT)
    return down[:, None] @ narrow.view(n, channels, rows, out)


def resized(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Crop an image (H, W, 3) uint8 to a box (top, left, height, width), and resize it to (3, *size) uint8.

    The rule is that of `crop_and_resize`, rounded to bytes.
    """
    top, left, height, width = map(int, box)
    pixels = torch.from_numpy(np.require(image, requirements="W"))  # Pillow's arrays are read-only
    crop = pixels[top : top + height, left : left + width].permute(2, 0, 1)[None]
    return F.interpolate(crop, size, mode="bilinear", antialias=True)[0]


@cache
def _luma(device: torch.device) -> Tensor:
    return torch.tensor(LUMA, device=device)


def distort(images: Tensor, brightness: Tensor, saturation: Tensor) -> Tensor:
    """Change the brightness and saturation of images (n, 3, H, W) in [0, 1]; the result is clamped to [0, 1]."""
    grey = torch.einsum("nchw,c->nhw", images, _luma(images.device))[:, None]
    factor = saturation[:, None, None, None]
    return (factor * images + (1 - factor) * grey + brightness[:, None, None, None]).clamp(0, 1)


def finish(images: Tensor) -> Tensor:
    """Map pixels in [0, 1] to the network's [-1, 1], in place, and lay them out with channels last."""
    return images.mul_(2).sub_(1).contiguous(memory_format=torch.channels_last)
