"""MNIST as it ships, and what a step sees of it."""

import gzip

import numpy as np
import pytest
import torch

from bnrepro.data.mnist import MNIST, load
from bnrepro.training.schedule import milestones
from conftest import ROOT

FOLDER = ROOT / "data" / "mnist"


def mnist(split: str = "full") -> MNIST:
    return MNIST(FOLDER, split, 127, 60, torch.device("cpu"))


def test_files_are_the_mnist_they_should_be():
    train_x, train_y, test_x, _ = load(FOLDER)
    assert (train_x.shape, test_x.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert np.bincount(train_y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    raw = gzip.decompress((FOLDER / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert test_x.tobytes() == raw[16:]


def test_images_are_binary_and_batches_are_what_they_index():
    data = mnist()
    train_x, train_y, *_ = load(FOLDER)
    x, y = data.batch([3, 4], 1234)
    assert x.shape == (2, 60, 784) and y.shape == (2, 60) and x.dtype == torch.float32
    assert set(x.unique().tolist()) == {0.0, 1.0}
    lookup = {image.tobytes(): label for image, label in zip((train_x > 127).reshape(-1, 784), train_y, strict=True)}
    for image, label in zip(x.view(-1, 784)[:50], y.view(-1)[:50], strict=True):
        assert lookup[image.bool().numpy().tobytes()] == label


def test_an_epoch_shows_every_image_once_and_the_next_in_another_order():
    data = mnist()
    epochs = []
    for epoch in range(2):
        data.batch([5], epoch * 1000)
        epochs.append(data._batches.flatten().tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(60_000))
    assert epochs[0] != epochs[1]


def test_a_batch_is_a_function_of_seed_and_step():
    one, other = mnist(), mnist()
    x, y = (t.clone() for t in one.batch([7], 2500))
    other.batch([0, 1, 2], 1)
    stacked, labels = other.batch([1, 7], 2500)
    assert torch.equal(stacked[1], x[0]) and torch.equal(labels[1], y[0])
    assert not torch.equal(stacked[0], x[0])


def test_tuning_never_sees_the_test_images():
    full, tune = mnist(), mnist("tune")
    assert len(tune.train_images) == 50_000 and len(tune.eval_images) == 10_000 and tune.steps_per_epoch == 833
    train_x, *_ = load(FOLDER)
    joined = np.concatenate([tune.train_images.numpy(), tune.eval_images.numpy()])
    original = (train_x > 127).astype(np.uint8).reshape(-1, 784)
    assert sorted(row.tobytes() for row in joined) == sorted(row.tobytes() for row in original)
    assert not torch.equal(tune.eval_images, full.eval_images)
    assert torch.equal(mnist("tune").eval_images, tune.eval_images)


def test_fixed_batches_are_fixed_and_nested():
    data = mnist()
    few, all_of_them = data.fixed_batches(100, "population"), data.fixed_batches(0, "population")
    assert few.shape == (100, 60, 784) and all_of_them.shape == (1000, 60, 784)
    assert torch.equal(all_of_them[:100], few)
    assert torch.equal(mnist().fixed_batches(100, "population"), few)
    assert not torch.equal(data.fixed_batches(100, "probe"), few)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((5000, 1250, 1), [1, 10, 100, 1000, 1250, 2500, 3750, 5000]),
        ((30, 100, 1), [1, 10, 30]),
        ((7, 2, 1), [1, 2, 4, 6, 7]),
        ((100, 50, 2), [1, 3, 10, 32, 50, 100]),
    ],
)
def test_milestones(arguments, expected):
    assert milestones(*arguments) == expected
