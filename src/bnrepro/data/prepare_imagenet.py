"""The preparation of ImageNet: archives unpacked, every file decoded, and smaller copies made.

A *cache* is a copy with smaller images, which is faster to read. The shorter side is reduced to 320 pixels, and the
image is encoded as JPEG of quality 90 with half the colour resolution. Measured on photographs of 500 x 375 for
training at 224 pixels with crops of 8-100 % of the area; the total is for ImageNet's 1.33 million images:

    shorter side    total     decoding    crops that are enlarged
    original        151 GB    1.1 ms      34 %
    384              75 GB    0.6 ms      37 %
    320              55 GB    0.46 ms     52 %
    256              37 GB    0.33 ms     82 %
"""

import shutil
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from rich.progress import track

from bnrepro.compat import ensure_torchvision
from bnrepro.data.augment import resized
from bnrepro.data.decode import CorruptImage, decode
from bnrepro.data.imagenet import META, scan
from bnrepro.errors import UserError
from bnrepro.records.files import remove_litter, write_atomically

CLASSES, IMAGES = 1000, {"train": 1_281_167, "val": 50_000}  # of ILSVRC2012
DEVKIT, TRAIN, VAL = "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
WHERE = (
    f"ImageNet needs an account at image-net.org: fetch {TRAIN}, {VAL} and {DEVKIT} there, "
    "and run: python scripts/prepare_data.py imagenet --source FOLDER --root {root}"
)
SIDE, QUALITY, COLOUR = 320, 90, "420"  # of a cache; our choice, see above
CHUNK = 1000  # images that a process handles at a time


def unpack(source: Path, root: Path) -> None:
    """Make the class folders from the official archives in ``source``, whose checksums torchvision knows."""
    for part in ("train", "val"):
        if (root / part).exists():
            raise UserError(f"{root / part} exists; move it away, or leave out --source to check what is there")
    for name in (DEVKIT, TRAIN, VAL):
        if not (source / name).is_file():
            raise UserError(f"{source / name} is missing. {WHERE.format(root=root)}")
    ensure_torchvision()
    from torchvision.datasets import imagenet

    root.mkdir(parents=True, exist_ok=True)
    archives = source.resolve()
    try:
        imagenet.parse_devkit_archive(root, str(archives / DEVKIT))
        imagenet.parse_train_archive(root, str(archives / TRAIN))
        imagenet.parse_val_archive(root, str(archives / VAL))
    except RuntimeError as error:
        raise UserError(f"{error}; fetch it again") from None


def _examine(original: Path, copy: Path | None) -> str:
    """Decode an image, and write its smaller copy if that is missing. Return what is wrong with it, or ""."""
    try:
        image = decode(original.read_bytes())
    except CorruptImage as error:
        return f"cannot be decoded: {original} ({error})"
    if copy and not copy.exists():
        write_atomically(copy, lambda file: file.write(reduced(image)))
    return ""


def _copies(paths: list[Path], root: Path, cache: Path) -> list[Path]:
    """Return the path of each image's copy. In a folder with x.png and x.jpg these are x.png.jpg and x.jpg.jpg."""
    stems = Counter(path.with_suffix("") for path in paths)
    ambiguous = {stem.parent for stem, count in stems.items() if count > 1}
    names = (f"{path.name}.jpg" if path.parent in ambiguous else f"{path.stem}.jpg" for path in paths)
    return [cache / path.relative_to(root).with_name(name) for path, name in zip(paths, names, strict=True)]


def reduced(image: np.ndarray) -> bytes:
    """Reduce the shorter side of an image (H, W, 3) to `SIDE` pixels if it is longer, and encode it."""
    height, width = image.shape[:2]
    scale = SIDE / min(height, width)
    if scale < 1:
        size = round(height * scale), round(width * scale)
        image = resized(image, np.array([0, 0, height, width]), size).permute(1, 2, 0).numpy()
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), QUALITY, "RGB", COLOUR)


def prepare(root: Path, source: Path | None, cache: Path | None = None) -> str:
    """Unpack and verify the data set, make its cache if asked, and return a summary in a line or two.

    An interrupted cache lies in a folder of its own, and the next call adds what is missing there.

    Args:
        root: the folder of the data set; it may be a cache.
        source: the folder of the official archives. Without it the files in ``root`` are verified.
        cache: the folder of a cache to make, or None.
    """
    if source is not None:
        unpack(source, root)
    elif not (root / "train").is_dir():
        raise UserError(f"no ImageNet in {root}. {WHERE.format(root=root)}")
    if cache and cache.exists():
        raise UserError(f"{cache} exists; move it away, or name another folder")
    imagenet = scan(root)
    counts = {"train": len(imagenet.train.labels), "val": len(imagenet.val.labels)}
    for part, expected in IMAGES.items():
        if len(imagenet.wnids) == CLASSES and counts[part] != expected:
            raise UserError(f"{root / part} has {counts[part]:,} of {expected:,} images; unpack it again")
    paths = [part.path(k) for part in (imagenet.train, imagenet.val) for k in range(len(part.labels))]
    unfinished = cache.with_name(f"{cache.name}.unfinished") if cache else None
    copies: Iterable[Path | None] = repeat(None)
    if unfinished:
        copies = _copies(paths, root, unfinished)
        for folder in {copy.parent for copy in copies}:
            folder.mkdir(parents=True, exist_ok=True)
            remove_litter(folder)
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        results = pool.map(_examine, paths, copies, chunksize=CHUNK)
        faults = list(filter(None, track(results, "decoding every file", len(paths), transient=True)))
    if faults:
        print(*faults, sep="\n")
        raise UserError(f"{len(faults)} of {len(paths):,} files cannot be decoded; unpack them again")
    images = f"{counts['train']:,} training and {counts['val']:,} validation images"
    summary = f"{root}: {images}, {len(imagenet.wnids)} classes"
    if not unfinished:
        return summary
    if (root / META).exists():
        shutil.copyfile(root / META, unfinished / META)
    size = sum(copy.stat().st_size for copy in unfinished.glob("*/*/*.jpg"))
    unfinished.rename(cache)
    return f"{summary}\n{cache}: {size / 1e9:.3g} GB, shorter side {SIDE}; use it with data.root={cache}"
