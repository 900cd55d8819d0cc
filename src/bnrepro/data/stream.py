"""Images that worker processes read and decode while the network trains."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bnrepro.config.seeding import numpy_rng
from bnrepro.data import augment
from bnrepro.data.decode import CorruptImage, decode
from bnrepro.data.order import Order
from bnrepro.data.parts import Encoded
from bnrepro.data.resident import EVALUATION_BATCH
from bnrepro.errors import UserError

AHEAD = 2  # batches that each worker makes before they are needed
REPAIR = "run: python scripts/prepare_data.py imagenet --repair"


class Job(NamedTuple):
    """A batch to make: the indices (n,) of its images and, in training, the random stream of its crops and colours."""

    index: np.ndarray
    stream: tuple[int, str, int] | None


class Made(NamedTuple):
    """A batch that a worker has made.

    ``images`` (n, 3, pixels, pixels) are uint8 with channels last in memory, cropped and mirrored; ``labels``,
    ``brightness`` and ``saturation`` are (n,); ``faults`` has a line for each image that could not be decoded.
    """

    images: Tensor
    labels: Tensor
    brightness: Tensor
    saturation: Tensor
    faults: list[str]


class _Maker(Dataset):
    """Reads, decodes, crops and resizes images; it runs in the workers.

    Args:
        part: the images.
        pixels: width of the images that it makes.
        augmentation: of training; None stands for the centre crop of an evaluation.
        replica: rank and number of the replicas, see `StreamedImages`.
    """

    def __init__(
        self, part: Encoded, pixels: int, augmentation: augment.Augmentation | None, replica: tuple[int, int] = (0, 1)
    ):
        self.part, self.pixels, self.augmentation, self.replica = part, pixels, augmentation, replica

    def __getitem__(self, job: Job) -> Made:
        faults: list[str] = []
        decoded = [self._decode(int(k), faults) for k in job.index]
        draws = self._draws(job, np.array([image.shape[:2] for image in decoded]))
        shape = len(decoded), 3, self.pixels, self.pixels
        images = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        for k, (image, box, flip) in enumerate(zip(decoded, draws.boxes, draws.flips, strict=True)):
            crop = augment.resized(image, box, (self.pixels, self.pixels))
            images[k] = crop.flip(2) if flip else crop
        labels = self.part.labels[job.index]
        return Made(images, *map(torch.from_numpy, (labels, draws.brightness, draws.saturation)), faults)

    def _decode(self, k: int, faults: list[str]) -> np.ndarray:
        """Decode image k, and add a line to ``faults`` if it is corrupt.

        In training, the next image of its class that is not corrupt replaces it; in evaluation, a black image does.
        """
        labels = self.part.labels
        first, end = np.searchsorted(labels, [labels[k], labels[k] + 1])
        replacements = [] if self.augmentation is None else itertools.chain(range(k + 1, end), range(first, k))
        for candidate in itertools.chain([k], replacements):
            try:
                return decode(self.part.read(candidate))
            except CorruptImage as error:
                faults.append(f"{self.part.name(candidate)} cannot be decoded ({error})")
        return np.zeros((self.pixels, self.pixels, 3), np.uint8)

    def _draws(self, job: Job, sizes: np.ndarray) -> augment.Draws:
        n = len(sizes)
        if self.augmentation is None:
            return augment.Draws(augment.centre_boxes(sizes), np.zeros(n, bool), *np.zeros((2, n), np.float32))
        # The draws of an image do not depend on the sizes of the others, so those of other replicas may be anything.
        rank, replicas = self.replica
        own = slice(rank * n, (rank + 1) * n)
        all_sizes = np.ones((replicas * n, 2), np.int64)
        all_sizes[own] = sizes
        draws = augment.draw(numpy_rng(*job.stream), all_sizes, self.augmentation)
        return augment.Draws(*(values[own] for values in vars(draws).values()))


def _jobs(order: Order, own: slice, seed: int, purpose: str, steps: Iterable[int]) -> Iterator[Job]:
    """Yield the jobs of training steps for this replica's ``own`` part of each step's images."""
    for step in steps:
        yield Job(order(seed, step)[own], (seed, purpose, step))


class StreamedImages:
    """A data set of encoded images of any size, with the interface of `bnrepro.data.resident.ResidentImages`.

    A batch is a function of the seed and the step alone. It depends neither on the workers nor on earlier steps.

    Args: those of `ResidentImages`, and
        workers: processes that read and decode; with 0 this process does it.
    """

    def __init__(
        self,
        train: Encoded,
        held_out: Encoded,
        batch_size: int,
        pixels: int,
        shuffle: str,
        augmentation: augment.Augmentation,
        device: torch.device,
        replica: tuple[int, int] = (0, 1),
        workers: int = 0,
    ):
        self.batch_size, self.device, self.workers = batch_size, device, workers
        self.colour = augmentation.colour
        self.classes = int(train.labels.max()) + 1
        self.held_out = len(held_out.labels)
        rank, replicas = replica
        self.own = slice(rank * batch_size, (rank + 1) * batch_size)  # of a step's images
        self.order = Order(len(train.labels), batch_size * replicas, shuffle)
        self.steps_per_epoch = self.order.steps_per_epoch
        self.training = _Maker(train, pixels, augmentation, replica)
        self.evaluation = _Maker(held_out, pixels, None)
        self.corrupt: set[str] = set()  # messages about corrupt training images so far
        self._ahead: Iterator[Made] = iter(())
        self._next: tuple[int, int] | None = None  # the seed and the step of the next batch in `_ahead`

    def _make(self, maker: _Maker, jobs: Iterable[Job]) -> Iterator[Made]:
        """Return the jobs' batches in order; workers, if there are any, make them ahead.

        ``jobs`` must not refer to this object. The workers end when the last reference to their iterator goes. In a
        reference cycle that would be at a garbage collection, possibly in a worker that was forked later.
        """
        return iter(
            DataLoader(
                maker,
                sampler=jobs,
                batch_size=None,
                num_workers=self.workers,
                prefetch_factor=AHEAD if self.workers else None,
                pin_memory=self.device.type == "cuda",
                generator=torch.Generator(),  # seeds the workers, and leaves the global generator as it is
            )
        )

    def _finish(self, made: Made) -> tuple[Tensor, Tensor]:
        for fault in made.faults:
            if fault not in self.corrupt:  # each corrupt image is reported once
                self.corrupt.add(fault)
                count = f"{len(self.corrupt)} so far; the next image of its class stands in for it"
                print(f"warning: {fault}; {count}; {REPAIR}", file=sys.stderr)
        images, labels, brightness, saturation = (t.to(self.device, non_blocking=True) for t in made[:4])
        images = images.float().div_(255)
        if self.colour:
            images = augment.distort(images, brightness, saturation)
        return augment.finish(images), labels

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Return the images (N, 3, pixels, pixels) in [-1, 1] and the labels (N,) of a step (from 0) for a seed."""
        if self._next != (seed, step):
            self._ahead = iter(())  # this ends the old workers before new ones start
            jobs = _jobs(self.order, self.own, seed, "augment", itertools.count(step))
            self._ahead = self._make(self.training, jobs)
        self._next = seed, step + 1
        return self._finish(next(self._ahead))

    def fixed_batches(self, count: int, purpose: str) -> Iterator[Tensor]:
        """Yield ``count`` training batches, augmented as in training, that are the same for every run and seed."""
        for made in self._make(self.training, _jobs(self.order, self.own, 0, purpose, range(count))):
            yield self._finish(made)[0]

    def evaluation_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the single centre crops of the held-out images in order, with their labels."""
        indices = np.split(np.arange(self.held_out), range(EVALUATION_BATCH, self.held_out, EVALUATION_BATCH))
        for made in self._make(self.evaluation, (Job(index, None) for index in indices)):
            if made.faults:
                raise UserError(f"{made.faults[0]}; {REPAIR}")
            images, labels = (t.to(self.device, non_blocking=True) for t in made[:2])
            yield augment.finish(images.float().div_(255)), labels
