"""The classes of ImageNet's validation images, from whichever of the usual files is there, and the classes' names."""

import csv
from pathlib import Path

from scipy.io import loadmat

from bnrepro.errors import UserError

GROUND_TRUTH, SYNSETS, META = "ILSVRC2012_validation_ground_truth.txt", "synsets.txt", "meta.mat"
SOLUTION, PAIRS = "LOC_val_solution.csv", "val_labels.txt"
NAMES = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
KNOWN = (PAIRS, SOLUTION, GROUND_TRUTH, SYNSETS, META, *NAMES)  # what belongs in a data set's root


def _find(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / "val" / name) if path.is_file()), None)


def class_names(root: Path, wnids: list[str]) -> list[str]:
    """The words for each wnid, where a file has them, else the wnid itself."""
    for path in filter(None, (_find(root, name) for name in NAMES)):
        words = dict(row.split(maxsplit=1) for row in path.read_text().splitlines() if len(row.split(maxsplit=1)) == 2)
        return [words.get(wnid, wnid) for wnid in wnids]
    return wnids


def _devkit_order(root: Path) -> list[str]:
    """The wnids in the order that the devkit's numbers count from 1, which is not the sorted one."""
    if meta := _find(root, META):
        rows = loadmat(meta, squeeze_me=True)["synsets"]
        numbered = {int(number): str(wnid) for number, wnid in zip(rows["ILSVRC2012_ID"], rows["WNID"], strict=True)}
        return [numbered[number] for number in sorted(numbered)]
    if listing := _find(root, SYNSETS):
        wnids = [row.split()[0] for row in listing.read_text().splitlines() if row.strip()]
        if wnids != sorted(wnids):
            return wnids
    raise UserError(
        f"{root}: {GROUND_TRUTH} counts the classes in the devkit's own order, which a sorted list does not tell; "
        f"put the devkit's {META} beside it"
    )


def validation_labels(root: Path, files: list[str]) -> dict[str, str]:
    """The wnid of each validation image by its file name.

    Args:
        root: holds, itself or in val/, one of ``val_labels.txt`` (lines "FILENAME WNID"), Kaggle's
            ``LOC_val_solution.csv``, or the devkit's ground truth with its ``meta.mat`` (or a ``synsets.txt`` in the
            same order).
        files: the sorted names of the images, which the ground truth's lines follow.

    Raises:
        UserError: none of them is there, or the ground truth has another length.
    """
    if path := _find(root, PAIRS):
        rows = (row.split() for row in path.read_text().splitlines() if row.strip())
        return {row[0]: row[1] for row in rows}
    if path := _find(root, SOLUTION):
        with open(path, newline="") as file:
            found = {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}
        return {name: found[Path(name).stem] for name in files if Path(name).stem in found}
    if path := _find(root, GROUND_TRUTH):
        numbers, order = [int(word) for word in path.read_text().split()], _devkit_order(root)
        if len(numbers) != len(files):
            raise UserError(
                f"{path} has {len(numbers)} lines for {len(files)} images in {root / 'val'}; take both again"
            )
        return {name: order[number - 1] for name, number in zip(files, numbers, strict=True)}
    raise UserError(
        f"{root / 'val'} has no class folders and no labels; put {PAIRS}, {SOLUTION}, or {GROUND_TRUTH} with {META} "
        f"into {root}"
    )
