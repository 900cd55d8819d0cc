"""The classes of ImageNet's validation images, from the devkit or from Kaggle's table, and the classes' names."""

import csv
from pathlib import Path

from scipy.io import loadmat

from bnrepro.errors import UserError

GROUND_TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"  # the devkit's
SOLUTION, MAPPING = "LOC_val_solution.csv", "LOC_synset_mapping.txt"  # Kaggle's
LABEL_FILES = (GROUND_TRUTH, META, SOLUTION, MAPPING)  # each lies in the data set's root


def class_names(root: Path, wnids: list[str]) -> list[str]:
    """The words for each wnid, where a file has them, else the wnid itself."""
    words: dict[str, str] = {}
    if (root / MAPPING).is_file():
        words = dict(row.split(maxsplit=1) for row in (root / MAPPING).read_text().splitlines() if " " in row)
    elif (root / META).is_file():
        synsets = _synsets(root)
        words = dict(zip(map(str, synsets["WNID"]), map(str, synsets["words"]), strict=True))
    return [words.get(wnid, wnid) for wnid in wnids]


def _synsets(root: Path):
    return loadmat(root / META, squeeze_me=True)["synsets"]


def validation_labels(root: Path, files: list[str]) -> dict[str, str]:
    """The wnid of each validation image that has one, by file name.

    Args:
        root: holds Kaggle's ``LOC_val_solution.csv``, or the devkit's ground truth with its ``meta.mat``.
        files: the sorted names of the images, which the ground truth's lines follow.
    """
    if (root / SOLUTION).is_file():
        with open(root / SOLUTION, newline="") as file:
            wnids = {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}
        return {name: wnids[Path(name).stem] for name in files if Path(name).stem in wnids}
    if not (root / GROUND_TRUTH).is_file() or not (root / META).is_file():
        raise UserError(
            f"{root / 'val'} has no class folders and no labels; put {SOLUTION}, or {GROUND_TRUTH} with {META}, "
            f"into {root}"
        )
    numbers = (root / GROUND_TRUTH).read_text().split()
    if len(numbers) != len(files):
        raise UserError(
            f"{root / GROUND_TRUTH} has {len(numbers)} lines for {len(files)} images in {root / 'val'}; take both again"
        )
    synsets = _synsets(root)  # the devkit numbers the classes from 1, in an order of its own
    wnids = {str(number): str(wnid) for number, wnid in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
    return {name: wnids[number] for name, number in zip(files, numbers, strict=True)}
