"""Binary MNIST (Sec. 4.1), held whole in memory; a batch is a function of seed and step alone."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bnrepro.data import inputs
from bnrepro.data.idx import check_file, read_idx
from bnrepro.seeding import numpy_rng

WIDTH = 28
PIXELS = WIDTH * WIDTH
CLASSES = 10
HELD_OUT = 10_000  # training images set aside by split="tune"; our choice
SPLIT_SEED = 0  # which ones; the same for every run

FILES = {  # name: (axes, SHA-256 of the gzip'd file)
    "train-images-idx3-ubyte.gz": (3, "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971"),
    "train-labels-idx1-ubyte.gz": (1, "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203"),
    "t10k-images-idx3-ubyte.gz": (3, "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be"),
    "t10k-labels-idx1-ubyte.gz": (1, "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b"),
}
FINGERPRINT = hashlib.sha256("".join(sha for _, sha in FILES.values()).encode()).hexdigest()[:16]
REMEDY = "run: python scripts/prepare_data.py mnist --source FOLDER_WITH_THE_FOUR_FILES (or git checkout -- data/mnist)"


def load(root: Path) -> list[np.ndarray]:
    """Training images, training labels, test images, test labels as uint8, checked.

    Raises:
        UserError: a file is missing, has another checksum, or is not what it should be.
    """
    for name, (_, sha256) in FILES.items():
        check_file(root / name, sha256, REMEDY)
    return [read_idx(root / name, axes) for name, (axes, _) in FILES.items()]


Labelled = tuple[np.ndarray, np.ndarray]


def split(root: Path, which: str) -> tuple[Labelled, Labelled]:
    """Training images and labels, and those to evaluate on, as uint8.

    ``full`` trains on all 60,000 images and evaluates on the 10,000 test images; ``tune`` holds out a fixed random
    10,000 of the training images to evaluate on and never touches the test images.
    """
    train_x, train_y, test_x, test_y = load(root)
    if which == "full":
        return (train_x, train_y), (test_x, test_y)
    order = numpy_rng(SPLIT_SEED, "mnist split").permutation(len(train_x))
    held_out, kept = order[:HELD_OUT], np.sort(order[HELD_OUT:])
    return (train_x[kept], train_y[kept]), (train_x[held_out], train_y[held_out])


class MNIST:
    """Resident binary MNIST.

    Args:
        root: folder of the four gzip'd idx files.
        which: the split, see `split`.
        binarize_above: a pixel above this is 1, else 0 (the paper says "binary" and no more: our choice).
        batch_size: N.
        device: where images live and batches are made.
        kind: what the network is fed, one of `bnrepro.data.inputs.KINDS`.
    """

    def __init__(
        self,
        root: Path,
        which: str,
        binarize_above: int,
        batch_size: int,
        device: torch.device,
        kind: str = "raw",
    ):
        (train_x, train_y), (test_x, test_y) = split(root, which)

        def binary(images: np.ndarray) -> Tensor:
            return torch.from_numpy((images > binarize_above).astype(np.uint8).reshape(-1, PIXELS)).to(device)

        def labels(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values.astype(np.int64)).to(device)

        self.train_images, self.train_labels = binary(train_x), labels(train_y)
        self.eval_images, self.eval_labels = binary(test_x), labels(test_y)
        self.held_out = len(test_y)
        if kind != "raw":
            prepare = inputs.transform(kind, self.train_images)
            self.train_images, self.eval_images = prepare(self.train_images), prepare(self.eval_images)
        self.batch_size = batch_size
        self.steps_per_epoch = len(train_x) // batch_size  # the last, smaller batch of an epoch is dropped
        self._epoch: tuple[tuple[int, ...], int] | None = None

    def _begin_epoch(self, seeds: tuple[int, ...], epoch: int) -> None:
        """Lay out every batch of an epoch, (steps, S * N) image indices, and the memory to gather them into."""
        used = self.steps_per_epoch * self.batch_size
        orders = [numpy_rng(seed, "order", epoch).permutation(len(self.train_images))[:used] for seed in seeds]
        batches = np.stack(orders).reshape(len(seeds), self.steps_per_epoch, self.batch_size).swapaxes(0, 1)
        device = self.train_images.device
        self._batches = torch.from_numpy(np.ascontiguousarray(batches)).to(device).flatten(1)
        self._rows = torch.empty(len(seeds) * self.batch_size, PIXELS, dtype=self.train_images.dtype, device=device)
        self._floats = torch.empty(len(seeds), self.batch_size, PIXELS, device=device)
        self._epoch = seeds, epoch

    def batch(self, seeds: list[int], step: int) -> tuple[Tensor, Tensor]:
        """Images (S, N, 784) as float32 and labels (S, N) that each seed sees at a step (from 0).

        The images are binary unless prepared, and in memory that the next call writes over.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._epoch != (tuple(seeds), epoch):
            self._begin_epoch(tuple(seeds), epoch)
        index = self._batches[position]
        torch.index_select(self.train_images, 0, index, out=self._rows)
        self._floats.view(-1, PIXELS).copy_(self._rows)
        return self._floats, self.train_labels.index_select(0, index).view(len(seeds), -1)

    def fixed_batches(self, count: int, purpose: str) -> Tensor:
        """The same training images for every run and seed, (count, N, 784); count 0 means all full batches."""
        order = numpy_rng(SPLIT_SEED, purpose).permutation(len(self.train_images))
        count = count or self.steps_per_epoch
        index = torch.from_numpy(order[: count * self.batch_size]).to(self.train_images.device)
        return self.train_images[index].view(-1, self.batch_size, PIXELS)
