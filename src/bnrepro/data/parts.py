"""Parts of a data set: which of its classes, and which images to evaluate on."""

from typing import NamedTuple, TypeVar

import numpy as np

from bnrepro.config.seeding import numpy_rng
from bnrepro.data.encoded import Encoded
from bnrepro.errors import UserError

HELD_OUT_SHARE = 0.1  # of each class's training images, set aside by split="tune"; our choice


class Labelled(NamedTuple):
    """Images in memory (M, ...) with their labels (M,)."""

    images: np.ndarray
    labels: np.ndarray

    def only(self, index: np.ndarray, labels: np.ndarray) -> "Labelled":
        """The images of an index, with other labels."""
        return Labelled(self.images[index], labels)


Part = TypeVar("Part", Labelled, Encoded)


def chosen_classes(classes: int, total: int) -> list[int]:
    """Evenly spaced classes: every 4th of 200 for 50; all of them for 0."""
    if classes > total:
        raise UserError(f"data.classes={classes}, but the data set has {total}")
    classes = classes or total
    return [k * total // classes for k in range(classes)]


def split(train: Part, val: Part | None, classes: list[int], purpose: str) -> tuple[Part, Part]:
    """Training images and those to evaluate on, of some classes, with labels from 0.

    Args:
        train: training images, sorted by class.
        val: validation images, sorted by class; None evaluates on a fixed random tenth of each class's training images
            instead, which are then not trained on.
        classes: which ones.
        purpose: of the random stream that chooses this tenth.
    """
    if val is not None:
        return tuple(_relabelled(part, [_of_class(part, k) for k in classes]) for part in (train, val))
    kept, held_out = [], []
    for k in classes:  # by class of the whole data set, so that a class is split alike however many are chosen
        order = numpy_rng(0, purpose, k).permutation(_of_class(train, k))
        count = max(1, int(len(order) * HELD_OUT_SHARE))
        if len(order) == count:
            raise UserError(f"data.split=tune: class {k} has one training image; two are needed")
        held_out.append(np.sort(order[:count]))
        kept.append(np.sort(order[count:]))
    return _relabelled(train, kept), _relabelled(train, held_out)


def _of_class(part: Part, k: int) -> np.ndarray:
    return np.arange(*np.searchsorted(part.labels, [k, k + 1]))


def _relabelled(part: Part, by_class: list[np.ndarray]) -> Part:
    labels = np.repeat(np.arange(len(by_class)), [len(index) for index in by_class])
    return part.only(np.concatenate(by_class), labels)


def first_of_each_class(part: Part, count: int) -> Part:
    """The first so many images of each class."""
    labels = part.labels
    index = np.sort(np.concatenate([np.flatnonzero(labels == k)[:count] for k in np.unique(labels)]))
    return part.only(index, labels[index])
