"""A prepared copy of ImageNet: smaller images in few large files, made once and read at random.

The shorter side is reduced to 320 pixels and the image encoded as JPEG of quality 90 with half the colour resolution;
one that is no larger is copied as it is. Measured on photographs of 500 x 375 for 224-pixel training with crops of
8-100 % of the area, ImageNet's 1.33 million images:

    shorter side    total     decoding    crops enlarged on a side
    original        151 GB    1.1 ms      34 %
    384              75 GB    0.6 ms      37 %    (most photographs are smaller and would only be encoded anew)
    320              55 GB    0.46 ms     52 %
    256              37 GB    0.33 ms     82 %
    256, raw        357 GB    0           82 %

Quality 95 without loss of colour resolution adds 80 % to the size and 70 % to the decoding for 0.6 dB.

``train-00000.tar``, ..., ``val-00000.tar``, ... hold 1,024 images each, sorted by class, as <wnid>/<name>.jpg; the
index tells where each image lies, so that readers seek and do not unpack. An interrupted preparation goes on with the
shard that it was at; shards are the same bytes however often they are made.
"""

import hashlib
import io
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from bnrepro.data.decode import JPEG, CorruptImage, decode, kind
from bnrepro.data.encoded import Collection, Encoded, Shards, resized
from bnrepro.data.processes import each
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_atomically, write_json

INDEX, SETTINGS = "bnrepro-cache.json", "bnrepro-cache.unfinished.json"
SIDE, QUALITY, COLOUR = 320, 90, "420"  # our choice, see above
SHARD_IMAGES = 1024
PARTS = ("train", "val")


def is_cache(root: Path) -> bool:
    """Whether a folder holds a cache, finished or not."""
    return (root / INDEX).is_file() or (root / SETTINGS).is_file()


def opened(root: Path) -> Collection:
    """The cache in a folder.

    Raises:
        UserError: it is unfinished, or a shard is missing or has another size.
    """
    if not (root / INDEX).is_file():
        raise UserError(f"the cache {root} is unfinished; run prepare_data.py imagenet --cache {root} again to go on")
    told = read_json(root / INDEX)
    for shard in told["shards"]:
        path = root / shard["file"]
        if not path.is_file() or path.stat().st_size != shard["bytes"]:
            raise UserError(f"{path} is missing or damaged; run prepare_data.py imagenet --cache {root} --repair")
    return Collection(told["wnids"], told["names"], *(_part(root, told, part) for part in PARTS), told["fingerprint"])


def _part(root: Path, told: dict[str, Any], part: str) -> Shards:
    shards = [shard for shard in told["shards"] if shard["part"] == part]
    counts = told["images"][part]
    return Shards(
        root,
        tuple(shard["file"] for shard in shards),
        np.repeat(np.arange(len(shards)), [len(shard["offsets"]) for shard in shards]),
        np.concatenate([shard["offsets"] for shard in shards]),
        np.concatenate([shard["lengths"] for shard in shards]),
        np.repeat(np.arange(len(counts)), counts),
    )


def reduced(content: bytes, side: int) -> bytes:
    """An encoded image with its shorter side reduced to ``side`` pixels, as JPEG.

    A plain JPEG that is no larger stays as it is.

    Raises:
        CorruptImage: it cannot be decoded.
    """
    image = decode(content)
    height, width = image.shape[:2]
    scale = side / min(height, width)
    if scale >= 1 and content[:2] == JPEG and kind(content) == "rgb":
        return content
    if scale < 1:
        size = round(height * scale), round(width * scale)
        image = resized(image, np.array([0, 0, height, width]), size).permute(1, 2, 0).numpy()
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), QUALITY, "RGB", COLOUR)


def _name(found: Collection, part: Encoded, k: int) -> str:
    return f"{found.wnids[part.labels[k]]}/{Path(part.name(k)).stem}.jpg"


def _members(path: Path) -> list[tarfile.TarInfo]:
    """What a shard holds; nothing if it is not there or cannot be read."""
    try:
        with tarfile.open(path) as tar:
            return tar.getmembers()
    except (OSError, tarfile.TarError):
        return []


def _shard(job: tuple[str, int], found: Collection, out: Path, side: int) -> dict[str, Any]:
    """Write a shard, unless it is there, and say what the index has to know of it."""
    name, number = job
    part: Encoded = getattr(found, name)
    path = out / f"{name}-{number:05d}.tar"
    images = range(number * SHARD_IMAGES, min((number + 1) * SHARD_IMAGES, len(part.labels)))
    members = _members(path)
    if [member.name for member in members] != [_name(found, part, k) for k in images]:
        write_atomically(path, partial(_write, found=found, part=part, images=images, side=side))
        members = _members(path)
    return {
        "part": name,
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
        "offsets": [member.offset_data for member in members],
        "lengths": [member.size for member in members],
    }


def _write(file: io.BufferedWriter, found: Collection, part: Encoded, images: range, side: int) -> None:
    with tarfile.open(fileobj=file, mode="w") as tar:
        for k in images:
            try:
                content = reduced(part.read(k), side)
            except CorruptImage as error:
                raise UserError(
                    f"{part.name(k)} cannot be decoded ({error}); mend it first with prepare_data.py imagenet --repair"
                ) from None
            told = tarfile.TarInfo(_name(found, part, k))
            told.size = len(content)
            tar.addfile(told, io.BytesIO(content))


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(out: Path) -> list[str]:
    """The shards of a finished cache that are missing or have another checksum."""
    shards = read_json(out / INDEX)["shards"]
    sums = each(_sha256, [out / shard["file"] for shard in shards], f"verifying {out}")
    return [shard["file"] for shard, found in zip(shards, sums, strict=True) if shard["sha256"] != found]


def verify_cache(out: Path) -> str:
    """Say in one line what a finished cache holds.

    Raises:
        UserError: it is unfinished, or a shard is missing or has another checksum.
    """
    found = opened(out)
    if bad := _damaged(out):
        raise UserError(f"{out / bad[0]} is damaged ({len(bad)} such); run again with --root ORIGINALS --repair")
    return (
        f"{out}: {len(found.train.files) + len(found.val.files)} shards, checksums as expected; {len(found.wnids)} "
        f"classes, {len(found.train.labels):,} training and {len(found.val.labels):,} validation images"
    )


def prepare_cache(found: Collection, out: Path, side: int = SIDE, repair: bool = False) -> str:
    """Write a data set's cache, or verify the one that is there, and say in one line what there is.

    Args:
        found: the original images.
        out: the folder of the cache.
        side: pixels that the shorter side is reduced to.
        repair: make damaged shards again.

    Raises:
        UserError: the folder holds another data set's cache or one of another size, a shard is damaged and is not to
            be repaired, or an image cannot be decoded.
    """
    settings = {"fingerprint": _fingerprint(found, side), "side": side, "quality": QUALITY, "colour": COLOUR}
    finished = (out / INDEX).is_file()
    if is_cache(out):
        before = read_json(out / (INDEX if finished else SETTINGS))
        if any(before[key] != value for key, value in settings.items()):
            raise UserError(f"{out} holds the cache of other images or of another --side; give another folder")
    if finished and not repair:
        return verify_cache(out)
    out.mkdir(parents=True, exist_ok=True)
    if finished:
        for name in _damaged(out):
            (out / name).unlink(missing_ok=True)
    write_json(out / SETTINGS, settings)
    jobs = [(part, k) for part in PARTS for k in range(-(-len(getattr(found, part).labels) // SHARD_IMAGES))]
    shards = list(each(partial(_shard, found=found, out=out, side=side), jobs, f"writing {out}"))
    counts = {part: np.bincount(getattr(found, part).labels).tolist() for part in PARTS}
    told = settings | {"wnids": found.wnids, "names": found.names, "images": counts, "shards": shards}
    write_json(out / INDEX, told)
    (out / SETTINGS).unlink()
    size = sum(shard["bytes"] for shard in shards)
    return f"{out}: {len(shards)} shards, {size / 1e9:.3g} GB, shorter side {side}; use it with data.root={out}"


def _fingerprint(found: Collection, side: int) -> str:
    """The images' own, and how they were changed."""
    changed = f"{found.fingerprint} {side} {QUALITY} {COLOUR}"
    return hashlib.sha256(changed.encode()).hexdigest()[:16]
