"""Figures 2 and 3 in numbers: how soon each network reaches the baseline's accuracy, and how accurate it ends.

The rules are in docs/figure2-rules.md.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.curves import accuracies, crossing, finals, paired
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.records.outcome import chance_bound

BASELINE = "inception"
REQUIRED = (BASELINE, "bn_baseline")
TARGET_SHARE = 0.95  # the target is this share of the baseline's mean final accuracy
EQUAL_BUDGET = "_equal"  # ends the name of a variant that trains for all of T, and decays as slowly as Inception
BETA1 = "_beta1"  # is in the name of a variant in which every beta starts at 1
TITLES = {  # by variant without these two parts
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
NEVER_ENDED_EARLY = ("inception_x5_whole", "inception_sigmoid_whole")  # they check the rule that ends runs at chance
CONTROLS = ("inception_changes_equal", "inception_changes_x5_equal", "inception_changes_x30_equal")
READINGS = {  # the networks that are compared with Inception
    "Equal budget": (BASELINE, "bn_baseline", "bn_x5_equal", "bn_x30_equal", "bn_x5_sigmoid_equal"),
    "Equal budget, beta starts at 1": (BASELINE, "bn_baseline_beta1", "bn_x5_beta1_equal", "bn_x30_beta1_equal"),
    "The paper's reading": (BASELINE, "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid"),
}
GOOGLENET = ("googlenet", "bn_googlenet")
VARIANTS = tuple(
    dict.fromkeys(
        name for group in (*READINGS.values(), CONTROLS, FAILING, NEVER_ENDED_EARLY, GOOGLENET) for name in group
    )
)
SEEDS_WANTED = 5  # seeds that docs/figure2-rules.md asks of every network


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
    """Return a variant's name without the parts that name its reading: a key of `TITLES`."""
    return variant.removesuffix(EQUAL_BUDGET).removesuffix(BETA1)


def title(variant: str) -> str:
    """Return a variant's name in the tables, which says if beta starts at 1."""
    return TITLES[plain_name(variant)] + (", beta 1" if BETA1 in variant else "")


def full_title(variant: str) -> str:
    """Return a variant's name in the tables, which also says if it trains for all of T."""
    return title(variant) + (", all of T" if variant.endswith(EQUAL_BUDGET) else "")


def until_divergence(records: list[Record]) -> pd.DataFrame:
    """Return `accuracies` up to the step at which the first seed diverges, because later means are of no use."""
    diverged = [record.status["diverged_at"] for record in records if record.diverged]
    curves = accuracies(records)
    return curves.loc[: min(diverged)] if diverged else curves


def target(baseline: list[Record]) -> float:
    """Return 0.95 times the mean final accuracy of the baseline's seeds."""
    return TARGET_SHARE * float(finals(baseline).mean())


def steps(records: list[Record], goal: float) -> np.ndarray:
    """Return the step at which each seed's smoothed curve first reaches an accuracy; infinity: never."""
    return np.array([crossing(record, goal) for record in records])


def gain(without: list[Record], with_: list[Record]) -> Estimate:
    """Return the final accuracy of one arm minus that of another, paired by seed."""
    plain, other = paired(without, with_)
    return Estimate.of(finals(other) - finals(plain) if plain else [])


def speed_up(slow: list[Record], fast: list[Record], goal: float) -> tuple[np.ndarray, str]:
    """Return how many times fewer steps a fast arm takes to a target than a slow arm, for each seed that both have.

    A seed that never reaches the target counts with all steps of its run, so that its ratio is a bound. The second
    value is the sign before the mean: ≥ if a seed of the slow arm never does, ≤ if one of the fast arm, ? if one of
    each, or nothing.
    """
    slow, fast = paired(slow, fast)
    if not slow:
        return np.array([]), ""
    taken = np.array([steps(arm, goal) for arm in (slow, fast)])
    never = np.isinf(taken)
    whole = np.array([[record.status["steps"] for record in arm] for arm in (slow, fast)])
    taken[never] = whole[never]
    sign = {(True, False): "≥", (False, True): "≤", (True, True): "?"}.get(tuple(never.any(axis=1).tolist()), "")
    return taken[0] / taken[1], sign


def at_chance(record: Record) -> bool:
    """Tell whether the highest accuracy is below chance plus 3 binomial standard deviations."""
    highest = accuracies([record]).max(axis=None)
    return bool(highest < chance_bound(dataset.classes(record), dataset.held_out(record)))


def untrainable(record: Record) -> bool:
    """Tell whether a network could not be trained: it diverged, or it stayed at chance."""
    return record.diverged or at_chance(record)


def outcome(record: Record) -> str:
    """Return in words how a run ended."""
    if record.diverged:
        return f"diverged at step {record.status['diverged_at']:,}"
    if not at_chance(record):
        return "learns"
    stopped = f", ended at step {record.status['step']:,}" if "stopped" in record.status else ""
    return "stays at chance" + stopped


def outcomes(records: list[Record]) -> str:
    """Return in words how runs ended; seeds that ended alike are named together."""
    seeds: dict[str, list[str]] = {}
    for record in records:
        seeds.setdefault(outcome(record), []).append(str(record.seed))
    return "; ".join(f"seed{'s' * (len(same) > 1)} {', '.join(same)}: {how}" for how, same in seeds.items())
