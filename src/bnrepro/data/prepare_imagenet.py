"""Putting ImageNet in its place: taken from archives or folders, every file decoded and counted, repaired, cached."""

import re
from collections import Counter
from pathlib import Path, PurePath

from bnrepro.data.archives import take
from bnrepro.data.decode import CorruptImage, decode, kind
from bnrepro.data.encoded import Collection
from bnrepro.data.imagenet import SUFFIXES, scan
from bnrepro.data.imagenet_cache import SIDE, is_cache, prepare_cache, verify_cache
from bnrepro.data.imagenet_labels import LABEL_FILES
from bnrepro.data.processes import each
from bnrepro.errors import UserError

CLASSES, IMAGES = 1000, {"train": 1_281_167, "val": 50_000}  # ILSVRC2012
TOGETHER = 1000  # files that a process decodes at a time
WNID = re.compile(r"n\d{8}")
WHERE = (
    "ImageNet needs an account at image-net.org: fetch ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and "
    "ILSVRC2012_devkit_t12.tar.gz there, and run: python scripts/prepare_data.py imagenet --source FOLDER --root {root}"
)


def place(path: PurePath) -> PurePath | None:
    """Where a file of any usual archive or folder belongs below the root; None for what is not needed.

    Known are folders train/ and val/ at any depth, the official tar of a tar for each class, and flat official names.
    """
    if path.name in LABEL_FILES:
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


def _kinds(paths: list[Path]) -> tuple[Counter, dict[Path, str]]:
    """How many of these files are of each kind, and why which cannot be decoded."""
    kinds, faults = Counter(), {}
    for path in paths:
        content = path.read_bytes()
        try:
            decode(content)
            kinds[kind(content)] += 1
        except CorruptImage as error:
            faults[path] = str(error)
    return kinds, faults


def _verify(whole: Collection) -> Counter:
    """Decode every file: how many there are of each kind."""
    paths = [part.path(k) for part in (whole.train, whole.val) for k in range(len(part.labels))]
    chunks = [paths[start : start + TOGETHER] for start in range(0, len(paths), TOGETHER)]
    kinds, faults = Counter(), {}
    for chunk_kinds, chunk_faults in each(_kinds, chunks, "decoding every file"):
        kinds += chunk_kinds
        faults |= chunk_faults
    for path, fault in faults.items():
        print(f"cannot be decoded: {path} ({fault})")
    if faults:
        raise UserError(f"{len(faults)} of {len(paths):,} files cannot be decoded; give --source and --repair")
    return kinds


def prepare(root: Path, source: Path | None, repair: bool = False, cache: Path | None = None, side: int = SIDE) -> str:
    """Take, verify, repair and cache; a line each on what there is.

    Args:
        root: where the data set is or goes; if it is a cache, that is verified.
        source: an archive, a folder of archives, or a folder of the usual layout; None looks at what is there.
        repair: take all files from the source again, and make damaged shards again.
        cache: where a cache of smaller images goes; None for none.
        side: pixels that the cache reduces the shorter side to.
    """
    if is_cache(root):
        return verify_cache(root)
    if source is not None:
        take(source, root, place, replace=repair)
    elif not (root / "train").is_dir():
        raise UserError(f"no ImageNet in {root}. {WHERE.format(root=root)}")
    whole = scan(root)
    counts = {"train": len(whole.train.labels), "val": len(whole.val.labels)}
    for part, expected in IMAGES.items():
        if len(whole.wnids) == CLASSES and counts[part] != expected:
            raise UserError(f"{root / part} has {counts[part]:,} of {expected:,} images; give --source and --repair")
    kinds = ", ".join(f"{count:,} {name}" for name, count in _verify(whole).most_common())
    summary = (
        f"{root}: {counts['train']:,} training and {counts['val']:,} validation images, {len(whole.wnids)} classes "
        f"({kinds})"
    )
    return summary if cache is None else f"{summary}\n{prepare_cache(whole, cache, side, repair)}"
