"""Images held whole as bytes, on the CPU or a GPU, cropped and distorted there a batch at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bnrepro.config.seeding import numpy_rng
from bnrepro.data import augment
from bnrepro.data.order import Order

CHUNK = 64  # steps whose random numbers are drawn together
EVALUATION_BATCH = 250


class ResidentImages:
    """A data set of square images of one size.

    Args:
        train: (M, 3, H, H) uint8 and their labels (M,).
        held_out: images and labels to evaluate on.
        batch_size: images a step and replica.
        pixels: width of the images that the network gets.
        shuffle: see `Order`.
        augmentation: see `augment.Augmentation`.
        device: where the images lie and batches are made.
        replica: (rank, how many): this one gets its own consecutive part of every step's images.
    """

    def __init__(
        self,
        train: tuple[np.ndarray, np.ndarray],
        held_out: tuple[np.ndarray, np.ndarray],
        batch_size: int,
        pixels: int,
        shuffle: str,
        augmentation: augment.Augmentation,
        device: torch.device,
        replica: tuple[int, int] = (0, 1),
    ):
        def resident(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        self.classes = int(train[1].max()) + 1
        self.train_images, self.train_labels = resident(train[0]), resident(train[1].astype(np.int64))
        self.eval_images, self.eval_labels = resident(held_out[0]), resident(held_out[1].astype(np.int64))
        self.held_out = len(self.eval_labels)
        self.batch_size, self.pixels, self.augmentation, self.device = batch_size, pixels, augmentation, device
        self.rank, self.replicas = replica
        self.order = Order(len(train[0]), batch_size * self.replicas, shuffle)
        self.steps_per_epoch = self.order.steps_per_epoch
        self._chunk: tuple[int, str, int] | None = None

    def drawn(self, seed: int, purpose: str, chunk: int) -> tuple[np.ndarray, augment.Draws]:
        """Of a chunk of steps, the indices of this replica's images (CHUNK, batch_size) and their random numbers."""
        per_step = self.order.batch_size
        sizes = np.broadcast_to(np.array(self.train_images.shape[2:]), (CHUNK * per_step, 2))
        draws = augment.draw(numpy_rng(seed, purpose, chunk), sizes, self.augmentation)
        index = np.stack([self.order(seed, step) for step in range(chunk * CHUNK, (chunk + 1) * CHUNK)])
        mine = slice(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)

        def own(values: np.ndarray) -> np.ndarray:
            return values.reshape(CHUNK, per_step, *values.shape[1:])[:, mine]

        return own(index.reshape(-1)), augment.Draws(*(own(values) for values in vars(draws).values()))

    def _draw(self, seed: int, purpose: str, chunk: int) -> None:
        """The indices and random numbers of a chunk of steps, (CHUNK, batch_size, ...), on the device."""
        index, draws = self.drawn(seed, purpose, chunk)

        def on_device(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

        self._index = on_device(index)
        self._boxes, self._flips = on_device(draws.boxes), on_device(draws.flips)
        self._brightness, self._saturation = on_device(draws.brightness), on_device(draws.saturation)
        self._chunk = seed, purpose, chunk

    def _augmented(self, seed: int, purpose: str, step: int) -> tuple[Tensor, Tensor]:
        chunk, k = divmod(step, CHUNK)
        if self._chunk != (seed, purpose, chunk):
            self._draw(seed, purpose, chunk)
        index = self._index[k]
        images = self.train_images.index_select(0, index)
        images = augment.crop_and_resize(images, self._boxes[k], self.pixels, self._flips[k]).div_(255)
        if self.augmentation.colour:
            images = augment.distort(images, self._brightness[k], self._saturation[k])
        return augment.finish(images), self.train_labels[index]

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, 3, pixels, pixels) in [-1, 1] and labels (N,) that a seed sees at a step (from 0)."""
        return self._augmented(seed, "augment", step)

    def fixed_batches(self, count: int, purpose: str) -> Iterator[Tensor]:
        """``count`` training mini-batches, augmented as in training, the same for every run and seed."""
        for step in range(count):
            yield self._augmented(0, purpose, step)[0]

    def evaluation_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The held-out images as the single centre crop sees them, in order, with their labels."""
        for start in range(0, len(self.eval_images), EVALUATION_BATCH):
            images = self.eval_images[start : start + EVALUATION_BATCH]
            size = np.broadcast_to(np.array(images.shape[2:]), (len(images), 2))
            boxes = torch.from_numpy(augment.centre_boxes(size)).to(self.device)
            cropped = augment.crop_and_resize(images, boxes, self.pixels)
            yield augment.finish(cropped / 255), self.eval_labels[start : start + EVALUATION_BATCH]
