"""Putting Tiny-ImageNet-200 in its place: fetched or taken, decoded, and compared with the official files."""

import hashlib
import zipfile
from collections import Counter
from pathlib import Path, PurePath

import numpy as np
from rich.progress import track

from bnrepro.data.archives import fetch, take
from bnrepro.data.decode import CorruptImage, decode, kind
from bnrepro.data.tiny_imagenet import CLASSES, DIGEST, PIXELS, TRAIN_PER_CLASS, VAL_PER_CLASS, index
from bnrepro.errors import UserError
from bnrepro.records.files import write_atomically, write_json

ADDRESS = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"  # in the archive


def prepare(root: Path, source: Path | None, repair: bool = False) -> str:
    """Take, verify and decode; one line on what there is.

    Args:
        root: where the data set goes, in its official layout.
        source: the official archive, a folder of archive parts, or a folder that holds the layout; None takes what is
            in ``root``, or fetches it.
        repair: take what was taken before again, and write the arrays anew.
    """
    archive = root / f"{FOLDER}.zip"
    if repair and archive.exists() and not zipfile.is_zipfile(archive):
        archive.unlink()
    if source is None and not (root / "wnids.txt").exists():
        fetch(ADDRESS, archive)
    if source is None and archive.exists():
        source = archive
    if source is not None:
        take(source, root, _place, replace=repair)
    wnids, parts = _listing(root)
    if (root / "decoded" / "index.json").exists() and not repair:
        _check(index(root)["fingerprint"], root)
        return f"{root}: prepared before, {len(wnids)} classes; --repair does it again"
    return _decode_all(root, wnids, parts)


def _place(path: PurePath) -> PurePath | None:
    parts = path.parts[path.parts.index(FOLDER) + 1 :] if FOLDER in path.parts else path.parts
    return PurePath(*parts) if parts[0] in ("train", "val", "wnids.txt", "words.txt") else None


def _listing(root: Path) -> tuple[list[str], dict[str, list[Path]]]:
    """The sorted wnids, and every file of each part, by class and name."""
    again = "give --source the complete archive or all of its parts"
    try:
        wnids = sorted((root / "wnids.txt").read_text().split())
        rows = (root / "val" / "val_annotations.txt").read_text().splitlines()
    except OSError as error:
        raise UserError(f"{error.filename} is missing; {again}") from None
    labels = [(wnid, name) for name, wnid, *_ in (row.split("\t") for row in rows)]
    files = {
        "train": [(wnid, path) for wnid in wnids for path in sorted((root / "train" / wnid / "images").glob("*.JPEG"))],
        "val": [(wnid, root / "val" / "images" / name) for wnid, name in sorted(labels)],
    }
    for part, expected in (("train", TRAIN_PER_CLASS), ("val", VAL_PER_CLASS)):
        counts = Counter(wnid for wnid, path in files[part] if path.is_file())
        short = [f"{wnid} has {counts[wnid]}" for wnid in wnids if counts[wnid] != expected]
        if len(wnids) != CLASSES or short:
            there = f"{len(wnids)} classes" if len(wnids) != CLASSES else f"{short[0]} ({len(short)} such)"
            raise UserError(f"{root}, {part}: expected {CLASSES} classes of {expected} images, not {there}; {again}")
    return wnids, {part: [path for _, path in labelled] for part, labelled in files.items()}


def _check(digest: str, root: Path) -> None:
    """`UserError` unless a digest, or the beginning of one, is that of the official files."""
    if not DIGEST.startswith(digest):
        raise UserError(
            f"{root}: these are not the official files (their digest is {digest[:16]}, not {DIGEST[:16]}); "
            f"move {root} away to fetch them again, or give --source and --repair"
        )


def _decode_all(root: Path, wnids: list[str], parts: dict[str, list[Path]]) -> str:
    decoded = root / "decoded"
    decoded.mkdir(exist_ok=True)
    sha, kinds, faults = hashlib.sha256(), Counter(), []
    for part, paths in parts.items():
        images = np.zeros((len(paths), 3, PIXELS, PIXELS), np.uint8)
        for k, path in enumerate(track(paths, f"decoding {part}", transient=True)):
            content = path.read_bytes()
            sha.update(path.name.encode() + hashlib.sha256(content).digest())
            try:
                kinds[kind(content)] += 1
                images[k] = decode(content).transpose(2, 0, 1)
            except (CorruptImage, ValueError) as error:
                faults.append(f"{path} ({error})")
        if not faults:
            write_atomically(decoded / f"{part}.npy", lambda file, images=images: np.save(file, images))
    counts = {part: len(paths) for part, paths in parts.items()}
    if faults:
        print(*(f"cannot be decoded: {fault}" for fault in faults), sep="\n")
        total = sum(counts.values())
        raise UserError(f"{len(faults)} of {total} files cannot be decoded; run again with --repair")
    _check(sha.hexdigest(), root)
    words = dict(row.split("\t", 1) for row in (root / "words.txt").read_text().splitlines())
    names = [words.get(wnid, wnid) for wnid in wnids]
    described = {"wnids": wnids, "names": names, "images": counts, "kinds": kinds, "fingerprint": sha.hexdigest()[:16]}
    write_json(decoded / "index.json", described)
    by_kind = ", ".join(f"{count:,} {name}" for name, count in kinds.most_common())
    return (
        f"{root}: {counts['train']:,} training and {counts['val']:,} validation images, {len(wnids)} classes "
        f"({by_kind})"
    )
