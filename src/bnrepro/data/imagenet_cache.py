"""A prepared copy of ImageNet: smaller images in few large files, made once and read in any order.

The shorter side is reduced to 320 pixels, and the image is encoded as JPEG of quality 90 with half the colour
resolution. An image that is no larger is copied as it is. Measured on photographs of 500 x 375 for training at 224
pixels with crops of 8-100 % of the area; the total is for ImageNet's 1.33 million images:

    shorter side    total     decoding    crops that are enlarged
    original        151 GB    1.1 ms      34 %
    384              75 GB    0.6 ms      37 %
    320              55 GB    0.46 ms     52 %
    256              37 GB    0.33 ms     82 %

``train-00000.tar``, ..., ``val-00000.tar``, ... hold 1,024 images each, sorted by class, as <wnid>/<name>.jpg. The
index gives the place of each image in its tar, so that nothing has to be unpacked. An interrupted preparation goes on
with the first tar that is missing, and a tar has the same bytes however often it is made.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from rich.progress import track

from bnrepro.data.augment import resized
from bnrepro.data.decode import JPEG, CorruptImage, decode, kind
from bnrepro.data.parts import Collection, Encoded
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_atomically, write_json

INDEX = "bnrepro-cache.json"  # has no shards while the cache is being made
SIDE, QUALITY, COLOUR = 320, 90, "420"  # our choice, see above
SHARD_IMAGES = 1024
PARTS = ("train", "val")


def is_cache(root: Path) -> bool:
    """Return whether a folder holds a cache, finished or not."""
    return (root / INDEX).is_file()


def opened(root: Path) -> Collection:
    """Return the cache in a folder, after a check of the sizes of its shards."""
    index = read_json(root / INDEX)
    if not index["shards"]:
        raise UserError(f"the cache {root} is unfinished; run prepare_data.py imagenet --cache {root} again to go on")
    for shard in index["shards"]:
        path = root / shard["file"]
        if not path.is_file() or path.stat().st_size != shard["bytes"]:
            raise UserError(f"{path} is missing or damaged; run prepare_data.py imagenet --cache {root} --repair")
    return Collection(
        index["wnids"], index["names"], *(_part(root, index, part) for part in PARTS), index["fingerprint"]
    )


def _part(root: Path, index: dict[str, Any], part: str) -> Encoded:
    shards = [shard for shard in index["shards"] if shard["part"] == part]
    counts = index["images"][part]
    names = np.repeat([shard["file"].encode() for shard in shards], [len(shard["offsets"]) for shard in shards])
    offsets, lengths = (np.concatenate([shard[key] for shard in shards]) for key in ("offsets", "lengths"))
    return Encoded(root, names, np.repeat(np.arange(len(counts)), counts), np.column_stack([offsets, lengths]))


def each(work: Callable[[Any], Any], jobs: Sequence[Any], title: str) -> Iterator[Any]:
    """Yield ``work`` of each job in order, computed on all cores with a progress bar."""
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from track(pool.map(work, jobs), title, len(jobs), transient=True)


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


class Shard(NamedTuple):
    """A tar to write: the part of the data set it belongs to, its path, its images and their names in it."""

    part: str
    path: Path
    images: Encoded
    names: list[str]


def _shards(whole: Collection, out: Path) -> list[Shard]:
    shards = []
    for part in PARTS:
        images: Encoded = getattr(whole, part)
        for number, start in enumerate(range(0, len(images.labels), SHARD_IMAGES)):
            index = np.arange(start, min(start + SHARD_IMAGES, len(images.labels)))
            names = [f"{whole.wnids[images.labels[k]]}/{images.path(k).stem}.jpg" for k in index]
            own_images = images.subset(index, images.labels[index])
            shards.append(Shard(part, out / f"{part}-{number:05d}.tar", own_images, names))
    return shards


def _make(shard: Shard, side: int) -> dict[str, Any]:
    """Write a shard if it is missing, and return its entry in the index."""
    if not shard.path.exists():
        write_atomically(shard.path, partial(_write, shard=shard, side=side))
    with tarfile.open(shard.path) as tar:
        members = tar.getmembers()
    return {
        "part": shard.part,
        "file": shard.path.name,
        "bytes": shard.path.stat().st_size,
        "sha256": _sha256(shard.path),
        "offsets": [member.offset_data for member in members],
        "lengths": [member.size for member in members],
    }


def _write(file: IO[bytes], shard: Shard, side: int) -> None:
    with tarfile.open(fileobj=file, mode="w") as tar:
        for k, name in enumerate(shard.names):
            try:
                content = reduced(shard.images.read(k), side)
            except CorruptImage as error:
                remedy = "repair it first with prepare_data.py imagenet --repair"
                raise UserError(f"{shard.images.name(k)} cannot be decoded ({error}); {remedy}") from None
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(out: Path) -> list[Path]:
    """Return the shards of a cache that are missing or have another checksum than its index says."""
    shards = read_json(out / INDEX)["shards"]
    paths = [out / shard["file"] for shard in shards]
    checksums = each(_sha256, paths, f"verifying {out}")
    return [path for path, shard, checksum in zip(paths, shards, checksums, strict=True) if shard["sha256"] != checksum]


def verify_cache(out: Path) -> str:
    """Check all checksums of a finished cache, and return a summary in one line."""
    whole = opened(out)
    if damaged := _damaged(out):
        raise UserError(f"{damaged[0]} is damaged ({len(damaged)} such); run again with --root ORIGINALS --repair")
    return (
        f"{out}: all checksums as expected; {len(whole.wnids)} classes, {len(whole.train.labels):,} training and "
        f"{len(whole.val.labels):,} validation images"
    )


def prepare_cache(whole: Collection, out: Path, side: int = SIDE, repair: bool = False) -> str:
    """Write the cache of a data set, or verify the one that is there, and return a summary in one line.

    Args:
        whole: the original images.
        out: the folder of the cache.
        side: the shorter side of the smaller images in pixels.
        repair: make damaged shards again.
    """
    changes = f"{whole.fingerprint} {side} {QUALITY} {COLOUR}"
    fingerprint = hashlib.sha256(changes.encode()).hexdigest()[:16]
    if is_cache(out):
        index = read_json(out / INDEX)
        if index["fingerprint"] != fingerprint:
            raise UserError(f"{out} holds the cache of other images or of another --side; give another folder")
        if index["shards"] and not repair:
            return verify_cache(out)
        for path in _damaged(out):
            path.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    counts = {part: np.bincount(getattr(whole, part).labels).tolist() for part in PARTS}
    index = {"fingerprint": fingerprint, "side": side, "wnids": whole.wnids, "names": whole.names, "images": counts}
    write_json(out / INDEX, index | {"shards": []})
    shards = list(each(partial(_make, side=side), _shards(whole, out), f"writing {out}"))
    write_json(out / INDEX, index | {"shards": shards})
    size = sum(shard["bytes"] for shard in shards)
    return f"{out}: {len(shards)} shards, {size / 1e9:.3g} GB, shorter side {side}; use it with data.root={out}"
