"""The data set that a configuration names."""

from pathlib import Path

import numpy as np
import torch

from bnrepro.config.schema import Config, Data
from bnrepro.data import imagenet, mnist, tiny_imagenet
from bnrepro.data.augment import Augmentation
from bnrepro.data.resident import ResidentImages
from bnrepro.data.stream import StreamedImages


def fingerprint(options: Data) -> str:
    """What identifies the data set's contents.

    Raises:
        UserError: it has to be looked at and is not there.
    """
    if options.name == "mnist":
        return mnist.FINGERPRINT
    if options.name == "imagenet":
        return imagenet.collection(Path(options.root)).fingerprint
    return tiny_imagenet.index(Path(options.root))["fingerprint"]


def classes(options: Data) -> list[list[str]]:
    """Of each class, in the order of the labels, its identifier (a wnid, a digit) and its name in words."""
    if options.name == "mnist":
        return [[str(digit)] * 2 for digit in range(mnist.CLASSES)]
    if options.name == "imagenet":
        found = imagenet.collection(Path(options.root))
        wnids, names = found.wnids, found.names
    else:
        told = tiny_imagenet.index(Path(options.root))
        wnids, names = told["wnids"], told["names"]
    return [[wnids[k], names[k]] for k in tiny_imagenet.chosen_classes(options.classes or len(wnids), len(wnids))]


def arrays(options: Data) -> tuple[mnist.Labelled, mnist.Labelled]:
    """Training images (M, 3, H, H) uint8 with their labels (M,), and those to evaluate on, of what fits into memory."""
    digits = options.name == "mnist"
    if digits:
        parts = mnist.split(Path(options.root), options.split)
    else:
        parts = tiny_imagenet.load(Path(options.root), options.classes, options.split)
    if options.images_per_class:
        parts = tuple(_first_of_each(part, options.images_per_class) for part in parts)
    return tuple((_as_pictures(images), labels) for images, labels in parts) if digits else parts


def images(config: Config, on: torch.device, replica: tuple[int, int]) -> ResidentImages | StreamedImages:
    """Images for a convolutional network."""
    options = config.data
    if options.name == "imagenet":
        found = imagenet.collection(Path(options.root))
        return StreamedImages(
            *imagenet.parts(found, options.classes, options.split, options.images_per_class),
            config.training.batch_size,
            options.pixels,
            options.shuffle,
            Augmentation.of(config.augment),
            on,
            replica,
            options.workers,
        )
    return ResidentImages(
        *arrays(options),
        config.training.batch_size,
        options.pixels,
        options.shuffle,
        Augmentation.of(config.augment),
        on,
        replica,
    )


def _as_pictures(digits: np.ndarray) -> np.ndarray:
    """(M, 28, 28) bytes as (M, 3, 32, 32), with an edge of black."""
    padded = np.pad(digits, ((0, 0), (2, 2), (2, 2)))
    return np.repeat(padded[:, None], 3, axis=1)


def _first_of_each(part: mnist.Labelled, count: int) -> mnist.Labelled:
    images, labels = part
    kept = np.sort(np.concatenate([np.flatnonzero(labels == k)[:count] for k in np.unique(labels)]))
    return images[kept], labels[kept]
