"""Images in the memory of the CPU or a GPU, cropped and distorted there one batch at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnrepro.config.seeding import numpy_rng
from bnrepro.data import augment
from bnrepro.data.batches import EVALUATION_BATCH, ImageBatches
from bnrepro.data.parts import Labelled

CHUNK = 64  # steps whose random numbers are drawn together


class ResidentImages(ImageBatches):
    """Batches of square images of one size, (M, 3, H, H) uint8, all on the device; for the arguments see the base."""

    def __init__(self, train: Labelled, held_out: Labelled, *shared: Any):
        train, held_out = Labelled(*train), Labelled(*held_out)
        super().__init__(train, held_out, *shared)
        self.train_images, self.train_labels = self._to_device(train.images), self._to_device(train.labels).long()
        self.eval_images, self.eval_labels = self._to_device(held_out.images), self._to_device(held_out.labels).long()
        self._chunk: tuple[int, str, int] | None = None

    def _to_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def drawn(self, seed: int, purpose: str, chunk: int) -> tuple[np.ndarray, augment.Draws]:
        """Return the indices (CHUNK, batch_size) of this replica's images in a chunk of steps, and their draws."""
        steps = range(chunk * CHUNK, (chunk + 1) * CHUNK)
        index = np.stack([self.order(seed, step) for step in steps])
        sizes = np.broadcast_to(np.array(self.train_images.shape[2:]), (index.size, 2))
        draws = augment.draw(numpy_rng(seed, purpose, chunk), sizes, self.augmentation)
        of_replica = [values.reshape(*index.shape, *values.shape[1:])[:, self.replica_slice] for values in draws]
        return index[:, self.replica_slice], augment.Draws(*of_replica)

    def _augmented(self, seed: int, purpose: str, step: int) -> tuple[Tensor, Tensor]:
        chunk, k = divmod(step, CHUNK)
        if self._chunk != (seed, purpose, chunk):
            index, draws = self.drawn(seed, purpose, chunk)
            self._index = self._to_device(index)
            self._draws = [self._to_device(values) for values in draws]
            self._chunk = seed, purpose, chunk
        index = self._index[k]
        boxes, flips, brightness, saturation = (values[k] for values in self._draws)
        images = self.train_images.index_select(0, index)
        images = augment.crop_and_resize(images, boxes, self.pixels, flips).div_(255)
        if self.augmentation.colour:
            images = augment.distort(images, brightness, saturation)
        return augment.finish(images), self.train_labels[index]

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Return the images (N, 3, pixels, pixels) in [-1, 1] and the labels (N,) of a step (from 0) for a seed."""
        return self._augmented(seed, "augment", step)

    def fixed_batches(self, count: int, purpose: str) -> Iterator[Tensor]:
        """Yield ``count`` training batches, augmented as in training, that are the same for every run and seed."""
        for step in range(count):
            yield self._augmented(0, purpose, step)[0]

    def evaluation_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the single centre crops of the held-out images in order, with their labels."""
        height, width = self.eval_images.shape[2:]
        box = self._to_device(augment.centre_boxes(np.array([[height, width]])))
        batches = zip(self.eval_images.split(EVALUATION_BATCH), self.eval_labels.split(EVALUATION_BATCH), strict=True)
        for images, labels in batches:
            cropped = augment.crop_and_resize(images, box.expand(len(images), 4), self.pixels)
            yield augment.finish(cropped / 255), labels
