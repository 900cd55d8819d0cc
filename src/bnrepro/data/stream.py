"""Images read and decoded while the network trains, by worker processes that run ahead of it."""

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
from bnrepro.data.encoded import Encoded
from bnrepro.data.order import Order
from bnrepro.errors import UserError

AHEAD = 2  # batches that each worker makes before they are needed
EVALUATION_BATCH = 250
REPAIR = "run: python scripts/prepare_data.py imagenet --repair"


class Job(NamedTuple):
    """A batch to make: of which images (n,), and for training the stream of its random numbers."""

    index: np.ndarray
    stream: tuple[int, str, int] | None


class Made(NamedTuple):
    """A batch as a worker hands it over.

    ``images`` (n, 3, pixels, pixels) uint8, channels last in memory, cropped and mirrored; ``labels``, ``brightness``,
    ``saturation`` (n,); ``faults``: a line for each image that could not be decoded.
    """

    images: Tensor
    labels: Tensor
    brightness: Tensor
    saturation: Tensor
    faults: list[str]


class _Maker(Dataset):
    """Reads, decodes, crops and resizes; runs in the workers.

    Args:
        part: the images.
        pixels: width of the images that it makes.
        augmentation: of training; None for evaluation's centre crop.
        replica: (rank, how many), see `StreamedImages`.
    """

    def __init__(
        self, part: Encoded, pixels: int, augmentation: augment.Augmentation | None, replica: tuple[int, int] = (0, 1)
    ):
        self.part, self.pixels, self.augmentation, self.replica = part, pixels, augmentation, replica

    def __getitem__(self, job: Job) -> Made:
        decoded, faults = zip(*(self._decode(int(k)) for k in job.index), strict=True)
        draws = self._draws(job, np.array([image.shape[:2] for image in decoded]))
        shape = len(decoded), 3, self.pixels, self.pixels
        images = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        for k, (image, box, flip) in enumerate(zip(decoded, draws.boxes, draws.flips, strict=True)):
            crop = augment.resized(image, box, (self.pixels, self.pixels))
            images[k] = crop.flip(2) if flip else crop
        labels, *amounts = map(torch.from_numpy, (self.part.labels[job.index], draws.brightness, draws.saturation))
        return Made(images, labels, *amounts, [line for lines in faults for line in lines])

    def _decode(self, k: int) -> tuple[np.ndarray, list[str]]:
        """Image k; if it is corrupt, in training the next one of its class that is not, in evaluation a black one."""
        labels, faults = self.part.labels, []
        first, end = np.searchsorted(labels, [labels[k], labels[k] + 1])
        for candidate in itertools.chain(range(k, end), range(first, k)):
            try:
                return decode(self.part.read(candidate)), faults
            except CorruptImage as error:
                faults.append(f"{self.part.name(candidate)} cannot be decoded ({error})")
            if self.augmentation is None:
                break
        return np.zeros((self.pixels, self.pixels, 3), np.uint8), faults

    def _draws(self, job: Job, sizes: np.ndarray) -> augment.Draws:
        n = len(sizes)
        if self.augmentation is None:
            return augment.Draws(augment.centre_boxes(sizes), np.zeros(n, bool), *np.zeros((2, n), np.float32))
        # An image's numbers do not depend on the others' sizes: those of the other replicas need not be known.
        rank, replicas = self.replica
        mine = slice(rank * n, (rank + 1) * n)
        everyone = np.ones((replicas * n, 2), np.int64)
        everyone[mine] = sizes
        draws = augment.draw(numpy_rng(*job.stream), everyone, self.augmentation)
        return augment.Draws(draws.boxes[mine], draws.flips[mine], draws.brightness[mine], draws.saturation[mine])


def _jobs(order: Order, mine: slice, seed: int, purpose: str, steps: Iterable[int]) -> Iterator[Job]:
    """The jobs of training steps, of each its images that are ``mine``."""
    for step in steps:
        yield Job(order(seed, step)[mine], (seed, purpose, step))


class StreamedImages:
    """A data set of encoded images of any size; the interface of `bnrepro.data.resident.ResidentImages`.

    A batch is a function of the seed and the step alone: not of the workers, nor of the steps before.

    Args: those of `ResidentImages`, and
        workers: processes that read and decode; 0 does it in this one.
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
        self.classes = int(train.labels.max()) + 1
        self.batch_size, self.device, self.workers = batch_size, device, workers
        self.colour = augmentation.colour
        self.mine = slice(replica[0] * batch_size, (replica[0] + 1) * batch_size)  # of a step's images
        self.order = Order(len(train.labels), batch_size * replica[1], shuffle)
        self.steps_per_epoch = self.order.steps_per_epoch
        self.held_out = len(held_out.labels)
        self.training = _Maker(train, pixels, augmentation, replica)
        self.evaluation = _Maker(held_out, pixels, None)
        self.corrupt: set[str] = set()  # training images met so far that cannot be decoded
        self._ahead: Iterator[Made] = iter(())
        self._next: tuple[int, int] | None = None  # the seed and step of what `_ahead` gives next

    def _make(self, maker: _Maker, jobs: Iterable[Job]) -> Iterator[Made]:
        """The jobs' batches in order, made ahead by workers if there are any.

        ``jobs`` must not refer to this object: the workers end when the last reference to their iterator goes, and in a
        cycle that would be whenever garbage is collected, possibly in a worker forked since.
        """
        return iter(
            DataLoader(
                maker,
                sampler=jobs,
                batch_size=None,
                num_workers=self.workers,
                prefetch_factor=AHEAD if self.workers else None,
                pin_memory=self.device.type == "cuda",
                generator=torch.Generator(),  # of the workers' seeds, which nothing uses; the global one stays as it is
            )
        )

    def _finish(self, made: Made) -> tuple[Tensor, Tensor]:
        self._report(made.faults)
        images, labels, brightness, saturation = (t.to(self.device, non_blocking=True) for t in made[:4])
        images = images.float().div_(255)
        if self.colour:
            images = augment.distort(images, brightness, saturation)
        return augment.finish(images), labels

    def _report(self, faults: list[str]) -> None:
        """Each corrupt training image is named once; the next of its class stands in for it."""
        for line in faults:
            if line not in self.corrupt:
                self.corrupt.add(line)
                count = f"{len(self.corrupt)} so far; the next image of its class stands in for it"
                print(f"warning: {line}; {count}; {REPAIR}", file=sys.stderr)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, 3, pixels, pixels) in [-1, 1] and labels (N,) that a seed sees at a step (from 0)."""
        if self._next != (seed, step):
            self._ahead = iter(())  # the workers so far end before others begin
            self._ahead = self._make(
                self.training, _jobs(self.order, self.mine, seed, "augment", itertools.count(step))
            )
        self._next = seed, step + 1
        return self._finish(next(self._ahead))

    def fixed_batches(self, count: int, purpose: str) -> Iterator[Tensor]:
        """``count`` training mini-batches, augmented as in training, the same for every run and seed."""
        for made in self._make(self.training, _jobs(self.order, self.mine, 0, purpose, range(count))):
            yield self._finish(made)[0]

    def evaluation_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The held-out images as the single centre crop sees them, in order, with their labels."""
        index = np.split(np.arange(self.held_out), range(EVALUATION_BATCH, self.held_out, EVALUATION_BATCH))
        for made in self._make(self.evaluation, (Job(part, None) for part in index)):
            if made.faults:
                raise UserError(f"{made.faults[0]}; {REPAIR}")
            images = made.images.to(self.device, non_blocking=True)
            yield augment.finish(images.float().div_(255)), made.labels.to(self.device, non_blocking=True)
