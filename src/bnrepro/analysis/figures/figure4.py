"""Figure 4 in numbers: the errors of several networks, alone and together, with 1 or more crops of each image.

`bnrepro.use.evaluate` writes the evaluation that is read here. Errors are fractions of images. The rank of an image is
the place of its label among the classes, sorted by their scores; rank 1 is a right answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import LEVEL, Estimate
from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from bnrepro.tracking import wandb_source

RESAMPLES = 100_000
LEAST_SHARE_OF_A_BIN = 0.01  # a bin of a reliability diagram is drawn if it holds this share of the images
CLAIMED_CROPS = 144  # the number of crops that the claims are about
FILES = ("evaluation.json", "subsets.csv", "images.npz")  # of an evaluation; see bnrepro.use.evaluate
MEMBERS = tuple(f"member{k}" for k in range(1, 7))  # the variants of Figure 4's six networks


def _row(crops: int, method: str, networks: Iterable[int]) -> str:
    return f"{crops} {method} {'+'.join(map(str, networks))}"


@dataclass(frozen=True)
class Evaluation:
    """The three files of an evaluation: ``info``, ``subsets``, and the image ranks by row "crops method networks"."""

    info: dict[str, Any]
    subsets: pd.DataFrame
    ranks: dict[str, np.ndarray]

    @property
    def count(self) -> int:
        """The number of networks."""
        return len(self.info["runs"])

    @property
    def everyone(self) -> tuple[int, ...]:
        """All networks; they count from 1."""
        return tuple(range(1, self.count + 1))

    @property
    def images(self) -> int:
        """The number of images."""
        return self.info["images"]

    def wrong(self, crops: int, networks: tuple[int, ...], method: str = "mean", top: int = 1) -> np.ndarray:
        """Return (M,) 1 for each image whose label is not among the best ``top`` answers of some networks, else 0."""
        return (self.ranks[_row(crops, method, networks)] > top).astype(float)

    def all_wrong(self, crops: int, method: str = "mean", top: int = 1) -> np.ndarray:
        """Return `wrong` of all networks together, (M,)."""
        return self.wrong(crops, self.everyone, method, top)

    def each_wrong(self, crops: int, top: int = 1) -> np.ndarray:
        """Return `wrong` of each network alone, (networks, M)."""
        return np.stack([self.wrong(crops, (k,), top=top) for k in self.everyone])


def evaluation(source: Path | str, scale: str) -> Evaluation:
    """Read the evaluation in a folder laid out as ``results/``, a runs directory, or ``wandb:entity/project``."""
    name, committed = f"figure4-{scale}", Path(source) / "figure4" / scale
    if wandb_source.is_wandb(source):
        folder = wandb_source.fetch_evaluation(source, name)
    else:
        folder = committed if committed.is_dir() else Path(source) / "evaluations" / name
    if not (folder / "evaluation.json").is_file():
        raise UserError(f"no evaluation in {folder}; run: python scripts/evaluate.py scale={scale}")
    with np.load(folder / "images.npz", allow_pickle=False) as arrays:
        ranks = dict(zip(arrays["rows"].tolist(), arrays["rank"], strict=True))
    return Evaluation(read_json(folder / "evaluation.json"), pd.read_csv(folder / "subsets.csv"), ranks)


def networks(evaluation: Evaluation, records: Iterable[Record]) -> list[Record]:
    """Return the records of the networks that were evaluated, in their order."""
    by_name = {record.path.name: record for record in records}
    if unknown := [name for name in evaluation.info["runs"] if name not in by_name]:
        again = f"python scripts/evaluate.py scale={evaluation.info['scale']}"
        raise UserError(f"no record of {', '.join(unknown)}, which were evaluated; run: {again}")
    return [by_name[name] for name in evaluation.info["runs"]]


def over_images(values: np.ndarray) -> Estimate:
    """Return the mean of a value per image, (M,), with its percentile bootstrap interval over images.

    The values take few distinct levels, so it is enough to draw how many resampled images have each level. The draws
    have a fixed seed.
    """
    m = len(values)
    distinct, counts = np.unique(values.round(12), return_counts=True)
    drawn = np.random.default_rng(0).multinomial(m, counts / m, RESAMPLES)
    low, high = np.quantile(drawn @ distinct / m, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values.mean()), float(values.std(ddof=1)), float(low), float(high), m)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the exact two-sided p-value that two answers are wrong equally often on the same images; both are (M,)."""
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def crops_gain(evaluation: Evaluation, top: int = 1) -> Estimate:
    """Return the error with one crop minus that with 144, the mean over single networks."""
    return over_images((evaluation.each_wrong(1, top) - evaluation.each_wrong(CLAIMED_CROPS, top)).mean(0))


def ensemble_gain(evaluation: Evaluation, top: int = 1) -> Estimate:
    """Return the mean error of single networks minus that of all together, with 144 crops."""
    return over_images(evaluation.each_wrong(CLAIMED_CROPS, top).mean(0) - evaluation.all_wrong(CLAIMED_CROPS, top=top))


def best_gain(evaluation: Evaluation, top: int = 1) -> Estimate:
    """Return the error of the network that is best on these images minus that of all together, with 144 crops."""
    each = evaluation.each_wrong(CLAIMED_CROPS, top)
    return over_images(each[each.mean(1).argmin()] - evaluation.all_wrong(CLAIMED_CROPS, top=top))


def by_size(evaluation: Evaluation, crops: int, method: str = "mean", top: int = 1) -> pd.DataFrame:
    """Return the mean, lowest and highest error of all choices of k networks, indexed by k."""
    chosen = evaluation.subsets[(evaluation.subsets["crops"] == crops) & (evaluation.subsets["method"] == method)]
    errors = 1 - chosen[f"top{top}"] / evaluation.images
    return errors.groupby(chosen["size"]).agg(["mean", "min", "max"])


def reliability(evaluation: Evaluation, crops: int, networks: tuple[int, ...]) -> pd.DataFrame:
    """Return confidence, accuracy and number of images of each bin that holds `LEAST_SHARE_OF_A_BIN` images."""
    measured = evaluation.info["calibration"][_row(crops, "mean", networks)]
    bins = pd.DataFrame({key: measured[key] for key in ("confidence", "accuracy", "images")})
    return bins[bins["images"] >= LEAST_SHARE_OF_A_BIN * evaluation.images].astype(float)


def calibration_error(evaluation: Evaluation, crops: int, networks: tuple[int, ...]) -> float:
    """Return the expected calibration error of the mean of probabilities of some networks."""
    return evaluation.info["calibration"][_row(crops, "mean", networks)]["ece"]
