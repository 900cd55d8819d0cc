"""A small ImageNet of random pictures in the usual folders, and batches streamed from it."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bnrepro.config.schema import Augment, Data
from bnrepro.data.imagenet import parts
from bnrepro.data.stream import StreamedImages

WNIDS = ("n01440764", "n02119789", "n12998815")
TRAIN, VAL, PIXELS = 5, 2, 24
CPU = torch.device("cpu")


def picture(seed: int) -> np.ndarray:
    """Smooth colours, of a size of its own."""
    rng = np.random.default_rng(seed)
    small = torch.from_numpy(rng.integers(0, 256, (1, 3, 4, 4), dtype=np.uint8))
    size = tuple(int(n) for n in rng.integers(40, 80, 2))
    return torch.nn.functional.interpolate(small, size, mode="bilinear")[0].permute(1, 2, 0).contiguous().numpy()


def encoded(image: Image.Image, form: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@cache
def jpeg(seed: int) -> bytes:
    return encoded(Image.fromarray(picture(seed)), quality=95)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def val_files() -> list[tuple[str, str, bytes]]:
    """The name, class and contents of the validation images; neighbours are of different classes."""
    order = [WNIDS[k % 3] for k in range(3 * VAL)]
    return [(f"ILSVRC2012_val_{k + 1:08d}.JPEG", wnid, jpeg(100 + k)) for k, wnid in enumerate(order)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The usual folders, validation images in class folders."""
    folder = tmp_path / "imagenet"
    for k, wnid in enumerate(WNIDS):
        for i in range(TRAIN):
            write(folder / "train" / wnid / f"{wnid}_{i}.JPEG", jpeg(10 * k + i))
    for name, wnid, content in val_files():
        write(folder / "val" / wnid / name, content)
    return folder


def streamed(root: Path, batch_size: int = 4, **options) -> StreamedImages:
    options = {"shuffle": "full", "augmentation": Augment("googlenet"), "device": CPU} | options
    return StreamedImages(*parts(Data("imagenet", str(root))), batch_size, PIXELS, **options)
