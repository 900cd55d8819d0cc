"""How fast images come in, against torchvision's usual pipeline and timm's loader, on one thread of one process.

All crop 8-100 % of the area, resize bilinearly with antialiasing, mirror half of the images and give normalised float
batches. None distorts colours, because the usual pipeline does not. The time is the processor's: what one core can do
with the files in memory after the first round.
"""

import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnrepro.benchmarks.record import row
from bnrepro.compat import ensure_torchvision
from bnrepro.config.schema import Augment, Data
from bnrepro.data import imagenet
from bnrepro.data.decode import decode
from bnrepro.data.parts import chosen_classes
from bnrepro.data.prepare_imagenet import prepare
from bnrepro.data.resident import ResidentImages
from bnrepro.data.stream import StreamedImages
from bnrepro.errors import UserError
from bnrepro.identities.timing import alternate

BATCH, ROUNDS = 32, 7
PIXELS, TINY_PIXELS = 224, (32, 64)
IMAGES, TINY_IMAGES, RESIDENT_IMAGES = 256, 1024, 8192  # in one measurement
TINY_CLASSES = 20  # of 500 images
PLAIN = Augment("googlenet", colour=0.0)
CPU = torch.device("cpu")
COMPARED = (  # raw numbers, ours, peer, target
    (f"photographs, {PIXELS} px", "ours, original files", "usual", ">= 1.4"),
    (f"photographs, {PIXELS} px", "ours, original files", "timm", "none set"),
    (f"photographs, {PIXELS} px", "ours, prepared cache", "usual", ">= 2.5"),
    ("Tiny-ImageNet, 32 px", "ours, resident", "usual", ">= 20"),
    ("Tiny-ImageNet, 64 px", "ours, resident", "usual", "none set"),
)


def _rate(batches: Iterator[Tensor], images: int) -> float:
    """Return the images a second of this process's processor time, over the batches with the next so many images."""
    count, began = 0, time.process_time()
    while count < images:
        count += len(next(batches))
    return count / (time.process_time() - began)


def _rates(ways: dict[str, tuple[Iterator[Tensor], int]]) -> dict[str, list[float]]:
    """Measure the images a second of each way to read so many images, in rounds after one that warms up."""
    measures = {name: partial(_rate, batches, images) for name, (batches, images) in ways.items()}
    return {name: rates[1:] for name, rates in alternate(measures, ROUNDS + 1).items()}


def _ours(data: StreamedImages | ResidentImages) -> Iterator[Tensor]:
    """Yield the images of one step after the other, as training asks for them."""
    return (data.batch(0, step)[0] for step in itertools.count())


def _streamed(root: Path) -> Iterator[Tensor]:
    return _ours(StreamedImages(*imagenet.parts(Data("imagenet", str(root))), BATCH, PIXELS, "full", PLAIN, CPU))


def _resident(folder: Path, pixels: int) -> Iterator[Tensor]:
    files = sorted(folder.glob("*/images/*"))
    images = np.stack([decode(path.read_bytes()).transpose(2, 0, 1) for path in files])
    part = images, np.unique([path.parts[-3] for path in files], return_inverse=True)[1]
    return _ours(ResidentImages(part, part, BATCH, pixels, "full", PLAIN, CPU))


def _epochs(loader: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
    """Yield the images of a loader of images and labels, epoch after epoch."""
    return (images for epoch in itertools.repeat(loader) for images, _ in epoch)


def _usual(folder: Path, pixels: int) -> Iterator[Tensor]:
    """Read images as PyTorch's ImageNet example does."""
    from torchvision import datasets, transforms

    steps = [transforms.RandomResizedCrop(pixels), transforms.RandomHorizontalFlip()]
    steps += [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    dataset = datasets.ImageFolder(folder, transforms.Compose(steps))
    return _epochs(torch.utils.data.DataLoader(dataset, BATCH, shuffle=True, drop_last=True))


def _timm(folder: Path, pixels: int) -> Iterator[Tensor]:
    """Read images as timm's training script does."""
    from timm.data import create_loader
    from timm.data.dataset_factory import create_dataset

    look = {"color_jitter": None, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}
    process = {"num_workers": 0, "persistent_workers": False, "pin_memory": False, "device": CPU}
    return _epochs(create_loader(create_dataset("", str(folder)), pixels, BATCH, is_training=True, **look, **process))


def measure(photographs: Path, tiny: Path) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Measure everything.

    Args:
        photographs: class folders of full-size JPEGs.
        tiny: the unpacked Tiny-ImageNet.

    Returns:
        the title, the rows and the raw numbers of the record.
    """
    for folder, pattern, description in (
        (photographs, "*/*.*", "class folders of full-size JPEGs"),
        (tiny, "train/*/images/*", "the unpacked Tiny-ImageNet with its train/"),
    ):
        if next(folder.glob(pattern), None) is None:
            raise UserError(f"there is nothing to measure in {folder}: it should hold {description}")
    photographs, tiny = photographs.resolve(), tiny.resolve()
    ensure_torchvision()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root, cache, small = (Path(folder, name) for name in ("originals", "cache", "tiny"))
        root.mkdir()
        for part in ("train", "val"):
            (root / part).symlink_to(photographs)
        small.mkdir()
        wnids = sorted((tiny / "train").iterdir())
        for k in chosen_classes(TINY_CLASSES, len(wnids)):
            (small / wnids[k].name).symlink_to(wnids[k])
        prepare(root, None, cache)
        ways = {
            "ours, original files": (_streamed(root), IMAGES),
            "ours, prepared cache": (_streamed(cache), IMAGES),
            "usual": (_usual(photographs, PIXELS), IMAGES),
            "timm": (_timm(photographs, PIXELS), IMAGES),
        }
        raw = {f"photographs, {PIXELS} px, images/s": _rates(ways)}
        for pixels in TINY_PIXELS:
            ways = {
                "ours, resident": (_resident(small, pixels), RESIDENT_IMAGES),
                "usual": (_usual(small, pixels), TINY_IMAGES),
            }
            raw[f"Tiny-ImageNet, {pixels} px, images/s"] = _rates(ways)
    rows = []
    for images, ours, peer, target in COMPARED:
        rates = raw[f"{images}, images/s"]
        rows.append(row(f"{images}: images/s of one core, {ours} over {peer}", rates[ours], rates[peer], target))
    return "Input speed", rows, raw
