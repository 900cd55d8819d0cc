"""Figures 2 and 3 in numbers: how soon each network gets as far as the baseline ever does, and how far it gets."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnrepro.analysis import curves, dataset
from bnrepro.analysis.curves import paired, steps_to
from bnrepro.analysis.load import Record
from bnrepro.analysis.statistics import Estimate

Arms = dict[str, list[Record]]  # the records of each variant, by seed
Measure = Callable[[list[Record]], np.ndarray]  # one number a seed

BASELINE = "inception"
REQUIRED = (BASELINE, "bn_baseline")
EQUAL = "_equal"  # ends the name of a variant that trains for all of T, and decays as slowly as Inception
TITLES = {  # the rows of Fig. 3, and what stands beside them
    "inception": "Inception",
    "bn_baseline": "BN-Baseline",
    "bn_x5": "BN-x5",
    "bn_x30": "BN-x30",
    "bn_x5_sigmoid": "BN-x5-Sigmoid",
    "inception_x5": "Inception, rate x5",
    "inception_sigmoid": "Inception, sigmoid",
    "inception_x10": "Inception, rate x10",
    "inception_x30": "Inception, rate x30",
    "inception_x100": "Inception, rate x100",
    "inception_x300": "Inception, rate x300",
    "inception_changes": "BN-x*'s other changes without BN, rate x1",
    "inception_changes_x5": "BN-x5 without BN",
    "inception_changes_x30": "BN-x30 without BN",
    "inception_best": "Inception, tuned",
    "bn_best": "BN-Baseline, tuned",
    "googlenet": "GoogLeNet",
    "bn_googlenet": "GoogLeNet with BN",
}
FAILING = ("inception_x5", "inception_sigmoid")  # in the paper
LADDER = (BASELINE, *(f"inception_x{k}" for k in (5, 10, 30, 100, 300)))
CONTROLS = ("inception_changes", "inception_changes_x5", "inception_changes_x30")
READINGS = {  # the rows of Fig. 3, each beside Inception
    "The paper's reading": (*REQUIRED, "bn_x5", "bn_x30", "bn_x5_sigmoid", *FAILING),
    "Equal budget": (*REQUIRED, "bn_x5_equal", "bn_x30_equal", "bn_x5_sigmoid_equal"),
}
CONTROLS_EQUAL = tuple(name + EQUAL for name in CONTROLS)
TUNED = ("inception_best", "bn_best")
GOOGLENET = ("googlenet", "bn_googlenet")
VARIANTS = tuple(
    dict.fromkeys(
        name for group in (*READINGS.values(), LADDER, CONTROLS, CONTROLS_EQUAL, TUNED, GOOGLENET) for name in group
    )
)
PAIRS = {  # that differ in nothing but BN: with -> without
    "bn_baseline": "inception",
    "bn_x5": "inception_changes_x5",
    "bn_x30": "inception_changes_x30",
    "bn_x5_equal": "inception_changes_x5_equal",
    "bn_x30_equal": "inception_changes_x30_equal",
    "bn_googlenet": "googlenet",
}


class Printed(NamedTuple):
    """A row of the paper's Fig. 3: ImageNet at 224 px, 1000 classes."""

    steps: float  # to 72.2 %; inf: never
    top1: float


PRINTED = {  # Fig. 3 and Sec. 4.2.2
    "inception": Printed(31.0e6, 0.722),
    "bn_baseline": Printed(13.3e6, 0.727),
    "bn_x5": Printed(2.1e6, 0.730),
    "bn_x30": Printed(2.7e6, 0.748),
    "bn_x5_sigmoid": Printed(np.inf, 0.698),
}


def title(variant: str) -> str:
    """A variant's name in the tables, the same in both readings."""
    return TITLES[variant.removesuffix(EQUAL)]


def full_title(variant: str) -> str:
    """A variant's name, and in which reading it is."""
    return title(variant) + (", all of T" if variant.endswith(EQUAL) else "")


def rate(record: Record) -> float:
    """The first learning rate."""
    optimizer = record.config["optimizer"]
    return optimizer["base_lr"] * optimizer["lr_multiplier"]


def accuracies(records: list[Record]) -> pd.DataFrame:
    """Validation accuracy, one column a seed, indexed by step; a run is at chance from where it diverged."""
    return curves.accuracies(records, dataset.chance(records[0]))


def target(baseline: list[Record]) -> float:
    """The maximum of the baseline's seed-mean curve after a running median of 3 evaluations.

    The first and the last evaluation have no such median and no say.
    """
    return float(accuracies(baseline).mean(axis=1).rolling(3, center=True).median().max())


def until_divergence(records: list[Record]) -> pd.DataFrame:
    """`accuracies` up to where the first seed diverges: as far as a mean over seeds means anything."""
    diverged = [record.status["diverged_at"] for record in records if record.diverged]
    found = accuracies(records)
    return found.loc[: min(diverged)] if diverged else found


def mean_reaches(found: pd.DataFrame, goal: float) -> int | None:
    """The first evaluated step at which the mean over seeds is at or above the target; None: at no step."""
    there = found.mean(axis=1) >= goal
    return int(there.idxmax()) if there.any() else None


def steps(records: list[Record], goal: float) -> np.ndarray:
    """The first evaluated step at or above the target, for each seed by its own raw curve; inf: never."""
    return steps_to(accuracies(records), goal)


def maxima(records: list[Record]) -> np.ndarray:
    """The highest accuracy of each seed's curve."""
    return accuracies(records).max().to_numpy()


def steps_to_maximum(records: list[Record]) -> np.ndarray:
    """The step of the highest accuracy of each seed's curve, the first of several."""
    return accuracies(records).idxmax().to_numpy(float)


def finals(records: list[Record]) -> np.ndarray:
    """Accuracy at the end with the population statistics of Alg. 2, for each seed; chance where it diverged."""
    return np.array([dataset.chance(r) if r.diverged else r.status["final"][curves.ACCURACY] for r in records])


def at_step(records: list[Record], step: float) -> np.ndarray:
    """Accuracy at the last evaluation up to a step, for each seed; chance where it had diverged by then."""

    def one(record: Record) -> float:
        if record.diverged and record.status["diverged_at"] <= step:
            return dataset.chance(record)
        return record.metrics.loc[:step, curves.ACCURACY].iloc[-1]

    return np.array([one(record) for record in records])


def whole_budget(records: list[Record], baseline: list[Record]) -> bool:
    """Whether an arm trains for as many steps as the baseline."""
    return records[0].status["steps"] == baseline[0].status["steps"]


def gain(without: list[Record], with_: list[Record], measure: Measure = maxima) -> Estimate:
    """A measure of one arm minus the same of another, paired by seed, with a Student-t interval."""
    plain, other = paired(without, with_)
    return Estimate.of(measure(other) - measure(plain) if plain else [])


class SpeedUp(NamedTuple):
    """How many times fewer steps one arm takes to a target than another, one ratio a seed that both have.

    0 where the fast arm never gets there and the slow one does; nan where neither does. Where only the slow one never
    does, all its steps stand for those that it would need, and the ratio is a lower bound.
    """

    ratios: np.ndarray
    bound: bool  # whether some ratio is a lower bound

    @property
    def known(self) -> bool:
        """Whether the fast arm gets there with every seed, so that there is a mean ratio."""
        return len(self.ratios) > 0 and bool((self.ratios > 0).all())


def speed_up(slow: list[Record], fast: list[Record], goal: float) -> SpeedUp:
    """Steps of the slow arm to the target over those of the fast arm, paired by seed."""
    slow, fast = paired(slow, fast)
    if not slow:
        return SpeedUp(np.array([]), False)
    ours, theirs = steps(fast, goal), steps(slow, goal)
    spent = np.where(np.isinf(theirs), [record.status["steps"] for record in slow], theirs)
    ratios = np.where(np.isinf(ours) & np.isinf(theirs), np.nan, spent / ours)
    return SpeedUp(ratios, bool((np.isinf(theirs) & np.isfinite(ours)).any()))


def at_chance(record: Record) -> bool:
    """Whether the highest accuracy is below chance plus 3 binomial standard deviations on the validation images."""
    chance = dataset.chance(record)
    return maxima([record])[0] < chance + 3 * (chance * (1 - chance) / dataset.held_out(record)) ** 0.5


def outcome(record: Record) -> str:
    """How a run ended, in words."""
    if record.diverged:
        return f"diverged at step {record.status['diverged_at']:,}"
    return "stays at chance" if at_chance(record) else "learns"
