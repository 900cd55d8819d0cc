"""What a seed sees, to the bit: order, crops, distortions, decoded pixels, and the crops of an evaluation.

The committed records depend on these values, so that a digest changes only together with the protocol's number.
"""

import hashlib

import numpy as np
import pytest
import simplejpeg

from bnrepro.config.schema import Augment
from bnrepro.config.seeding import numpy_rng
from bnrepro.data import augment
from bnrepro.data.batches import Order
from bnrepro.data.decode import decode
from bnrepro.data.mnist import read_split
from bnrepro.use.crops import CROP_COUNTS, crops_of, views
from bnrepro.use.swap import mini_batches
from conftest import ROOT

SIZES = np.array([(64, 64), (375, 500), (500, 333), (90, 700)] * 8)


def order() -> list[np.ndarray]:
    return [Order(5000, 32, shuffle)(seed, step) for shuffle in ("full", "shards") for seed, step in ((0, 0), (3, 400))]


def draws() -> list[np.ndarray]:
    strengths = (Augment("googlenet"), Augment("googlenet", [0.25, 1.0], flip=False, colour=0.5))
    return [value for options in strengths for value in augment.draw(numpy_rng(1, "augment", 2), SIZES, options)]


def pixels() -> list[np.ndarray]:
    image = np.add.outer(np.arange(40) * 5, np.arange(60) * 3)[..., None] % np.array([256, 200, 150])
    encoded = (simplejpeg.encode_jpeg(image.astype(np.uint8), 90, "RGB", sampling) for sampling in ("420", "444"))
    return [decode(content) for content in encoded]


def evaluation_crops() -> list[np.ndarray]:
    sizes = [(count, height, width) for count in CROP_COUNTS for height, width in ((64, 64), (375, 500), (500, 333))]
    parts = [views(crops_of(count, height, width, 224), height, width) for count, height, width in sizes]
    return [np.round(values.astype(float), 9) for part in parts for values in part]


def held_out() -> list[np.ndarray]:
    (_, kept), (_, tune) = read_split(ROOT / "data" / "mnist", "tune")
    return [kept, tune, *(batch.numpy() for batch in mini_batches(100, 32))]


DIGESTS = {
    order: "13a0cccf57a9f9da",
    draws: "a0ec4c29a4c23b7f",
    pixels: "fe952eecabc37478",
    evaluation_crops: "6fbd8e59fd7dd768",
    held_out: "225cc1f98be3031a",
}


@pytest.mark.parametrize("values", DIGESTS)
def test_digests(values):
    sha = hashlib.sha256()
    for value in values():
        sha.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    assert sha.hexdigest()[:16] == DIGESTS[values]
