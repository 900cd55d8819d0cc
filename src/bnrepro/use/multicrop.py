"""A network's answers about whole images: probabilities averaged over crops (Sec. 4.2.3, as GoogLeNet)."""

from collections.abc import Callable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bnrepro.data import augment
from bnrepro.data.pictures import Pictures
from bnrepro.records.files import write_atomically
from bnrepro.use.crops import Views, crops_of, cut, views
from bnrepro.use.trained import Trained

PIXELS_TOGETHER = 2**20  # pass through the network together: 1024 images of 32 px, 20 of 224 px


class Predictions(NamedTuple):
    """``probabilities`` and ``logits`` (M, classes) of M images, each the mean over crops, float32."""

    probabilities: np.ndarray
    logits: np.ndarray


def _groups(pictures: Pictures, crops: int, pixels: int, most: int) -> Iterator[tuple[np.ndarray, Views]]:
    """Yield the images in order, as groups of neighbours of one size (n, H, W, 3), with the views of that size.

    A group has at most ``most`` views in all, or is a single image.
    """
    for shape, same in groupby(map(pictures.image, range(len(pictures))), key=np.shape):
        group_views = views(crops_of(crops, *shape[:2], pixels), *shape[:2])
        limit = max(1, most // len(group_views.weights))
        while group := list(islice(same, limit)):
            yield np.stack(group), group_views


def mean_over_crops(network: Callable[[Tensor], Tensor], pictures: Pictures, crops: int, pixels: int) -> Predictions:
    """Return a network's predictions about images of any sizes, from 1, 10 or 144 crops.

    ``network`` maps images (N, 3, pixels, pixels) in [-1, 1] to logits (N, classes).
    """
    probabilities, logits = [], []
    most = max(1, PIXELS_TOGETHER // pixels**2)  # crops that pass through the network together
    for group, group_views in _groups(pictures, crops, pixels, most):
        images = torch.from_numpy(group).permute(0, 3, 1, 2)
        mean_probabilities, mean_logits = 0.0, 0.0
        for start in range(0, len(group_views.weights), most):
            chunk = Views(*(values[start : start + most] for values in group_views))
            cropped = cut(images, chunk, pixels).clamp_(0, 255).div_(255)
            answers = network(augment.finish(cropped.flatten(0, 1))).view(len(group), len(chunk.weights), -1).cpu()
            weights = torch.from_numpy(chunk.weights).float()[:, None]
            mean_probabilities = mean_probabilities + (answers.softmax(2) * weights).sum(1)
            mean_logits = mean_logits + (answers * weights).sum(1)
        probabilities.append(mean_probabilities)
        logits.append(mean_logits)
    return Predictions(torch.cat(probabilities).numpy(), torch.cat(logits).numpy())


def kept_predictions(directory: Path, network: Trained, pictures: Pictures, crops: int) -> Predictions:
    """Return the predictions of a run's network, and keep them in ``predictions/`` of the run's directory.

    There is one file for each set of images, number of crops and state of the network, so each is computed once.
    """
    path = directory / "predictions" / f"{pictures.fingerprint}-{crops}-{network.digest[:16]}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return Predictions(kept["probabilities"], kept["logits"])
    answers = mean_over_crops(network.network_function(), pictures, crops, network.config.data.pixels)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: np.savez(file, **answers._asdict()))
    return answers
