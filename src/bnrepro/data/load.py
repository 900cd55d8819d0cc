"""The data set that a configuration names.

Its module in this package has that name, and three functions of the configuration's ``data``: ``fingerprint``,
``classes`` and ``parts``, which give what the functions of these names here do (docs/add-a-data-set.md).
"""

import importlib
from types import ModuleType

import torch

from bnrepro.config.schema import Config, Data
from bnrepro.data.augment import Augmentation
from bnrepro.data.encoded import Encoded
from bnrepro.data.parts import Labelled, first_of_each_class
from bnrepro.data.resident import ResidentImages
from bnrepro.data.stream import StreamedImages


def _module(options: Data) -> ModuleType:
    return importlib.import_module(f"bnrepro.data.{options.name}")


def fingerprint(options: Data) -> str:
    """What identifies the data set's contents; a part of every run's identity."""
    return _module(options).fingerprint(options)


def classes(options: Data) -> list[list[str]]:
    """Of each class, in the order of the labels, its identifier (a wnid, a digit) and its name in words."""
    return _module(options).classes(options)


def parts(options: Data) -> tuple[Labelled, Labelled] | tuple[Encoded, Encoded]:
    """Training images and those to evaluate on: (M, 3, H, H) uint8 where they fit into memory, else encoded."""
    both = _module(options).parts(options)
    if options.images_per_class:
        return tuple(first_of_each_class(part, options.images_per_class) for part in both)
    return both


def images(config: Config, device: torch.device, replica: tuple[int, int]) -> ResidentImages | StreamedImages:
    """Batches for a convolutional network; ``replica`` is its rank and how many there are."""
    return batches(config, parts(config.data), device, replica)


def batches(
    config: Config, both: tuple, device: torch.device, replica: tuple[int, int] = (0, 1)
) -> ResidentImages | StreamedImages:
    """Batches of what `parts` gave."""
    options, size = config.data, config.training.batch_size
    shared = (*both, size, options.pixels, options.shuffle, Augmentation.of(config.augment), device, replica)
    if isinstance(both[0], Encoded):
        return StreamedImages(*shared, options.workers)
    return ResidentImages(*shared)
