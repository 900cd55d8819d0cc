"""The order of training images, and what all batches of images have in common."""

from functools import lru_cache

import numpy as np
import torch

from bnrepro.config.schema import Augment
from bnrepro.config.seeding import numpy_rng
from bnrepro.data.parts import Part
from bnrepro.errors import UserError

EVALUATION_BATCH = 250


class Order:
    """Mini-batches of indices; the last, smaller batch of an epoch is dropped.

    Args:
        images: the number of images.
        batch_size: images per step over all replicas.
        shuffle: ``full`` draws a new order for each epoch. ``shards`` draws one order per seed and keeps it, so that
            the same examples meet in a mini-batch in every epoch. This is the paper's baseline before change 6 of Sec.
            4.2.1, where images were dealt to shards once and shards were read from front to back in a fixed order.
    """

    def __init__(self, images: int, batch_size: int, shuffle: str):
        if images < batch_size:
            raise UserError(f"{images} training images are fewer than the {batch_size} of one step")
        self.images, self.batch_size, self.shuffle = images, batch_size, shuffle
        self.steps_per_epoch = images // batch_size
        self._epoch = lru_cache(maxsize=2)(self._permutation)

    def _permutation(self, seed: int, epoch: int) -> np.ndarray:
        return numpy_rng(seed, "order", epoch).permutation(self.images)

    def __call__(self, seed: int, step: int) -> np.ndarray:
        """Return the indices (batch_size,) of the images of a step (from 0)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = self._epoch(seed, epoch if self.shuffle == "full" else 0)
        return order[position * self.batch_size : (position + 1) * self.batch_size]


class ImageBatches:
    """Batches of labelled images. A batch is a function of the seed and the step alone.

    A subclass has ``batch``, ``fixed_batches`` and ``evaluation_batches``. Their images (N, 3, pixels, pixels) are in
    [-1, 1].

    Args:
        train: images to train on.
        held_out: images to evaluate on.
        batch_size: images per step and replica.
        pixels: width of the images that the network gets.
        shuffle: see `Order`.
        augmentation: of training images; `augment.NONE` shows them whole.
        device: the device of the batches.
        replica: rank and number of the replicas. Each replica gets its own consecutive part of every step's images.
    """

    def __init__(
        self,
        train: Part,
        held_out: Part,
        batch_size: int,
        pixels: int,
        shuffle: str,
        augmentation: Augment,
        device: torch.device,
        replica: tuple[int, int] = (0, 1),
    ):
        self.batch_size, self.pixels, self.augmentation, self.device = batch_size, pixels, augmentation, device
        self.classes = int(train.labels.max()) + 1
        self.held_out = len(held_out.labels)
        self.replica = rank, replicas = replica
        self.replica_slice = slice(rank * batch_size, (rank + 1) * batch_size)  # this replica's part of a step's images
        self.order = Order(len(train.labels), batch_size * replicas, shuffle)
        self.steps_per_epoch = self.order.steps_per_epoch
