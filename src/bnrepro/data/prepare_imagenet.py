"""Putting ImageNet in its place: taken from archives or folders, every file decoded and counted, repaired, cached."""

import os
import re
import shutil
from collections import Counter
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bnrepro.data.decode import CorruptImage, decode, kind
from bnrepro.data.encoded import Collection, Files
from bnrepro.data.imagenet import SUFFIXES, scan
from bnrepro.data.imagenet_cache import SIDE, is_cache, prepare_cache, verify_cache
from bnrepro.data.imagenet_labels import KNOWN
from bnrepro.data.processes import each
from bnrepro.data.unpack import archives, forget, is_archive, unpack
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_json

CLASSES, TRAIN, VAL = 1000, 1_281_167, 50_000  # ILSVRC2012
VERIFIED = ".verified.json"  # what was decoded before, by class
REMEMBER_EVERY = 20  # classes
WNID = re.compile(r"n\d{8}")
WHERE = (
    "ImageNet needs an account at image-net.org: fetch ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and "
    "ILSVRC2012_devkit_t12.tar.gz there, and run: python scripts/prepare_data.py imagenet --source FOLDER --root {root}"
)


def place(name: PurePosixPath) -> PurePosixPath | None:
    """Where a file of any usual archive or folder belongs below the root; None for what is not needed.

    Known are folders train/ and val/ at any depth, the official tar of a tar for each class, and flat official names.
    """
    if name.name in KNOWN:
        return PurePosixPath(name.name)
    if name.suffix.lower() not in SUFFIXES:
        return None
    for part in ("train", "val"):
        if part in name.parts[:-1]:
            below = name.parts[name.parts.index(part) + 1 :]
            return PurePosixPath(part, *below[:-1][:1], below[-1])
    if name.name.startswith("ILSVRC2012_val_"):
        return PurePosixPath("val", name.name)
    wnid = WNID.match(name.parent.name) or WNID.match(name.name)
    return PurePosixPath("train", wnid.group(), name.name) if wnid else None


def take(source: Path, root: Path, again: set[Path] = frozenset()) -> None:
    """Put what ``root`` lacks, and the files named in ``again``, there from archives or folders.

    Files of a folder are linked where the file system allows it, else copied.

    Raises:
        UserError: there is no such source, or an archive cannot be unpacked.
    """

    def lacking(name: PurePosixPath) -> PurePosixPath | None:
        placed = place(name)
        wanted = placed is not None and (root / placed in again or not (root / placed).exists())
        return placed if wanted else None

    for archive in archives(source):
        unpack(archive, root, lacking)
    if source.is_dir():
        for folder, _, names in os.walk(source):
            for path in (Path(folder, name) for name in names):
                placed = None if is_archive(path) else lacking(PurePosixPath(path.relative_to(source)))
                if placed is not None:
                    _link(path, root / placed)


def _link(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _look(images: tuple[Files, np.ndarray], known: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the images of a class are: how many of each kind, and which are corrupt; known from before if unchanged."""
    part, index = images
    paths = [part.path(k) for k in index]
    key = f"{part.folder.name}/{part.labels[index[0]]}"
    told = [path.stat() for path in paths]
    signature = [len(paths), sum(one.st_size for one in told), max(one.st_mtime_ns for one in told)]
    if key in known and known[key]["signature"] == signature and not known[key]["bad"]:
        return key, known[key]
    kinds, bad = Counter(), {}
    for path in paths:
        content = path.read_bytes()
        try:
            decode(content)
            kinds[kind(content)] += 1
        except CorruptImage as error:
            kinds["corrupt"] += 1
            bad[str(path)] = str(error)
    return key, {"signature": signature, "kinds": dict(kinds), "bad": bad}


def verify(found: Collection, root: Path) -> tuple[Counter, dict[str, str]]:
    """Decode every file: how many there are of each kind, and why which cannot be decoded.

    What was found is remembered in ``root``, so that an interrupted verification goes on and a later one looks at
    nothing that is as it was.
    """
    memory = root / VERIFIED
    known = read_json(memory) if memory.is_file() else {}
    classes = range(1, len(found.wnids))
    jobs = [
        (part, index)
        for part in (found.train, found.val)
        for index in np.split(np.arange(len(part.labels)), np.searchsorted(part.labels, classes))
    ]
    results: dict[str, Any] = {}
    try:
        for key, result in each(partial(_look, known=known), jobs, "decoding every file"):
            results[key] = result
            if len(results) % REMEMBER_EVERY == 0:
                write_json(memory, known | results)
    finally:
        write_json(memory, known | results)
    kinds = sum((Counter(result["kinds"]) for result in results.values()), Counter())
    return kinds, {path: why for result in results.values() for path, why in result["bad"].items()}


def _check_counts(found: Collection, root: Path) -> None:
    """`UserError` if this is ILSVRC2012 and not all of it."""
    if len(found.wnids) != CLASSES:
        return
    for part, expected, fewest in (("train", TRAIN, 732), ("val", VAL, 50)):
        counts = np.bincount(getattr(found, part).labels)
        if counts.sum() != expected:
            short = [f"{found.wnids[k]} has {counts[k]}" for k in np.flatnonzero(counts < fewest)]
            where = f" ({'; '.join(short[:3])})" if short else ""
            raise UserError(
                f"{root / part} has {counts.sum():,} of {expected:,} images{where}; give --source and --repair"
            )


def prepare(root: Path, source: Path | None, repair: bool = False, cache: Path | None = None, side: int = SIDE) -> str:
    """Take, verify, repair and cache; say in a line each what there is.

    Args:
        root: where the data set is or goes; if it is a cache, that is verified.
        source: an archive, a folder of archives, or a folder of the usual layout; None looks at what is there.
        repair: take what is missing or cannot be decoded from the source again, and make damaged shards again.
        cache: where a cache of smaller images goes; None for none.
        side: pixels that the cache reduces the shorter side to.

    Raises:
        UserError: there is nothing, something is missing, or files cannot be decoded; each is named.
    """
    if is_cache(root):
        return verify_cache(root)
    if repair:
        forget(root)
    if source is not None:
        take(source, root)
    elif not (root / "train").is_dir():
        raise UserError(f"no ImageNet in {root}. {WHERE.format(root=root)}")
    found = scan(root)
    _check_counts(found, root)
    kinds, bad = verify(found, root)
    if bad and repair and source is not None:
        forget(root)
        take(source, root, again={Path(path) for path in bad})
        found = scan(root)
        kinds, bad = verify(found, root)
    if bad:
        for path, why in bad.items():
            print(f"cannot be decoded: {path} ({why})")
        raise UserError(f"{len(bad)} of {kinds.total():,} files cannot be decoded; give --source and --repair")
    train, val = len(found.train.labels), len(found.val.labels)
    seen = ", ".join(f"{count:,} {which}" for which, count in kinds.most_common())
    said = f"{root}: {train:,} training and {val:,} validation images, {len(found.wnids)} classes ({seen})"
    return said if cache is None else f"{said}\n{prepare_cache(found, cache, side, repair)}"
