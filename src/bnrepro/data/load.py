"""The data set that a configuration names.

Its module in this package has that name and three functions of the configuration's ``data``: ``fingerprint``,
``classes`` and ``parts``. They return what the functions of these names here return (docs/add-a-data-set.md).
"""

import importlib
from types import ModuleType

import torch

from bnrepro.config.schema import Config, Data
from bnrepro.data.augment import NONE
from bnrepro.data.parts import Encoded, Labelled, first_of_each_class
from bnrepro.data.resident import ResidentImages
from bnrepro.data.stream import StreamedImages


def _module(options: Data) -> ModuleType:
    return importlib.import_module(f"bnrepro.data.{options.name}")


def fingerprint(options: Data) -> str:
    """Return what identifies the contents of the data set; it is a part of every run's identity."""
    return _module(options).fingerprint(options)


def classes(options: Data) -> list[list[str]]:
    """Return the identifier (a wnid or a digit) and the name in words of each class, in the order of the labels."""
    return _module(options).classes(options)


def parts(options: Data) -> tuple[Labelled, Labelled] | tuple[Encoded, Encoded]:
    """Return the images to train on and to evaluate on: (M, 3, H, H) uint8 if they fit into memory, else encoded."""
    images = _module(options).parts(options)
    if options.images_per_class:
        return tuple(first_of_each_class(part, options.images_per_class) for part in images)
    return images


def batches(
    config: Config, images: tuple, device: torch.device, replica: tuple[int, int] = (0, 1)
) -> ResidentImages | StreamedImages:
    """Return the batches of the images that `parts` returned; ``replica`` is the rank and the number of replicas."""
    options, size = config.data, config.training.batch_size
    augmentation = NONE if config.augment.name == "none" else config.augment
    arguments = (*images, size, options.pixels, options.shuffle, augmentation, device, replica)
    if isinstance(images[0], Encoded):
        return StreamedImages(*arguments, workers=options.workers)
    return ResidentImages(*arguments)
