"""A copy of ImageNet with smaller images, in the usual folders, that is faster to read.

The shorter side is reduced to 320 pixels, and the image is encoded as JPEG of quality 90 with half the colour
resolution. A plain JPEG that is no larger is copied as it is. Measured on photographs of 500 x 375 for training at 224
pixels with crops of 8-100 % of the area; the total is for ImageNet's 1.33 million images:

    shorter side    total     decoding    crops that are enlarged
    original        151 GB    1.1 ms      34 %
    384              75 GB    0.6 ms      37 %
    320              55 GB    0.46 ms     52 %
    256              37 GB    0.33 ms     82 %

An interrupted preparation goes on with the images that are missing.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from rich.progress import track

from bnrepro.data.augment import resized
from bnrepro.data.decode import JPEG, CorruptImage, decode, kind
from bnrepro.data.imagenet import CACHE, MAPPING, scan
from bnrepro.data.parts import Collection
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, remove_litter, write_atomically, write_json, write_text

SIDE, QUALITY, COLOUR = 320, 90, "420"  # our choice, see above
CHUNK = 1000  # images that a process handles at a time


def each(work: Callable[[list], Any], jobs: Sequence[Any], title: str) -> Iterator[Any]:
    """Yield ``work`` of each chunk of jobs in order, computed on all cores with a progress bar."""
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from track(pool.map(work, chunks), title, len(chunks), transient=True)


def reduced(content: bytes, side: int) -> bytes:
    """Reduce the shorter side of an encoded image to ``side`` pixels; a plain JPEG that is no larger stays as it is."""
    image = decode(content)
    height, width = image.shape[:2]
    scale = side / min(height, width)
    if scale >= 1 and content.startswith(JPEG) and kind(content) == "rgb":
        return content
    if scale < 1:
        size = round(height * scale), round(width * scale)
        image = resized(image, np.array([0, 0, height, width]), size).permute(1, 2, 0).numpy()
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), QUALITY, "RGB", COLOUR)


def _is_intact(path: Path) -> bool:
    try:
        decode(path.read_bytes())
    except CorruptImage:
        return False
    return True


def _write_reduced(files: list[tuple[Path, Path]], side: int, repair: bool) -> None:
    """Write the reduced images of (original, copy) that are missing or, with ``repair``, cannot be decoded."""
    for original, copy in files:
        if copy.exists() and not (repair and not _is_intact(copy)):
            continue
        try:
            content = reduced(original.read_bytes(), side)
        except CorruptImage as error:
            remedy = "repair it first with prepare_data.py imagenet --repair"
            raise UserError(f"{original} cannot be decoded ({error}); {remedy}") from None
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(copy, lambda file, content=content: file.write(content))


def prepare_cache(whole: Collection, out: Path, side: int = SIDE, repair: bool = False) -> str:
    """Write the cache of a data set, or what is missing of it, and return a summary in one line.

    Args:
        whole: the original images.
        out: the folder of the cache.
        side: the shorter side of the smaller images in pixels.
        repair: decode the images that are there, and make the damaged ones again.
    """
    made_from = {"originals": whole.fingerprint, "side": side, "quality": QUALITY, "colour": COLOUR}
    if (out / CACHE).is_file() and read_json(out / CACHE) | {"finished": True} != made_from | {"finished": True}:
        raise UserError(f"{out} holds the cache of other images or of another --side; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    for folder in (out, *out.glob("*/*/")):
        remove_litter(folder)
    write_json(out / CACHE, made_from | {"finished": False})
    write_text(out / MAPPING, "".join(f"{w} {name}\n" for w, name in zip(whole.wnids, whole.names, strict=True)))
    files = []
    for part, images in (("train", whole.train), ("val", whole.val)):
        for k, label in enumerate(images.labels):
            original = images.path(k)
            files.append((original, out / part / whole.wnids[label] / f"{original.stem}.jpg"))
    for _ in each(partial(_write_reduced, side=side, repair=repair), files, f"writing {out}"):
        pass
    write_json(out / CACHE, made_from | {"finished": True})
    cached = scan(out)
    size = sum(copy.stat().st_size for _, copy in files)
    return (
        f"{out}: {len(cached.train.labels):,} training and {len(cached.val.labels):,} validation images, "
        f"{size / 1e9:.3g} GB, shorter side {side}; use it with data.root={out}"
    )
