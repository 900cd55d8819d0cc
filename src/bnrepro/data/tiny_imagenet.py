"""Tiny-ImageNet-200: 200 classes of 500 training and 50 validation images of 64 px.

`prepare` takes the official files, verifies them, and writes ``decoded/train.npy``, ``decoded/val.npy`` and
``decoded/index.json``. The arrays (images, 3, 64, 64) are uint8, in the order of the sorted wnids.
"""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from bnrepro.config.schema import Data
from bnrepro.data.archives import copy_from, fetch
from bnrepro.data.decode import CorruptImage, decode
from bnrepro.data.parts import Labelled, chosen_classes, split
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, remove_litter, write_atomically, write_json

ADDRESS = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"  # in the archive
CLASSES, PIXELS = 200, 64
PER_CLASS = {"train": 500, "val": 50}
# SHA-256 over the name and the SHA-256 of the contents of every JPEG file, by part, class and name. It is not over the
# pixels, which may differ between versions of libjpeg. Its first 16 digits are the fingerprint in the ids of runs.
DIGEST = "2acf3e84885846b41ab399862f48814c7c1b8c6c55089fcee0b04d7a7e0ca3da"
REMEDY = "run: python scripts/prepare_data.py tiny_imagenet [--source FOLDER_OR_ARCHIVE] [--root {root}]"


def fingerprint(options: Data) -> str:
    """See `bnrepro.data.load`."""
    return index(Path(options.root))["fingerprint"]


def classes(options: Data) -> list[list[str]]:
    """See `bnrepro.data.load`."""
    contents = index(Path(options.root))
    chosen = chosen_classes(options.classes, len(contents["wnids"]))
    return [[contents["wnids"][k], contents["names"][k]] for k in chosen]


def parts(options: Data) -> tuple[Labelled, Labelled]:
    """See `bnrepro.data.load`. With ``tune`` the validation images are never read."""
    root = Path(options.root)
    contents = index(root)
    chosen = chosen_classes(options.classes, len(contents["wnids"]))
    val = _decoded(root, "val", contents) if options.split == "full" else None
    return split(_decoded(root, "train", contents), val, chosen, "tiny_imagenet split")


def index(root: Path) -> dict[str, Any]:
    """Return what `prepare` wrote about the data set: its wnids, names, counts and fingerprint."""
    path = root / "decoded" / "index.json"
    if not path.is_file():
        raise UserError(f"no prepared Tiny-ImageNet in {root}; {REMEDY.format(root=root)}")
    return read_json(path, f"run: python scripts/prepare_data.py tiny_imagenet --repair --root {root}")


def _decoded(root: Path, part: str, contents: dict[str, Any]) -> Labelled:
    """Return the images of a part, (M, 3, H, W), mapped into memory and not yet read."""
    path, count, total = root / "decoded" / f"{part}.npy", contents["images"][part], len(contents["wnids"])
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); {REMEDY.format(root=root)}") from None
    if len(images) != count:
        raise UserError(f"{path} has {len(images)} images, expected {count}; {REMEDY.format(root=root)}")
    return Labelled(images, np.repeat(np.arange(total), count // total))


def prepare(root: Path, source: Path | None, repair: bool = False) -> str:
    """Take, verify and decode the data set, and return a summary in one line.

    Args:
        root: the folder of the data set.
        source: the official archive, a folder of archives that hold its parts, or a folder of its layout. Without it
            the files in ``root`` are used, or fetched if there are none.
        repair: do it again even if the data set is prepared.
    """
    if (root / "decoded" / "index.json").exists() and not repair:
        contents = index(root)
        _check_digest(contents["fingerprint"], root)
        return f"{root}: prepared before, {len(contents['wnids'])} classes; --repair does it again"
    archive = root / f"{FOLDER}.zip"
    if source is None and not archive.exists() and not (root / "wnids.txt").exists():
        fetch(ADDRESS, archive)
    if source is None and archive.exists():
        source = archive
    if source is not None:
        copy_from(source, root, FOLDER, ("train", "val", "wnids.txt", "words.txt"))
    return _decode_all(root, *_official_files(root))


def _official_files(root: Path) -> tuple[list[str], dict[str, list[Path]]]:
    """Return the sorted wnids and the files of each part, by class and name."""
    again = "give --source the complete archive or all of its parts"
    try:
        wnids = sorted((root / "wnids.txt").read_text().split())
        rows = (root / "val" / "val_annotations.txt").read_text().splitlines()
    except OSError as error:
        raise UserError(f"{error.filename} is missing; {again}") from None
    if len(wnids) != CLASSES:
        raise UserError(f"{root}: expected {CLASSES} classes, not {len(wnids)}; {again}")
    val = sorted((wnid, name) for name, wnid, *_ in (row.split("\t") for row in rows))
    files = {
        "train": [(wnid, path) for wnid in wnids for path in sorted((root / "train" / wnid / "images").glob("*.JPEG"))],
        "val": [(wnid, root / "val" / "images" / name) for wnid, name in val],
    }
    for part, expected in PER_CLASS.items():
        counts = Counter(wnid for wnid, path in files[part] if path.is_file())
        for wnid in wnids:
            if counts[wnid] != expected:
                raise UserError(f"{root}, {part}: class {wnid} has {counts[wnid]} images, not {expected}; {again}")
    return wnids, {part: [path for _, path in labelled] for part, labelled in files.items()}


def _check_digest(digest: str, root: Path) -> None:
    """Raise a `UserError` unless a digest, or the beginning of one, is that of the official files."""
    if not DIGEST.startswith(digest):
        raise UserError(
            f"{root}: these are not the official files (their digest is {digest[:16]}, not {DIGEST[:16]}); "
            f"move {root} away to fetch them again, or give --source and --repair"
        )


def _decode_all(root: Path, wnids: list[str], parts: dict[str, list[Path]]) -> str:
    decoded = root / "decoded"
    decoded.mkdir(exist_ok=True)
    remove_litter(decoded)
    (decoded / "index.json").unlink(missing_ok=True)  # until the new arrays are verified
    digest, faults = hashlib.sha256(), 0
    for part, paths in parts.items():
        images = np.zeros((len(paths), 3, PIXELS, PIXELS), np.uint8)
        for k, path in enumerate(track(paths, f"decoding {part}", transient=True)):
            content = path.read_bytes()
            digest.update(path.name.encode() + hashlib.sha256(content).digest())
            try:
                images[k] = decode(content).transpose(2, 0, 1)
            except (CorruptImage, ValueError) as error:
                faults += 1
                print(f"cannot be decoded: {path} ({error})")
        write_atomically(decoded / f"{part}.npy", lambda file, images=images: np.save(file, images))
    counts = {part: len(paths) for part, paths in parts.items()}
    if faults:
        raise UserError(f"{faults} of {sum(counts.values())} files cannot be decoded; run again with --repair")
    _check_digest(digest.hexdigest(), root)
    words = dict(row.split("\t", 1) for row in (root / "words.txt").read_text().splitlines())
    contents = {"wnids": wnids, "names": [words.get(wnid, wnid) for wnid in wnids], "images": counts}
    write_json(decoded / "index.json", contents | {"fingerprint": digest.hexdigest()[:16]})
    images = f"{counts['train']:,} training and {counts['val']:,} validation images"
    return f"{root}: {images}, {len(wnids)} classes"
