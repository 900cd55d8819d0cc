"""Binary MNIST (Sec. 4.1). All images are in memory, and a batch is a function of seed and step alone."""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bnrepro.config.schema import Data
from bnrepro.config.seeding import numpy_rng
from bnrepro.data.parts import Labelled
from bnrepro.errors import UserError
from bnrepro.records.files import remove_litter, write_atomically

WIDTH = 28
PIXELS = WIDTH * WIDTH
CLASSES = 10
EDGE = 2  # black pixels around a digit as a picture; the centre crop of 0.875 is then the whole digit
LARGEST = 100_000_000  # bytes; the largest of the four files has 47,040,016
HELD_OUT = 10_000  # training images that split="tune" sets aside; our choice
SPLIT_SEED = 0  # chooses these images, the same for every run
FLOOR = 1e-2  # added to every variance, because pixels at the edge hardly vary; our choice

FILES = {  # name: (axes, SHA-256 of the decompressed contents)
    "train-images-idx3-ubyte.gz": (3, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte.gz": (1, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte.gz": (3, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte.gz": (1, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
FINGERPRINT = "8b4aac1638c992e4"  # of these contents; a part of every run's id, so it is frozen
REMEDY = "run: python scripts/prepare_data.py mnist --source FOLDER_WITH_THE_FOUR_FILES (or git checkout -- data/mnist)"


def fingerprint(options: Data) -> str:
    """See `bnrepro.data.load`."""
    return FINGERPRINT


def classes(options: Data) -> list[list[str]]:
    """See `bnrepro.data.load`."""
    return [[str(digit)] * 2 for digit in range(CLASSES)]


def parts(options: Data) -> tuple[Labelled, Labelled]:
    """See `bnrepro.data.load`. Digits are pictures (M, 3, 32, 32) with a black edge."""
    both = read_split(Path(options.root), options.split)
    return tuple(Labelled(as_pictures(digits), labels) for digits, labels in both)


def as_pictures(digits: np.ndarray) -> np.ndarray:
    """Turn digits (M, 28, 28) into pictures (M, 3, 32, 32) with a black edge."""
    padded = np.pad(digits, ((0, 0), (EDGE, EDGE), (EDGE, EDGE)))[:, None]
    return np.broadcast_to(padded, (len(padded), 3, *padded.shape[2:]))


def read_idx(path: Path, axes: int, sha256: str, remedy: str = REMEDY) -> np.ndarray:
    """Read and verify a gzip'd idx file of unsigned bytes, the format of the MNIST distribution.

    The checksum is that of the decompressed contents, which do not depend on the program that compressed them.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; {remedy}")
    try:
        with gzip.open(path) as file:
            contents = file.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is truncated or not gzip ({error}); {remedy}") from None
    if len(contents) > LARGEST:
        raise UserError(f"{path} unpacks to more than {LARGEST:,} bytes; {remedy}")
    checksum = hashlib.sha256(contents).hexdigest()
    if checksum != sha256:
        raise UserError(f"{path} has contents of checksum {checksum[:12]}..., expected {sha256[:12]}...; {remedy}")
    header = 4 + 4 * axes  # a magic number, then the size of each axis
    shape = struct.unpack(f">{axes}I", contents[4:header])
    return np.frombuffer(contents, np.uint8, math.prod(shape), header).reshape(shape)


def load(root: Path, remedy: str = REMEDY) -> list[np.ndarray]:
    """Return training images, training labels, test images and test labels as uint8."""
    return [read_idx(root / name, axes, sha256, remedy) for name, (axes, sha256) in FILES.items()]


def prepare(root: Path, source: Path | None) -> str:
    """Copy the four files from ``source`` if it is given, verify them, and return a summary in one line.

    If a file of the source is bad, the files in ``root`` stay as they were.
    """
    if source is not None:
        load(source, "fetch it again from the MNIST database")
        root.mkdir(parents=True, exist_ok=True)
        remove_litter(root)
        for name in FILES:
            content = (source / name).read_bytes()
            write_atomically(root / name, lambda file, content=content: file.write(content))
    train_images, _, test_images, _ = load(root)
    return f"{root}: {len(train_images):,} training and {len(test_images):,} test images, checksums as expected"


def read_split(root: Path, split: str) -> tuple[Labelled, Labelled]:
    """Return the images to train on and the images to evaluate on, with their labels, as uint8.

    ``full`` trains on all 60,000 training images and evaluates on the 10,000 test images. ``tune`` evaluates on a fixed
    random 10,000 of the training images, which it does not train on, and never uses the test images.
    """
    train_images, train_labels, test_images, test_labels = load(root)
    if split == "full":
        return Labelled(train_images, train_labels), Labelled(test_images, test_labels)
    order = numpy_rng(SPLIT_SEED, "mnist split").permutation(len(train_images))
    held_out, kept = order[:HELD_OUT], np.sort(order[HELD_OUT:])
    return tuple(Labelled(train_images[index], train_labels[index]) for index in (kept, held_out))


def input_transform(inputs: str, images: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function that prepares images (M, pixels) with the statistics of the given training images, as float32.

    ``standardised`` gives every pixel mean 0 and variance v / (v + `FLOOR`). ``whitened`` (ZCA) also removes the
    correlations, by (C + `FLOOR` I)^(-1/2), where C is the covariance of the pixels (paper Sec. 2 and 3).
    """
    x = images.double()
    mean = x.mean(0)
    if inputs == "standardised":
        scale = (x.var(0, unbiased=False) + FLOOR).rsqrt()
        return lambda images: ((images.double() - mean) * scale).float()
    centred = x - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(x))
    matrix = (directions * (variances.clamp(min=0) + FLOOR).rsqrt()) @ directions.T
    return lambda images: ((images.double() - mean) @ matrix).float()


class MNIST:
    """Binary MNIST in the memory of a device.

    Args:
        root: the folder of the four gzip'd idx files.
        split: see `read_split`.
        binarize_above: a pixel above this value is 1, any other 0. The paper says "binary" only; this is our choice.
        batch_size: N.
        device: the device that holds the images and makes the batches.
        inputs: what the network is fed: ``raw``, ``standardised`` or ``whitened`` images.
    """

    def __init__(
        self, root: Path, split: str, binarize_above: int, batch_size: int, device: torch.device, inputs: str = "raw"
    ):
        tensors = []
        for images, labels in read_split(root, split):
            binary = (images > binarize_above).astype(np.uint8).reshape(-1, PIXELS)
            tensors += [torch.from_numpy(values).to(device) for values in (binary, labels.astype(np.int64))]
        self.train_images, self.train_labels, self.eval_images, self.eval_labels = tensors
        self.held_out = len(self.eval_labels)
        if inputs != "raw":
            transform = input_transform(inputs, self.train_images)
            self.train_images, self.eval_images = transform(self.train_images), transform(self.eval_images)
        self.batch_size = batch_size
        self.steps_per_epoch = len(self.train_images) // batch_size  # the last, smaller batch of an epoch is dropped
        self._epoch: tuple[tuple[int, ...], int] | None = None

    def _begin_epoch(self, seeds: tuple[int, ...], epoch: int) -> None:
        """Lay out every batch of an epoch, (steps, S * N) image indices, and allocate the memory of a batch."""
        used = self.steps_per_epoch * self.batch_size
        orders = [numpy_rng(seed, "order", epoch).permutation(len(self.train_images))[:used] for seed in seeds]
        batches = np.stack(orders).reshape(len(seeds), self.steps_per_epoch, self.batch_size).swapaxes(0, 1)
        device = self.train_images.device
        self._batches = torch.from_numpy(np.ascontiguousarray(batches)).to(device).flatten(1)
        self._rows = torch.empty(len(seeds) * self.batch_size, PIXELS, dtype=self.train_images.dtype, device=device)
        self._floats = torch.empty(len(seeds), self.batch_size, PIXELS, device=device)
        self._epoch = seeds, epoch

    def batch(self, seeds: list[int], step: int) -> tuple[Tensor, Tensor]:
        """Return the images (S, N, 784) as float32 and the labels (S, N) of a step (from 0) for each seed.

        The next call writes over the memory of the images.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._epoch != (tuple(seeds), epoch):
            self._begin_epoch(tuple(seeds), epoch)
        index = self._batches[position]
        torch.index_select(self.train_images, 0, index, out=self._rows)
        self._floats.view(-1, PIXELS).copy_(self._rows)
        return self._floats, self.train_labels.index_select(0, index).view(len(seeds), -1)

    def evaluation_images(self, training: int = 0) -> tuple[Tensor, Tensor]:
        """Return the images (M, 784) and labels (M,) to evaluate on: the held-out ones, or ``training`` fixed others.

        Those others are among the images that the networks train on.
        """
        if not training:
            return self.eval_images, self.eval_labels
        order = numpy_rng(SPLIT_SEED, "evaluated training images").permutation(len(self.train_images))
        index = torch.from_numpy(order[:training]).to(self.train_images.device)
        return self.train_images[index], self.train_labels[index]

    def fixed_batches(self, count: int, purpose: str) -> Tensor:
        """Return training batches (count, N, 784) that are the same for every run; count 0 means all full batches."""
        order = numpy_rng(SPLIT_SEED, purpose).permutation(len(self.train_images))
        count = count or self.steps_per_epoch
        index = torch.from_numpy(order[: count * self.batch_size]).to(self.train_images.device)
        return self.train_images[index].view(-1, self.batch_size, PIXELS)
