"""Figures 2 and 3 in numbers: how soon each network gets to the baseline's accuracy, and how accurate it ends.

The rules are in docs/figure2-rules.md.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnrepro.analysis.reading import curves, dataset
from bnrepro.analysis.reading.curves import crossing, paired
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.records.outcome import chance_bound

Measure = Callable[[list[Record]], np.ndarray]  # one number per seed

BASELINE = "inception"
REQUIRED = (BASELINE, "bn_baseline")
SHARE = 0.95  # of the baseline's mean final accuracy: the target
EQUAL = "_equal"  # ends the name of a variant that trains for all of T, and decays as slowly as Inception
BETA1 = "_beta1"  # stands in the name of a variant whose every beta starts at 1
TITLES = {  # by variant without these two
    "inception": "Inception",
    "bn_baseline": "BN-Baseline",
    "bn_x5": "BN-x5",
    "bn_x30": "BN-x30",
    "bn_x5_sigmoid": "BN-x5-Sigmoid",
    "inception_changes": "all changes but BN, rate x1",
    "inception_changes_x5": "all changes but BN, rate x5",
    "inception_changes_x30": "all changes but BN, rate x30",
    "inception_x5": "Inception, rate x5",
    "inception_sigmoid": "Inception, sigmoid",
    "inception_sigmoid_x0.2": "Inception, sigmoid, rate x0.2",
    "inception_sigmoid_x5": "Inception, sigmoid, rate x5",
    "inception_sigmoid_glorot": "Inception, sigmoid, larger weights",
    "inception_sigmoid_glorot_x0.2": "Inception, sigmoid, larger weights, rate x0.2",
    "inception_sigmoid_glorot_x5": "Inception, sigmoid, larger weights, rate x5",
    "inception_x5_whole": "Inception, rate x5, never ended early",
    "inception_sigmoid_whole": "Inception, sigmoid, never ended early",
    "googlenet": "GoogLeNet",
    "bn_googlenet": "GoogLeNet with BN",
}
SIGMOIDS = tuple(name for name in TITLES if name.startswith("inception_sigmoid") and "whole" not in name)
FAILING = ("inception_x5", *SIGMOIDS)  # in the paper
WHOLE = ("inception_x5_whole", "inception_sigmoid_whole")  # the check of the rule that ends runs at chance
CONTROLS = ("inception_changes_equal", "inception_changes_x5_equal", "inception_changes_x30_equal")
READINGS = {  # each beside Inception
    "Equal budget": (BASELINE, "bn_baseline", "bn_x5_equal", "bn_x30_equal", "bn_x5_sigmoid_equal"),
    "Equal budget, beta starts at 1": (BASELINE, "bn_baseline_beta1", "bn_x5_beta1_equal", "bn_x30_beta1_equal"),
    "The paper's reading": (BASELINE, "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid"),
}
GOOGLENET = ("googlenet", "bn_googlenet")
VARIANTS = tuple(
    dict.fromkeys(name for group in (*READINGS.values(), CONTROLS, FAILING, WHOLE, GOOGLENET) for name in group)
)
SEEDS_WANTED = 3  # by docs/figure2-rules.md, of every network


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


def plain_name(variant: str) -> str:
    """A variant's name without the endings of its reading: a key of `TITLES`."""
    return variant.removesuffix(EQUAL).removesuffix(BETA1)


def title(variant: str) -> str:
    """A variant's name in the tables; it says where beta starts, if not at 0."""
    return TITLES[plain_name(variant)] + (", beta 1" if BETA1 in variant else "")


def full_title(variant: str) -> str:
    """A variant's name, and whether it trains for all of T."""
    return title(variant) + (", all of T" if variant.endswith(EQUAL) else "")


def rate(record: Record) -> float:
    """The first learning rate."""
    optimizer = record.config["optimizer"]
    return optimizer["base_lr"] * optimizer["lr_multiplier"]


def accuracies(records: list[Record]) -> pd.DataFrame:
    """Validation accuracy, one column per seed, indexed by step; a run is at chance from where it diverged."""
    return curves.accuracies(records, dataset.chance(records[0]))


def until_divergence(records: list[Record]) -> pd.DataFrame:
    """`accuracies` up to the step at which the first seed diverges; from there on a mean over seeds says nothing."""
    diverged = [record.status["diverged_at"] for record in records if record.diverged]
    table = accuracies(records)
    return table.loc[: min(diverged)] if diverged else table


def finals(records: list[Record]) -> np.ndarray:
    """Accuracy at the end with the population statistics of Alg. 2, for each seed; chance where it diverged."""
    return np.array([dataset.chance(r) if r.diverged else r.status["final"][curves.ACCURACY] for r in records])


def target(baseline: list[Record]) -> float:
    """0.95 times the mean final accuracy of the baseline's seeds."""
    return SHARE * float(finals(baseline).mean())


def steps(records: list[Record], goal: float) -> np.ndarray:
    """Where each seed's smoothed curve first reaches the target; inf: never. See `curves.crossing`."""
    return np.array([crossing(record, goal) for record in records])


def maxima(records: list[Record]) -> np.ndarray:
    """The highest accuracy of each seed's curve."""
    return accuracies(records).max().to_numpy()


def whole_budget(records: list[Record], baseline: list[Record]) -> bool:
    """Whether an arm trains for as many steps as the baseline."""
    return records[0].status["steps"] == baseline[0].status["steps"]


def gain(without: list[Record], with_: list[Record], measure: Measure = finals) -> Estimate:
    """A measure of one arm minus the same of another, paired by seed, with a Student-t interval."""
    plain, other = paired(without, with_)
    return Estimate.of(measure(other) - measure(plain) if plain else [])


class SpeedUp(NamedTuple):
    """How many times fewer steps a fast arm takes to a target than a slow one: a ratio for each seed that both have.

    A seed that never gets there counts with all of T. The ratio is then a bound: a lower one if the slow arm never gets
    there, an upper one if the fast arm does not.
    """

    ratios: np.ndarray
    slow_censored: bool
    fast_censored: bool

    @property
    def sign(self) -> str:
        """What stands before a mean that is a bound."""
        return {(True, False): "≥ ", (False, True): "≤ ", (True, True): "? "}.get(self[1:], "")


def speed_up(slow: list[Record], fast: list[Record], goal: float) -> SpeedUp:
    """Steps of the slow arm to the target over those of the fast arm, paired by seed."""
    slow, fast = paired(slow, fast)
    if not slow:
        return SpeedUp(np.array([]), False, False)
    budget = max(record.status["steps"] for record in (*slow, *fast))
    taken = [steps(arm, goal) for arm in (slow, fast)]
    counted = [np.where(np.isinf(of_arm), budget, of_arm) for of_arm in taken]
    return SpeedUp(counted[0] / counted[1], *(bool(np.isinf(of_arm).any()) for of_arm in taken))


def at_chance(record: Record) -> bool:
    """Whether the highest accuracy is below chance plus 3 binomial standard deviations on the validation images."""
    return bool(maxima([record])[0] < chance_bound(dataset.classes(record), dataset.held_out(record)))


def outcome(record: Record) -> str:
    """How a run ended, in words."""
    if record.diverged:
        return f"diverged at step {record.status['diverged_at']:,}"
    if not at_chance(record):
        return "learns"
    stopped = f", ended at step {record.status['step']:,}" if "stopped" in record.status else ""
    return "stays at chance" + stopped


def outcomes(records: list[Record]) -> str:
    """How runs ended, the seeds that ended alike together."""
    seeds: dict[str, list[str]] = {}
    for record in records:
        seeds.setdefault(outcome(record), []).append(str(record.seed))
    return "; ".join(f"seed{'s' * (len(same) > 1)} {', '.join(same)}: {how}" for how, same in seeds.items())
