"""Binary MNIST (Sec. 4.1), held whole in memory; a batch is a function of seed and step alone."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bnrepro.config.schema import Data
from bnrepro.config.seeding import numpy_rng
from bnrepro.data import inputs
from bnrepro.data.idx import read_idx
from bnrepro.data.parts import Labelled
from bnrepro.records.files import write_atomically

WIDTH = 28
PIXELS = WIDTH * WIDTH
CLASSES = 10
EDGE = 2  # of black around a digit as a picture, whose centre crop of 0.875 is then the whole digit
HELD_OUT = 10_000  # training images set aside by split="tune"; our choice
SPLIT_SEED = 0  # which ones; the same for every run

FILES = {  # name: (axes, SHA-256 of the contents, decompressed)
    "train-images-idx3-ubyte.gz": (3, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte.gz": (1, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte.gz": (3, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte.gz": (1, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
FINGERPRINT = "8b4aac1638c992e4"  # of these contents, part of every run's id: frozen
REMEDY = "run: python scripts/prepare_data.py mnist --source FOLDER_WITH_THE_FOUR_FILES (or git checkout -- data/mnist)"


def fingerprint(options: Data) -> str:
    """See `bnrepro.data.load`."""
    return FINGERPRINT


def classes(options: Data) -> list[list[str]]:
    """See `bnrepro.data.load`."""
    return [[str(digit)] * 2 for digit in range(CLASSES)]


def parts(options: Data) -> tuple[Labelled, Labelled]:
    """See `bnrepro.data.load`; digits as pictures (M, 3, 32, 32), with an edge of black."""
    both = split(Path(options.root), options.split)
    return tuple(Labelled(as_pictures(images), labels) for images, labels in both)


def as_pictures(digits: np.ndarray) -> np.ndarray:
    """(M, 28, 28) bytes as (M, 3, 32, 32), with an edge of black."""
    padded = np.pad(digits, ((0, 0), (EDGE, EDGE), (EDGE, EDGE)))[:, None]
    return np.broadcast_to(padded, (len(padded), 3, *padded.shape[2:]))


def load(root: Path) -> list[np.ndarray]:
    """Training images, training labels, test images, test labels as uint8, checked."""
    return [read_idx(root / name, axes, sha256, REMEDY) for name, (axes, sha256) in FILES.items()]


def prepare(root: Path, source: Path | None) -> str:
    """Copy the four files from ``source`` if given, and verify them; one line on what there is.

    If a file of the source is bad, the files in place stay as they were.
    """
    if source is not None:
        for name, (axes, sha256) in FILES.items():
            read_idx(source / name, axes, sha256, "fetch it again from the MNIST database")
        root.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            content = (source / name).read_bytes()
            write_atomically(root / name, lambda file, content=content: file.write(content))
    train_x, _, test_x, _ = load(root)
    return f"{root}: {len(train_x):,} training and {len(test_x):,} test images, checksums as expected"


def split(root: Path, which: str) -> tuple[Labelled, Labelled]:
    """Training images and labels, and those to evaluate on, as uint8.

    ``full`` trains on all 60,000 images and evaluates on the 10,000 test images; ``tune`` holds out a fixed random
    10,000 of the training images to evaluate on and never touches the test images.
    """
    train_x, train_y, test_x, test_y = load(root)
    if which == "full":
        return Labelled(train_x, train_y), Labelled(test_x, test_y)
    order = numpy_rng(SPLIT_SEED, "mnist split").permutation(len(train_x))
    held_out, kept = order[:HELD_OUT], np.sort(order[HELD_OUT:])
    return Labelled(train_x[kept], train_y[kept]), Labelled(train_x[held_out], train_y[held_out])


class MNIST:
    """Resident binary MNIST.

    Args:
        root: folder of the four gzip'd idx files.
        which: the split, see `split`.
        binarize_above: a pixel above this is 1, else 0 (the paper says "binary" and no more: our choice).
        batch_size: N.
        device: where images live and batches are made.
        kind: what the network is fed: ``raw``, ``standardised`` or ``whitened``.
    """

    def __init__(
        self, root: Path, which: str, binarize_above: int, batch_size: int, device: torch.device, kind: str = "raw"
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
