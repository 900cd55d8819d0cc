"""Images that worker processes read and decode while the network trains."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bnrepro.config.schema import Augment
from bnrepro.config.seeding import numpy_rng
from bnrepro.data import augment
from bnrepro.data.batches import EVALUATION_BATCH, ImageBatches, Order
from bnrepro.data.decode import CorruptImage, decode
from bnrepro.data.parts import Encoded
from bnrepro.errors import UserError

AHEAD = 2  # batches that each worker makes before they are needed


class BatchRequest(NamedTuple):
    """A batch to make: the indices (n,) of its images and, in training, the random stream of its crops and colours."""

    index: np.ndarray
    stream: tuple[int, str, int] | None


class PreparedBatch(NamedTuple):
    """A batch that a worker has made.

    ``images`` (n, 3, pixels, pixels) are uint8 with channels last in memory, cropped and mirrored; ``labels``,
    ``brightness`` and ``saturation`` are (n,).
    """

    images: Tensor
    labels: Tensor
    brightness: Tensor
    saturation: Tensor


class _Maker(Dataset):
    """Reads, decodes, crops and resizes images; it runs in the workers. For the arguments see `ImageBatches`."""

    def __init__(self, part: Encoded, pixels: int, augmentation: Augment, replica: tuple[int, int]):
        self.part, self.pixels, self.augmentation, self.replica = part, pixels, augmentation, replica

    def __getitem__(self, request: BatchRequest) -> PreparedBatch | str:
        """Make a batch, or return a message if an image cannot be decoded."""
        decoded = []
        for k in request.index:
            try:
                decoded.append(decode(self.part.read(k)))
            except (CorruptImage, OSError) as error:
                return f"{self.part.path(k)} cannot be decoded ({error})"
        draws = self._draws(request, np.array([image.shape[:2] for image in decoded]))
        shape = len(decoded), 3, self.pixels, self.pixels
        images = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        for k, (image, box, flip) in enumerate(zip(decoded, draws.boxes, draws.flips, strict=True)):
            crop = augment.resized(image, box, (self.pixels, self.pixels))
            images[k] = crop.flip(2) if flip else crop
        return PreparedBatch(
            images, *map(torch.from_numpy, (self.part.labels[request.index], draws.brightness, draws.saturation))
        )

    def _draws(self, request: BatchRequest, sizes: np.ndarray) -> augment.Draws:
        n = len(sizes)
        if request.stream is None:  # brightness 0 and saturation 1 leave the colours exactly as they are
            boxes, flips = augment.centre_boxes(sizes), np.zeros(n, bool)
            return augment.Draws(boxes, flips, np.zeros(n, np.float32), np.ones(n, np.float32))
        # The draws of an image do not depend on the sizes of the others, so those of other replicas may be anything.
        rank, replicas = self.replica
        replica_slice = slice(rank * n, (rank + 1) * n)
        all_sizes = np.ones((replicas * n, 2), np.int64)
        all_sizes[replica_slice] = sizes
        draws = augment.draw(numpy_rng(*request.stream), all_sizes, self.augmentation)
        return augment.Draws(*(values[replica_slice] for values in draws))


def _requests(
    order: Order, replica_slice: slice, seed: int, purpose: str, steps: Iterable[int]
) -> Iterator[BatchRequest]:
    """Yield the requests for training steps, of this replica's part of each step's images."""
    for step in steps:
        yield BatchRequest(order(seed, step)[replica_slice], (seed, purpose, step))


class StreamedImages(ImageBatches):
    """Batches of encoded images of any size; they do not depend on the number of workers.

    Args: those of the base, and
        workers: processes that read and decode; with 0 this process does it.
    """

    def __init__(self, train: Encoded, held_out: Encoded, *shared: Any, workers: int = 0, **named: Any):
        super().__init__(train, held_out, *shared, **named)
        self.workers = workers
        makers = (_Maker(part, self.pixels, self.augmentation, self.replica) for part in (train, held_out))
        self._training, self._evaluation = makers
        self._ahead: Iterator[PreparedBatch | str] = iter(())
        self._next: tuple[int, int] | None = None  # the seed and the step of the next batch in `_ahead`

    def _make(self, maker: _Maker, requests: Iterable[BatchRequest]) -> Iterator[PreparedBatch | str]:
        """Return the batches in the order of the requests; workers, if there are any, make them ahead.

        ``requests`` must not refer to this object. The workers end when the last reference to their iterator goes. In a
        reference cycle that would be at a garbage collection, possibly in a worker that was forked later.
        """
        return iter(
            DataLoader(
                maker,
                sampler=requests,
                batch_size=None,
                num_workers=self.workers,
                prefetch_factor=AHEAD if self.workers else None,
                pin_memory=self.device.type == "cuda",
                generator=torch.Generator(),  # seeds the workers, and leaves the global generator as it is
            )
        )

    def _finish(self, prepared: PreparedBatch | str) -> tuple[Tensor, Tensor]:
        if isinstance(prepared, str):
            raise UserError(f"{prepared}; python scripts/prepare_data.py imagenet finds all such files")
        images, labels, brightness, saturation = (t.to(self.device, non_blocking=True) for t in prepared)
        images = images.float().div_(255)
        if self.augmentation.colour:
            images = augment.distort(images, brightness, saturation)
        return augment.finish(images), labels

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Return the images (N, 3, pixels, pixels) in [-1, 1] and the labels (N,) of a step (from 0) for a seed."""
        if self._next != (seed, step):
            self._ahead = iter(())  # this ends the old workers before new ones start
            requests = _requests(self.order, self.replica_slice, seed, "augment", itertools.count(step))
            self._ahead = self._make(self._training, requests)
        self._next = seed, step + 1
        return self._finish(next(self._ahead))

    def fixed_batches(self, count: int, purpose: str) -> Iterator[Tensor]:
        """Yield ``count`` training batches, augmented as in training, that are the same for every run and seed."""
        for prepared in self._make(self._training, _requests(self.order, self.replica_slice, 0, purpose, range(count))):
            yield self._finish(prepared)[0]

    def evaluation_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the single centre crops of the held-out images in order, with their labels."""
        indices = np.split(np.arange(self.held_out), range(EVALUATION_BATCH, self.held_out, EVALUATION_BATCH))
        for prepared in self._make(self._evaluation, (BatchRequest(index, None) for index in indices)):
            yield self._finish(prepared)
