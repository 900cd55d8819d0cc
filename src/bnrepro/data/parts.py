"""Labelled images, in memory or encoded in files, and the choice of classes and splits from them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from bnrepro.config.seeding import numpy_rng
from bnrepro.errors import UserError

HELD_OUT_SHARE = 0.1  # of each class's training images, set aside by split="tune"; our choice


class Labelled(NamedTuple):
    """Images in memory (M, ...) with their labels (M,)."""

    images: np.ndarray
    labels: np.ndarray

    def subset(self, index: np.ndarray, labels: np.ndarray) -> "Labelled":
        """Return the images of an index with new labels."""
        return Labelled(self.images[index], labels)


@dataclass(frozen=True)
class Encoded:
    """M images in files of their own, which stay encoded until a batch needs them.

    The names are in an array, because worker processes share arrays instead of copying them.

    Args:
        folder: the folder that holds the files.
        names: (M,) bytes, the path of each image's file relative to the folder.
        labels: (M,) int64.
    """

    folder: Path
    names: np.ndarray
    labels: np.ndarray

    def path(self, k: int) -> Path:
        """Return the file that holds image k."""
        return self.folder / os.fsdecode(self.names[k])

    def read(self, k: int) -> bytes:
        """Return the encoded image k."""
        return self.path(k).read_bytes()

    def subset(self, index: np.ndarray, labels: np.ndarray) -> "Encoded":
        """Return the images of an index with new labels."""
        return Encoded(self.folder, self.names[index], labels)


Part = TypeVar("Part", Labelled, Encoded)


def chosen_classes(classes: int, total: int) -> list[int]:
    """Return evenly spaced classes, such as every 4th of 200 for 50; 0 stands for all classes."""
    if classes > total:
        raise UserError(f"data.classes={classes}, but the data set has {total}")
    classes = classes or total
    return [k * total // classes for k in range(classes)]


def split(train: Part, val: Part | None, classes: list[int], purpose: str) -> tuple[Part, Part]:
    """Return the images to train on and the images to evaluate on, both with labels from 0.

    Args:
        train: training images, sorted by class.
        val: validation images, sorted by class. If it is None, a fixed random tenth of each class's training images
            is held out for evaluation.
        classes: the classes to keep.
        purpose: the name of the random stream that chooses the tenth.
    """
    if val is not None:
        return tuple(_by_class(part, [_of_class(part, k) for k in classes]) for part in (train, val))
    kept, held_out = [], []
    for k in classes:
        # k is the label in the whole data set, so the split of a class does not depend on the other chosen classes.
        order = numpy_rng(0, purpose, k).permutation(_of_class(train, k))
        count = max(1, int(len(order) * HELD_OUT_SHARE))
        if len(order) == count:
            raise UserError(f"data.split=tune: class {k} has one training image; two are needed")
        held_out.append(np.sort(order[:count]))
        kept.append(np.sort(order[count:]))
    return _by_class(train, kept), _by_class(train, held_out)


def _of_class(part: Part, k: int) -> np.ndarray:
    return np.arange(*np.searchsorted(part.labels, [k, k + 1]))


def _by_class(part: Part, indices: list[np.ndarray]) -> Part:
    labels = np.repeat(np.arange(len(indices)), [len(index) for index in indices])
    return part.subset(np.concatenate(indices), labels)


def first_of_each_class(part: Part, count: int) -> Part:
    """Return the first ``count`` images of each class."""
    labels = part.labels
    index = np.sort(np.concatenate([np.flatnonzero(labels == k)[:count] for k in np.unique(labels)]))
    return part.subset(index, labels[index])
