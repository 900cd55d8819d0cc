"""The training images of each step, as a function of seed and step alone."""

from functools import lru_cache

import numpy as np

from bnrepro.config.seeding import numpy_rng
from bnrepro.errors import UserError


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
