"""The preparation of ImageNet: taken from archives or folders, every file decoded and counted, repaired, cached."""

import re
from collections import Counter
from pathlib import Path, PurePath

from bnrepro.data.archives import take
from bnrepro.data.decode import CorruptImage, decode, kind
from bnrepro.data.imagenet import GROUND_TRUTH, MAPPING, META, SOLUTION, SUFFIXES, scan
from bnrepro.data.imagenet_cache import SIDE, each, prepare_cache
from bnrepro.errors import UserError

CLASSES, IMAGES = 1000, {"train": 1_281_167, "val": 50_000}  # of ILSVRC2012
WNID = re.compile(r"n\d{8}")
WHERE = (
    "ImageNet needs an account at image-net.org: fetch ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and "
    "ILSVRC2012_devkit_t12.tar.gz there, and run: python scripts/prepare_data.py imagenet --source FOLDER --root {root}"
)


def place(path: PurePath) -> PurePath | None:
    """Return the path below the root for a file of a usual archive or folder, or None if it is not needed.

    The usual layouts are folders train/ and val/ at any depth, the official tar that holds a tar per class, and flat
    folders with the official names.
    """
    if path.name in (GROUND_TRUTH, META, SOLUTION, MAPPING):
        return PurePath(path.name)
    if path.suffix.lower() not in SUFFIXES:
        return None
    for part in ("train", "val"):
        if part in path.parts[:-1]:
            below = path.parts[path.parts.index(part) + 1 :]
            return PurePath(part, *below[:-1][:1], below[-1])
    if path.name.startswith("ILSVRC2012_val_"):
        return PurePath("val", path.name)
    wnid = WNID.match(path.parent.name) or WNID.match(path.name)
    return PurePath("train", wnid.group(), path.name) if wnid else None


def _kinds(paths: list[Path]) -> tuple[Counter, list[str]]:
    """Decode files; return how many there are of each kind, and a line for each that is corrupt."""
    kinds, faults = Counter(), []
    for path in paths:
        content = path.read_bytes()
        try:
            decode(content)
            kinds[kind(content)] += 1
        except CorruptImage as error:
            faults.append(f"cannot be decoded: {path} ({error})")
    return kinds, faults


def prepare(root: Path, source: Path | None, repair: bool = False, cache: Path | None = None, side: int = SIDE) -> str:
    """Take, verify, repair and cache the data set, and return a summary in a line or two.

    Args:
        root: the folder of the data set; it may be a cache.
        source: an archive, a folder of archives, or a folder of a usual layout. Without it the files in ``root`` are
            verified.
        repair: take all archives of the source again, and make damaged images of the cache again.
        cache: the folder of a cache to make, or None.
        side: the shorter side of the images in the cache in pixels.
    """
    if source is not None:
        take(source, root, place, again=repair)
    elif not (root / "train").is_dir():
        raise UserError(f"no ImageNet in {root}. {WHERE.format(root=root)}")
    whole = scan(root)
    counts = {"train": len(whole.train.labels), "val": len(whole.val.labels)}
    for part, expected in IMAGES.items():
        if len(whole.wnids) == CLASSES and counts[part] != expected:
            raise UserError(f"{root / part} has {counts[part]:,} of {expected:,} images; give --source and --repair")
    paths = [part.path(k) for part in (whole.train, whole.val) for k in range(len(part.labels))]
    kinds, faults = Counter(), []
    for chunk_kinds, chunk_faults in each(_kinds, paths, "decoding every file"):
        kinds += chunk_kinds
        faults += chunk_faults
    if faults:
        print(*faults, sep="\n")
        raise UserError(f"{len(faults)} of {len(paths):,} files cannot be decoded; give --source and --repair")
    by_kind = ", ".join(f"{count:,} {name}" for name, count in kinds.most_common())
    images = f"{counts['train']:,} training and {counts['val']:,} validation images"
    summary = f"{root}: {images}, {len(whole.wnids)} classes ({by_kind})"
    return summary if cache is None else f"{summary}\n{prepare_cache(whole, cache, side, repair)}"
