"""Which parts of an image a network gets: the centre, 10 crops, or GoogLeNet's 144."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bnrepro.data.augment import CENTRE, centre_boxes, resampling

SCALES = (8 / 7, 9 / 7, 10 / 7, 11 / 7)  # 256, 288, 320 and 352 for crops of 224 (GoogLeNet, Sec. 7)
KINDS = (1, 10, 144)


class Crops(NamedTuple):
    """K square crops of one image, each cut from the image resized to a frame of its own.

    ``frames`` (K, 2): the frame's height and width; ``boxes`` (K, 3): top, left and side in the frame's pixels;
    ``mirrored`` (K,).
    """

    frames: np.ndarray
    boxes: np.ndarray
    mirrored: np.ndarray


def _frame(height: int, width: int, shorter: int) -> tuple[int, int]:
    """The size with that shorter side, the aspect kept to the pixel."""
    if height <= width:
        return shorter, round(width * shorter / height)
    return round(height * shorter / width), shorter


def _squares(height: int, width: int) -> list[tuple[int, int, int]]:
    """Left, centre and right square of a landscape, top, centre and bottom of a portrait: (top, left, side)."""
    side = min(height, width)
    room = max(height, width) - side
    along = [0, room // 2, room]
    return [(0, k, side) if width >= height else (k, 0, side) for k in along]


def _inside(square: tuple[int, int, int], crop: int) -> list[tuple[int, int, int]]:
    """The square's four corners and its centre."""
    top, left, side = square
    room = side - crop
    corners = [(top + down, left + across, crop) for down in (0, room) for across in (0, room)]
    return [*corners, (top + room // 2, left + room // 2, crop)]


def crops(kind: int, height: int, width: int, pixels: int, scales: tuple[float, ...] = SCALES) -> Crops:
    """The crops of an image, all that there are, with the duplicates that a square image makes.

    Args:
        kind: 1, the centre square of 0.875 of the shorter side; 10, the corners and the centre of the centre square at
            a shorter side of pixels / 0.875, and their mirror images; 144, at each of four scales left, centre and
            right (top, centre and bottom) square, of each its corners, its centre and the whole square resized, and
            their mirror images (GoogLeNet, Sec. 7).
        height: of the image.
        width: of the image.
        pixels: width of what the network gets; 224 in the papers.
        scales: shorter sides for 144, over ``pixels``.
    """
    if kind == 1:
        top, left, side, _ = centre_boxes(np.array([[height, width]]))[0]
        return Crops(np.array([[height, width]]), np.array([[top, left, side]]), np.zeros(1, bool))
    chosen = []
    for shorter in [round(pixels / CENTRE)] if kind == 10 else [round(pixels * scale) for scale in scales]:
        frame = _frame(height, width, shorter)
        squares = _squares(*frame)
        for square in squares[1:2] if kind == 10 else squares:
            boxes = _inside(square, pixels) + ([square] if kind == 144 else [])
            chosen += [(frame, box, mirrored) for box in boxes for mirrored in (False, True)]
    frames, boxes, mirrored = zip(*chosen, strict=True)
    return Crops(np.array(frames), np.array(boxes), np.array(mirrored))


class Views(NamedTuple):
    """The different crops among K, as parts of the original image, and each one's share of them.

    ``boxes`` (U, 4): top, left, height and width in the original's pixels, fractions included; ``mirrored`` (U,);
    ``weights`` (U,), which sum to 1.
    """

    boxes: np.ndarray
    mirrored: np.ndarray
    weights: np.ndarray


def views(every: Crops, height: int, width: int) -> Views:
    """Each different crop once: a square image's three squares are one."""
    rows = np.column_stack([every.frames, every.boxes, every.mirrored])
    rows, counts = np.unique(rows, axis=0, return_counts=True)
    factors = np.array([height, width]) / rows[:, :2]
    sides = rows[:, 4:5] * factors
    boxes = np.column_stack([rows[:, 2:4] * factors, sides])
    return Views(boxes, rows[:, 5].astype(bool), counts / counts.sum())


def cut(images: Tensor, parts: Views, out: int, interpolation: str = "bilinear") -> Tensor:
    """Every view of every image, (n, U, C, out, out) floats on the scale of the images (n, C, H, W), all of one size.

    One resampling takes a view from the original's pixels to the network's: nothing is resized twice.
    """
    n, channels, rows, columns = images.shape
    boxes = torch.from_numpy(parts.boxes).float().to(images.device)
    mirrored = torch.from_numpy(parts.mirrored).to(images.device)
    # All images share a view's matrices, and many views the rows that they take.
    spans, which = boxes[:, ::2].unique(dim=0, return_inverse=True)
    down = resampling(spans[:, 0], spans[:, 1], rows, out, kernel=interpolation)
    across = resampling(boxes[:, 1], boxes[:, 3], columns, out, mirrored, kernel=interpolation)
    low = down.reshape(-1, rows) @ images.float().permute(2, 0, 1, 3).reshape(rows, -1)
    low = low.view(len(spans), out, n * channels, columns).transpose(1, 2).reshape(len(spans), -1, columns)
    cropped = [low[span] @ matrix.mT for span, matrix in zip(which.tolist(), across, strict=True)]
    return torch.stack(cropped).view(len(cropped), n, channels, out, out).transpose(0, 1)
