"""Batches streamed from image files: the same whatever the workers, in order, shared out, by the rule of all images."""

import multiprocessing

import numpy as np
import torch

from bnrepro.config.schema import Augment, Config
from bnrepro.config.seeding import numpy_rng
from bnrepro.data import augment, load
from bnrepro.data.decode import decode
from bnrepro.data.imagenet import scan
from bnrepro.data.stream import StreamedImages
from fake_imagenet import CPU, PIXELS, streamed


def test_batches_are_functions_of_seed_and_step_whatever_the_workers(root):
    alone, helped = streamed(root), streamed(root, workers=2)
    told = [alone.batch(3, step) for step in range(5)]
    assert alone.classes == 3 and alone.steps_per_epoch == 3
    before = torch.get_rng_state()
    for step, (images, labels) in enumerate(told):
        others, other_labels = helped.batch(3, step)
        assert torch.equal(images, others) and torch.equal(labels, other_labels)
        assert images.shape == (4, 3, PIXELS, PIXELS) and images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(streamed(root).batch(3, 4)[0], told[4][0])  # resumed in the middle
    assert torch.equal(helped.batch(3, 1)[0], told[1][0])  # and gone back
    assert not torch.equal(alone.batch(4, 0)[0], told[0][0])
    fixed = list(alone.fixed_batches(2, "population"))
    assert torch.equal(torch.stack(fixed), torch.stack(list(helped.fixed_batches(2, "population"))))
    for ours, theirs in zip(alone.evaluation_batches(), helped.evaluation_batches(), strict=True):
        assert torch.equal(ours[0], theirs[0]) and ours[1].tolist() == [0, 0, 1, 1, 2, 2]


def test_workers_end_with_the_data_set_and_at_once(root):
    data = streamed(root, workers=2)
    data.batch(0, 0)
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    del data
    assert not multiprocessing.active_children()


def test_shards_show_the_same_images_together_in_every_epoch(root):
    data = streamed(root, batch_size=5, shuffle="shards")
    assert torch.equal(data.batch(0, 1)[1], data.batch(0, 4)[1])
    assert data.order(0, 1).tolist() == data.order(0, 4).tolist()


def test_replicas_share_out_the_batch(root):
    whole = streamed(root, batch_size=6).batch(1, 1)
    halves = [streamed(root, batch_size=3, replica=(rank, 2)).batch(1, 1) for rank in range(2)]
    assert torch.equal(torch.cat([images for images, _ in halves]), whole[0])
    assert torch.equal(torch.cat([labels for _, labels in halves]), whole[1])


def test_a_batch_follows_the_rule_of_resident_images(root):
    """The same boxes, mirrored and distorted as `augment.crop_and_resize` does it, within rounding to bytes."""
    found, data = scan(root), streamed(root)
    index = data.order(2, 0)
    decoded = [decode(found.train.read(k)) for k in index]
    shapes = np.array([image.shape[:2] for image in decoded])
    draws = augment.draw(numpy_rng(2, "augment", 0), shapes, Augment("googlenet"))
    expected = torch.cat(
        [
            augment.crop_and_resize(
                torch.from_numpy(decoded[k].transpose(2, 0, 1).copy())[None],
                torch.from_numpy(draws.boxes[k : k + 1]),
                PIXELS,
                torch.from_numpy(draws.flips[k : k + 1]),
            )
            for k in range(len(index))
        ]
    )
    amounts = torch.from_numpy(draws.brightness), torch.from_numpy(draws.saturation)
    expected = augment.finish(augment.distort(expected / 255, *amounts))
    assert (data.batch(2, 0)[0] - expected).abs().max() < 2 * 2 / 255


def test_the_configuration_leads_to_streamed_images(root):
    config = Config()
    config.data.name, config.data.root, config.data.pixels, config.data.workers = "imagenet", str(root), PIXELS, 0
    config.data.images_per_class, config.training.batch_size, config.augment.name = 2, 3, "googlenet"
    data = load.batches(config, load.parts(config.data), CPU)
    assert isinstance(data, StreamedImages) and data.steps_per_epoch == 2 and data.classes == 3
    assert load.fingerprint(config.data) == scan(root).fingerprint
