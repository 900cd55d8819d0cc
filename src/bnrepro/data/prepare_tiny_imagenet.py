"""Putting Tiny-ImageNet-200 in its place: fetched or taken, unpacked, decoded, and compared with the official files."""

import hashlib
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from rich.progress import track

from bnrepro.data.decode import CorruptImage, decode, kind
from bnrepro.data.fetch import fetch
from bnrepro.data.tiny_imagenet import CLASSES, DIGEST, PIXELS, TRAIN_PER_CLASS, VAL_PER_CLASS, index
from bnrepro.data.unpack import archives, forget, unpack, without
from bnrepro.errors import UserError
from bnrepro.records.files import write_atomically, write_json

ADDRESS = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"


def prepare(root: Path, source: Path | None, repair: bool = False) -> str:
    """Unpack, verify and decode; say in one line what there is.

    Args:
        root: where the data set goes, in its official layout.
        source: the official archive, a folder of archive parts, or a folder that holds the layout; None takes what is
            in ``root``, or fetches it.
        repair: unpack again even what was unpacked before, and write the arrays anew.

    Raises:
        UserError: files are missing, some cannot be decoded (each is named), or they are not the official ones.
    """
    official = root / f"{FOLDER}.zip"
    if repair:
        forget(root)
        if official.exists() and not zipfile.is_zipfile(official):
            official.unlink()
    if source is None and not (root / "wnids.txt").exists():
        source = fetch(ADDRESS, official)
    layout = root
    if source is not None:
        parts = archives(source)
        for archive in track(parts, "unpacking", transient=True):
            unpack(archive, root, without(FOLDER))
        if not parts:  # a folder that holds the layout is read where it is
            layout = source / FOLDER if (source / FOLDER).is_dir() else source
    return _decode_all(root, layout, repair)


def _listing(layout: Path) -> tuple[list[str], dict[str, list[tuple[Path, str]]]]:
    """The sorted wnids, and of each part every file with its wnid, by class and name."""
    again = "give --source the complete archive or all of its parts"
    try:
        wnids = sorted((layout / "wnids.txt").read_text().split())
        rows = (layout / "val" / "val_annotations.txt").read_text().splitlines()
    except OSError as error:
        raise UserError(f"{error.filename} is missing; {again}") from None
    labels = {name: wnid for name, wnid, *_ in (row.split("\t") for row in rows)}
    train = [(path, wnid) for wnid in wnids for path in sorted((layout / "train" / wnid / "images").glob("*.JPEG"))]
    val = [(layout / "val" / "images" / name, wnid) for name, wnid in labels.items()]
    val.sort(key=lambda item: (item[1], item[0].name))
    for part, found, expected in (("train", train, TRAIN_PER_CLASS), ("val", val, VAL_PER_CLASS)):
        counts = Counter(wnid for path, wnid in found if path.is_file())
        short = [f"{wnid} has {counts[wnid]}" for wnid in wnids if counts[wnid] != expected]
        if len(wnids) != CLASSES or short:
            what = f"{len(wnids)} classes" if len(wnids) != CLASSES else f"{'; '.join(short[:3])} ({len(short)} such)"
            raise UserError(f"{layout}, {part}: expected {CLASSES} classes of {expected} images, found {what}; {again}")
    return wnids, {"train": train, "val": val}


def _check(digest: str, place: Path) -> None:
    """`UserError` unless a digest, or the beginning of one, is that of the official files."""
    if not DIGEST.startswith(digest):
        raise UserError(
            f"{place}: these are not the official files (their digest is {digest[:16]}, not {DIGEST[:16]}); "
            f"move {place} away to fetch them again, or give --source and --repair"
        )


def _decode_all(root: Path, layout: Path, repair: bool) -> str:
    wnids, parts = _listing(layout)
    told = root / "decoded" / "index.json"
    if told.exists() and not repair:
        _check(index(root)["fingerprint"], root)
        return f"{root}: prepared before, {len(wnids)} classes; --repair does it again"
    told.parent.mkdir(parents=True, exist_ok=True)
    sha, kinds, bad, counts = hashlib.sha256(), Counter(), [], {}
    for part, files in parts.items():
        images = np.zeros((len(files), 3, PIXELS, PIXELS), np.uint8)
        for k, (path, _) in enumerate(track(files, f"decoding {part}", transient=True)):
            content = path.read_bytes()
            sha.update(path.name.encode() + hashlib.sha256(content).digest())
            try:
                kinds[kind(content)] += 1
                images[k] = decode(content).transpose(2, 0, 1)
            except (CorruptImage, ValueError) as error:
                bad.append(f"{path} ({error})")
        if not bad:
            write_atomically(told.parent / f"{part}.npy", lambda file, images=images: np.save(file, images))
        counts[part] = len(files)
    if bad:
        for line in bad:
            print(f"cannot be decoded: {line}")
        raise UserError(f"{len(bad)} of {sum(counts.values())} files cannot be decoded; run again with --repair")
    _check(sha.hexdigest(), layout)
    words = dict(row.split("\t", 1) for row in (layout / "words.txt").read_text().splitlines())
    names = [words.get(wnid, wnid) for wnid in wnids]
    write_json(
        told,
        {"wnids": wnids, "names": names, "images": counts, "kinds": dict(kinds), "fingerprint": sha.hexdigest()[:16]},
    )
    seen = ", ".join(f"{count:,} {which}" for which, count in kinds.most_common())
    return (
        f"{root}: {counts['train']:,} training and {counts['val']:,} validation images, {len(wnids)} classes ({seen})"
    )
