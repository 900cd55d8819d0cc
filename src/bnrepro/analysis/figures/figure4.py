"""Figure 4: what `bnrepro.use.evaluate` committed of several networks, and what is measured on it.

Errors are fractions of images; an image's *rank* is its label's place among the classes by score.
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
ENOUGH = 0.01  # of the images, for a bin of a reliability diagram to be drawn
MOST = 144  # crops of the claims
FILES = ("evaluation.json", "subsets.csv", "images.npz")  # of an evaluation; see bnrepro.use.evaluation_files
MEMBERS = tuple(f"member{k}" for k in range(1, 7))  # the variants of Figure 4's six networks


@dataclass(frozen=True)
class Evaluation:
    """``info``: evaluation.json; ``subsets``: subsets.csv; ``ranks``: images.npz, by row "crops method networks"."""

    info: dict[str, Any]
    subsets: pd.DataFrame
    ranks: dict[str, np.ndarray]

    @property
    def count(self) -> int:
        """How many networks."""
        return len(self.info["runs"])

    @property
    def images(self) -> int:
        """How many images."""
        return self.info["images"]

    def wrong(self, crops: int, networks: tuple[int, ...], method: str = "mean", top: int = 1) -> np.ndarray:
        """(M,) 1 where the label is not among the best ``top`` answers, else 0; networks count from 1."""
        row = f"{crops} {method} {'+'.join(map(str, networks))}"
        return (self.ranks[row] > top).astype(float)

    def all_wrong(self, crops: int, method: str = "mean", top: int = 1) -> np.ndarray:
        """`wrong` of all networks together."""
        return self.wrong(crops, tuple(range(1, self.count + 1)), method, top)

    def each_wrong(self, crops: int, top: int = 1) -> np.ndarray:
        """`wrong` of each network alone, (networks, M)."""
        return np.stack([self.wrong(crops, (k,), top=top) for k in range(1, self.count + 1)])


def load_evaluation(folder: Path, scale: str = "laptop") -> Evaluation:
    """Read the three files, which are of networks at this scale."""
    if not (folder / "evaluation.json").is_file():
        raise UserError(f"no evaluation in {folder}; run: python scripts/evaluate.py scale={scale}")
    with np.load(folder / "images.npz", allow_pickle=False) as arrays:
        ranks = dict(zip(arrays["rows"].tolist(), arrays["rank"], strict=True))
    return Evaluation(read_json(folder / "evaluation.json"), pd.read_csv(folder / "subsets.csv"), ranks)


def evaluation(source: Path | str, scale: str) -> Evaluation:
    """The evaluation of a folder laid out as ``results/``, of a runs directory, or of ``wandb:entity/project``."""
    name = f"figure4-{scale}"
    if wandb_source.is_wandb(source):
        return load_evaluation(wandb_source.fetch_evaluation(source, name), scale)
    committed = Path(source) / "figure4" / scale
    return load_evaluation(committed if committed.is_dir() else Path(source) / "evaluations" / name, scale)


def networks(evaluation: Evaluation, records: Iterable[Record]) -> list[Record]:
    """The records of the networks that were evaluated, in their order."""
    by_name = {record.path.name: record for record in records}
    if unknown := [name for name in evaluation.info["runs"] if name not in by_name]:
        again = f"python scripts/evaluate.py scale={evaluation.info['scale']}"
        raise UserError(f"no record of {', '.join(unknown)}, which were evaluated; run: {again}")
    return [by_name[name] for name in evaluation.info["runs"]]


def over_images(values: np.ndarray) -> Estimate:
    """The mean of a value per image, (M,), with its percentile bootstrap interval; always the same draws of images.

    There are few distinct values. Drawing how many of the resampled images have each of them is the same resampling.
    """
    m = len(values)
    distinct, counts = np.unique(values.round(12), return_counts=True)
    drawn = np.random.default_rng(0).multinomial(m, counts / m, RESAMPLES)
    low, high = np.quantile(drawn @ distinct / m, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values.mean()), float(values.std(ddof=1)), float(low), float(high), m)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """The exact two-sided p-value that two ways, each (M,) of wrong answers on the same images, err equally often."""
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def crops_gain(evaluation: Evaluation, top: int = 1) -> Estimate:
    """Error of one network with one crop minus with 144, the mean over networks, per image."""
    return over_images((evaluation.each_wrong(1, top) - evaluation.each_wrong(MOST, top)).mean(0))


def ensemble_gain(evaluation: Evaluation, top: int = 1) -> Estimate:
    """Error of one network, the mean over networks, minus that of all together, with 144 crops."""
    return over_images(evaluation.each_wrong(MOST, top).mean(0) - evaluation.all_wrong(MOST, top=top))


def best_gain(evaluation: Evaluation, top: int = 1) -> Estimate:
    """Error of the network that is best on these very images minus that of all together, with 144 crops."""
    each = evaluation.each_wrong(MOST, top)
    return over_images(each[each.mean(1).argmin()] - evaluation.all_wrong(MOST, top=top))


def by_size(evaluation: Evaluation, crops: int, method: str = "mean", top: int = 1) -> pd.DataFrame:
    """Error of every choice of k networks: mean, lowest and highest, indexed by k."""
    chosen = evaluation.subsets[(evaluation.subsets["crops"] == crops) & (evaluation.subsets["method"] == method)]
    errors = 1 - chosen[f"top{top}"] / evaluation.images
    return errors.groupby(chosen["size"]).agg(["mean", "min", "max"])


def reliability(evaluation: Evaluation, crops: int, networks: tuple[int, ...]) -> pd.DataFrame:
    """Confidence, accuracy and number of images of the bins that hold `ENOUGH`; networks count from 1."""
    measured = evaluation.info["calibration"][f"{crops} mean {'+'.join(map(str, networks))}"]
    bins = pd.DataFrame({key: measured[key] for key in ("confidence", "accuracy", "images")})
    return bins[bins["images"] >= ENOUGH * evaluation.images].astype(float)


def calibration_error(evaluation: Evaluation, crops: int, networks: tuple[int, ...]) -> float:
    """The expected calibration error of the mean of probabilities of these networks."""
    return evaluation.info["calibration"][f"{crops} mean {'+'.join(map(str, networks))}"]["ece"]
