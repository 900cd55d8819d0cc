"""Means, spreads, intervals and p-values over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over n values with its standard deviation and its 95 % interval."""

    mean: float
    sd: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: np.ndarray) -> "Estimate":
        """Estimate by Student's t. One value has no spread and no interval; they are nan."""
        values = np.asarray(values, float)
        n = len(values)
        mean = float(values.mean()) if n else np.nan
        if n < 2:
            return cls(mean, np.nan, np.nan, np.nan, n)
        sd = float(values.std(ddof=1))
        half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / n**0.5
        return cls(mean, sd, mean - half, mean + half, n)


def geometric(ratios: np.ndarray) -> Estimate:
    """Return the geometric mean of positive ratios; interval and sd are those of the logarithms, by Student's t."""
    logs = Estimate.of(np.log(ratios))
    mean, low, high = (float(np.exp(value)) for value in (logs.mean, logs.low, logs.high))
    return Estimate(mean, logs.sd, low, high, logs.n)


def distance(estimate: Estimate, *edges: float, ratio: bool = False) -> float:
    """Return how far the mean is from the nearest edge; of a ratio, how far the logarithms are."""
    mean, *others = np.log([estimate.mean, *edges]) if ratio else np.array([estimate.mean, *edges])
    return float(min(abs(mean - edge) for edge in others))


def p_value(estimate: Estimate, *edges: float, ratio: bool = False) -> float | None:
    """Return the two-sided p-value that the mean is the nearest edge, by Student's t; None without a spread.

    It is at most 5 % exactly if no edge lies within the 95 % interval. If the mean lies between two edges, it is twice
    the p-value of two one-sided tests (TOST).

    Args:
        estimate: of values, or of ratios as `geometric` returns it.
        edges: the values that the mean is tested against.
        ratio: whether the estimate is of ratios, so that logarithms are tested.
    """
    if estimate.n < 2 or not np.isfinite([estimate.mean, estimate.sd]).all():
        return None
    away = distance(estimate, *edges, ratio=ratio)
    if estimate.sd == 0:
        return float(away == 0)
    return 2 * float(stats.t.sf(away / (estimate.sd / estimate.n**0.5), estimate.n - 1))


def holm(p: Sequence[float]) -> np.ndarray:
    """Return the p-values adjusted by Holm 1979, in the order given; the chance of any false one is then bounded."""
    order, m = np.argsort(p), len(p)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.sort(p) * np.arange(m, 0, -1)))
    return adjusted
