"""A network's answers about whole images: probabilities averaged over crops (Sec. 4.2.3, as GoogLeNet)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bnrepro.data import augment
from bnrepro.data.pictures import Pictures
from bnrepro.records.files import write_atomically
from bnrepro.use.crops import Views, crops, cut, views
from bnrepro.use.trained import Trained

TOGETHER = 2**20  # pixels that pass through the network together: 1024 images of 32 px, 20 of 224 px


class Predictions(NamedTuple):
    """Of M images: ``probabilities`` and ``logits`` (M, classes), each the mean over crops, float32."""

    probabilities: np.ndarray
    logits: np.ndarray


def _groups(pictures: Pictures, limit: Callable[[int, int], int]) -> Iterator[np.ndarray]:
    """The images in order, (n, H, W, 3), neighbours of one size together, at most ``limit`` of that size."""
    group: list[np.ndarray] = []
    for k in range(len(pictures)):
        image = pictures.image(k)
        if group and (group[0].shape != image.shape or len(group) >= limit(*image.shape[:2])):
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
        tick: gets the number of images that are done.
    """
    probabilities, logits = [], []
    done, most = 0, max(1, TOGETHER // pixels**2)

    def limit(height: int, width: int) -> int:
        return max(1, most // len(views(crops(kind, height, width, pixels), height, width).weights))

    for group in _groups(pictures, limit):
        height, width = group.shape[1:3]
        every = views(crops(kind, height, width, pixels), height, width)
        images = torch.from_numpy(group).permute(0, 3, 1, 2)
        mean_probabilities, mean_logits = 0.0, 0.0
        for start in range(0, len(every.weights), most):
            some = Views(*(values[start : start + most] for values in every))
            cropped = cut(images, some, pixels, interpolation).clamp_(0, 255).div_(255)
            answers = network(augment.finish(cropped.flatten(0, 1))).view(len(group), len(some.weights), -1).cpu()
            shares = torch.from_numpy(some.weights).float()[:, None]
            mean_probabilities = mean_probabilities + (answers.softmax(2) * shares).sum(1)
            mean_logits = mean_logits + (answers * shares).sum(1)
        probabilities.append(mean_probabilities)
        logits.append(mean_logits)
        done += len(group)
        tick(done)
    return Predictions(torch.cat(probabilities).numpy(), torch.cat(logits).numpy())


def predictions(
    directory: Path,
    network: Trained,
    pictures: Pictures,
    kind: int,
    interpolation: str,
    tick: Callable[[int], None] = lambda done: None,
) -> Predictions:
    """`predict` of a run's network, kept in the run's ``directory``, so that asking again costs nothing.

    ``predictions/`` in it holds a file for each set of images, number of crops, and state of the network.
    """
    name = f"{pictures.fingerprint}-{kind}-{interpolation}-{network.digest[:16]}.npz"
    path = directory / "predictions" / name
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return Predictions(kept["probabilities"], kept["logits"])
    answers = predict(network.predictor(), pictures, kind, network.config.data.pixels, interpolation, tick)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: np.savez(file, **answers._asdict()))
    return answers
