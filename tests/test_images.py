"""Images that are held in memory: orders, crops, distortions, batches."""

import numpy as np
import torch

from bnrepro.compat import ensure_torchvision
from bnrepro.config.schema import Augment
from bnrepro.config.seeding import numpy_rng
from bnrepro.data import augment
from bnrepro.data.batches import Order
from bnrepro.data.resident import ResidentImages
from fake_photographs import photograph

ensure_torchvision()
from torchvision.transforms.v2 import functional as vision  # noqa: E402

CPU = torch.device("cpu")
PLAIN = Augment("googlenet", colour=0.0)


def test_full_shuffle_and_fixed_shards():
    """A full shuffle never repeats a mini-batch; fixed shards show the same ones in every epoch."""
    full, shards = Order(100, 8, "full"), Order(100, 8, "shards")
    assert full.steps_per_epoch == shards.steps_per_epoch == 12
    for order in (full, shards):
        epoch = np.concatenate([order(3, step) for step in range(12)])
        assert len(set(epoch.tolist())) == 96
    same = [set(shards(3, step)) == set(shards(3, step + 12)) for step in range(12)]
    other = [set(full(3, step)) == set(full(3, step + 12)) for step in range(12)]
    assert all(same) and not any(other)
    assert (shards(3, 0) != shards(4, 0)).any() and (full(3, 5) == full(3, 5)).all()


def test_crops_follow_the_rule():
    """8-100 % of the area, aspect 3/4-4/3, inside the image, everywhere; mirrored half of the time."""
    sizes = np.broadcast_to([64, 64], (20_000, 2))
    draws = augment.draw(numpy_rng(0, "test"), sizes, Augment("googlenet"))
    top, left, height, width = draws.boxes.T
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 64).all() and (left + width <= 64).all()
    area, aspect = height * width / 64**2, width / height
    assert 0.07 < area.min() < 0.1 and 0.98 < area.max() <= 1 and 0.7 < aspect.min() < 0.8 < 1.25 < aspect.max() < 1.42
    assert abs(np.median(np.log(aspect))) < 0.02 and 0.47 < area.mean() < 0.51
    assert abs(draws.flips.mean() - 0.5) < 0.02 and abs(draws.brightness).max() <= 32 / 255
    assert 0.5 <= draws.saturation.min() < 0.51 and 1.49 < draws.saturation.max() <= 1.5
    weak = augment.draw(numpy_rng(0, "test"), sizes, Augment("googlenet", colour=0.5))
    np.testing.assert_allclose(weak.brightness, draws.brightness / 2, rtol=1e-6)


def test_a_crop_that_never_fits_is_the_centre():
    boxes = augment.draw_boxes(numpy_rng(0, "test"), np.array([[10, 1000]]), (1.0, 1.0), (3 / 4, 4 / 3))
    assert boxes.tolist() == [[0, 493, 10, 13]]


def test_resizing_is_torchvisions_antialiased_bilinear():
    images = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    draws = augment.draw(numpy_rng(1, "test"), np.broadcast_to([64, 64], (6, 2)), Augment("googlenet"))
    for out in (32, 64):
        ours = augment.crop_and_resize(images, torch.from_numpy(draws.boxes), out, torch.from_numpy(draws.flips))
        for k, box in enumerate(draws.boxes.tolist()):
            theirs = vision.resized_crop(images[k].float(), *box, [out, out], antialias=True)
            theirs = theirs.flip(2) if draws.flips[k] else theirs
            torch.testing.assert_close(ours[k], theirs, rtol=0, atol=1e-3)


def test_distortions_are_brightness_and_saturation():
    images = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    factors = torch.tensor([0.5, 1.0, 1.2, 1.0])
    ours = augment.distort(images, torch.tensor([0.0, 0.1, 0.0, -1.0]), factors)
    for k, factor in enumerate(factors.tolist()):
        theirs = vision.adjust_saturation(images[k], factor)
        shift = (0.0, 0.1, 0.0, -1.0)[k]
        torch.testing.assert_close(ours[k], (theirs + shift).clamp(0, 1), rtol=0, atol=2e-4)
    assert (ours[3] == 0).all()


def resident(batch_size: int = 4, replica: tuple[int, int] = (0, 1), shuffle: str = "full", wanted=PLAIN, pixels=32):
    images = np.stack([photograph(k).transpose(2, 0, 1) for k in range(40)])
    labels = np.arange(40) % 5
    held_out = images[:7], labels[:7]
    return ResidentImages((images, labels), held_out, batch_size, pixels, shuffle, wanted, CPU, replica)


def test_a_resident_batch_is_a_function_of_seed_and_step():
    one, other = resident(), resident()
    batches = [one.batch(5, step) for step in (0, 63, 64, 200)]
    for step, (images, labels) in reversed(list(zip((0, 63, 64, 200), batches, strict=True))):
        again, labels_again = other.batch(5, step)
        assert torch.equal(images, again) and torch.equal(labels, labels_again)
    assert batches[0][0].shape == (4, 3, 32, 32) and batches[0][0].is_contiguous(memory_format=torch.channels_last)
    assert batches[0][0].abs().max() <= 1 and not torch.equal(batches[0][0], one.batch(6, 0)[0])
    assert not torch.equal(batches[0][0], one.batch(5, 10)[0])


def test_a_batch_shows_the_images_that_the_order_says():
    data = resident(wanted=augment.NONE, pixels=64)
    images, labels = data.batch(1, 3)
    index = data.order(1, 3)
    assert labels.tolist() == (index % 5).tolist()
    expected = data.train_images[torch.from_numpy(index)].float() / 127.5 - 1
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)


def test_replicas_share_out_a_larger_batch():
    whole, parts = resident(batch_size=8), [resident(batch_size=4, replica=(rank, 2)) for rank in (0, 1)]
    for step in (0, 70):
        images = torch.cat([part.batch(2, step)[0] for part in parts])
        assert torch.equal(images, whole.batch(2, step)[0])
    assert parts[0].steps_per_epoch == whole.steps_per_epoch == 5


def test_evaluation_sees_every_held_out_image_once_by_its_centre():
    data = resident()
    ((images, labels),) = data.evaluation_batches()
    assert labels.tolist() == [0, 1, 2, 3, 4, 0, 1]
    centre = vision.resized_crop(data.eval_images[3].float(), 4, 4, 56, 56, [32, 32], antialias=True)
    torch.testing.assert_close(images[3], centre / 127.5 - 1, rtol=0, atol=1e-5)


def test_fixed_batches_are_the_same_for_every_seed_and_differ_by_purpose():
    data = resident()
    data.batch(3, 0)
    first = list(data.fixed_batches(2, "population"))
    again, other = list(resident().fixed_batches(3, "population")), list(data.fixed_batches(2, "probe"))
    assert torch.equal(first[1], again[1]) and not torch.equal(first[0], other[0])
