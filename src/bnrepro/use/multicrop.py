"""What a network says of whole images: probabilities averaged over crops (Sec. 4.2.3, as GoogLeNet)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bnrepro.data import augment
from bnrepro.data.pictures import Pictures
from bnrepro.use.crops import Views, crops, cut, views

TOGETHER = 2**20  # pixels that pass through the network together: 1024 images of 32 px, 20 of 224 px


class Predictions(NamedTuple):
    """Of M images: ``probabilities`` and ``logits`` (M, classes), each the mean over crops, float32."""

    probabilities: np.ndarray
    logits: np.ndarray


def _groups(pictures: Pictures, most: Callable[[int, int], int]) -> Iterator[np.ndarray]:
    """The images in order, (n, H, W, 3), those side by side of one size together, ``most`` of them by their size."""
    group: list[np.ndarray] = []
    for k in range(len(pictures)):
        image = pictures.image(k)
        if group and (group[0].shape != image.shape or len(group) >= most(*image.shape[:2])):
            yield np.stack(group)
            group = []
        group.append(image)
    if group:
        yield np.stack(group)


def predict(
    network: Callable[[Tensor], Tensor],
    pictures: Pictures,
    kind: int,
    pixels: int,
    interpolation: str = "bilinear",
    tick: Callable[[int], None] = lambda done: None,
) -> Predictions:
    """Ask a network about images.

    Args:
        network: images (N, 3, pixels, pixels) in [-1, 1] to logits (N, classes).
        pictures: the images, of any sizes.
        kind: 1, 10 or 144 crops, see `crops`.
        pixels: width of what the network gets.
        interpolation: ``bilinear`` or ``bicubic``; both antialiased.
        tick: is told how many images are done.
    """
    probabilities, logits = [], []
    done, most = 0, max(1, TOGETHER // pixels**2)

    def wanted(height: int, width: int) -> int:
        return max(1, most // len(views(crops(kind, height, width, pixels), height, width).weights))

    for group in _groups(pictures, wanted):
        height, width = group.shape[1:3]
        seen = views(crops(kind, height, width, pixels), height, width)
        images = torch.from_numpy(group).permute(0, 3, 1, 2)
        each, logit = 0.0, 0.0
        for start in range(0, len(seen.weights), most):
            some = Views(*(values[start : start + most] for values in seen))
            cropped = cut(images, some, pixels, interpolation).clamp_(0, 255).div_(255)
            said = network(augment.finish(cropped.flatten(0, 1))).view(len(group), len(some.weights), -1).cpu()
            shares = torch.from_numpy(some.weights).float()[:, None]
            each = each + (said.softmax(2) * shares).sum(1)
            logit = logit + (said * shares).sum(1)
        probabilities.append(each)
        logits.append(logit)
        done += len(group)
        tick(done)
    return Predictions(torch.cat(probabilities).numpy(), torch.cat(logits).numpy())
