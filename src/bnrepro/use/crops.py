"""The parts of an image that a network sees: the centre, 10 crops, or GoogLeNet's 144."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bnrepro.data.augment import CENTRE, centre_boxes, resampling

SCALES = (8 / 7, 9 / 7, 10 / 7, 11 / 7)  # 256, 288, 320 and 352 for crops of 224 (GoogLeNet, Sec. 7)
CROP_COUNTS = (1, 10, 144)


class Crops(NamedTuple):
    """K square crops of one image, each from a frame, which is the image resized.

    ``frames`` (K, 2) are the heights and widths of the frames; ``boxes`` (K, 3) are top, left and side in pixels of the
    frame; ``mirrored`` is (K,).
    """

    frames: np.ndarray
    boxes: np.ndarray
    mirrored: np.ndarray


def crops_of(crops: int, height: int, width: int, pixels: int) -> Crops:
    """Return the crops of an image for a network with inputs of ``pixels``, with the duplicates of a square image.

    1 crop is the centre square of 0.875 of the shorter side. 10 crops are the corners and the centre of the centre
    square, where the shorter side is pixels / 0.875, and their mirror images. 144 crops are, at each of four scales and
    of each of the left, centre and right squares (of a portrait the top, centre and bottom squares), the corners, the
    centre and the whole square resized, and their mirror images (GoogLeNet, Sec. 7).
    """
    if crops == 1:
        top, left, side, _ = centre_boxes(np.array([[height, width]]))[0]
        return Crops(np.array([[height, width]]), np.array([[top, left, side]]), np.zeros(1, bool))
    chosen = []
    for side in [round(pixels / CENTRE)] if crops == 10 else [round(pixels * scale) for scale in SCALES]:
        landscape = width >= height
        longer = round(max(height, width) * side / min(height, width))
        frame = (side, longer) if landscape else (longer, side)
        room = longer - side
        inner = side - pixels
        for start in [room // 2] if crops == 10 else [0, room // 2, room]:
            top, left = (0, start) if landscape else (start, 0)
            boxes = [(top + down, left + across, pixels) for down in (0, inner) for across in (0, inner)]
            boxes.append((top + inner // 2, left + inner // 2, pixels))
            if crops == 144:
                boxes.append((top, left, side))
            chosen += [(frame, box, mirrored) for box in boxes for mirrored in (False, True)]
    frames, boxes, mirrored = zip(*chosen, strict=True)
    return Crops(np.array(frames), np.array(boxes), np.array(mirrored))


class Views(NamedTuple):
    """The different crops among K, as parts of the original image.

    ``boxes`` (U, 4) are top, left, height and width in pixels of the original, with fractions; ``mirrored`` is (U,);
    ``weights`` (U,) are the shares of the K crops, and sum to 1.
    """

    boxes: np.ndarray
    mirrored: np.ndarray
    weights: np.ndarray


def views(crops: Crops, height: int, width: int) -> Views:
    """Return each different crop of an image once; the three squares of a square image are one."""
    rows = np.column_stack([crops.frames, crops.boxes, crops.mirrored])
    rows, counts = np.unique(rows, axis=0, return_counts=True)
    factors = np.array([height, width]) / rows[:, :2]
    sides = rows[:, 4:5] * factors
    boxes = np.column_stack([rows[:, 2:4] * factors, sides])
    return Views(boxes, rows[:, 5].astype(bool), counts / counts.sum())


def cut(images: Tensor, views: Views, out: int) -> Tensor:
    """Return every view of images (n, C, H, W) of one size as floats (n, U, C, out, out) on the same scale.

    A view is resampled once, from the pixels of the original to those of the network.
    """
    n, channels, rows, columns = images.shape
    boxes = torch.from_numpy(views.boxes).float().to(images.device)
    mirrored = torch.from_numpy(views.mirrored).to(images.device)
    # All images share the matrices of a view, and many views share the rows that they take.
    spans, span_of = boxes[:, ::2].unique(dim=0, return_inverse=True)
    down = resampling(spans[:, 0], spans[:, 1], rows, out)
    across = resampling(boxes[:, 1], boxes[:, 3], columns, out, mirrored)
    low = down.reshape(-1, rows) @ images.float().permute(2, 0, 1, 3).reshape(rows, -1)
    low = low.view(len(spans), out, n * channels, columns).transpose(1, 2).reshape(len(spans), -1, columns)
    cropped = [low[span] @ matrix.mT for span, matrix in zip(span_of.tolist(), across, strict=True)]
    return torch.stack(cropped).view(len(cropped), n, channels, out, out).transpose(0, 1)
