"""Means, spreads and intervals over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over n seeds with its standard deviation and Student-t interval."""

    mean: float
    sd: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: np.ndarray) -> "Estimate":
        """Estimate from n values; with one value there is no spread and no interval (nan)."""
        values = np.asarray(values, float)
        n = len(values)
        if n == 0:
            return cls(np.nan, np.nan, np.nan, np.nan, 0)
        if n < 2:
            return cls(float(values.mean()), np.nan, np.nan, np.nan, n)
        sd = float(values.std(ddof=1))
        half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / n**0.5
        return cls(float(values.mean()), sd, float(values.mean()) - half, float(values.mean()) + half, n)


def geometric(ratios: np.ndarray) -> Estimate:
    """The geometric mean of positive ratios with its interval, by Student's t on logarithms; sd is that of the logs."""
    logs = Estimate.of(np.log(ratios))
    mean, low, high = (float(np.exp(value)) for value in (logs.mean, logs.low, logs.high))
    return Estimate(mean, logs.sd, low, high, logs.n)


def distance(estimate: Estimate, *edges: float, ratio: bool = False) -> float:
    """How far a mean lies from the nearest of some edges; the logarithm of it, of a ratio."""
    mean, *where = np.log([estimate.mean, *edges]) if ratio else np.array([estimate.mean, *edges])
    return float(min(abs(mean - edge) for edge in where))


def p_value(estimate: Estimate, *edges: float, ratio: bool = False) -> float | None:
    """Two-sided, by Student's t, that a mean lies on the nearest of some edges; None without a spread to go by.

    It is at most 5 % if, and only if, the 95 % interval has no edge inside. Of two edges with the mean between them it
    is twice the p-value of two one-sided tests (TOST), which a 90 % interval would go with.

    Args:
        estimate: of values, or of a ratio as `geometric` gives it, whose sd is that of the logarithms.
        edges: what the mean is tested against.
        ratio: whether it is a ratio, so that logarithms are tested.
    """
    if estimate.n < 2 or not np.isfinite([estimate.mean, estimate.sd]).all():
        return None
    away = distance(estimate, *edges, ratio=ratio)
    if estimate.sd == 0:
        return float(away == 0)
    return 2 * float(stats.t.sf(away / (estimate.sd / estimate.n**0.5), estimate.n - 1))


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values adjusted so that the chance of any false one is bounded (Holm 1979), in the order given."""
    order, m = np.argsort(p), len(p)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.sort(p) * np.arange(m, 0, -1)))
    return adjusted


def verdict(estimate: Estimate, threshold: float, above: bool) -> str:
    """``holds`` if the whole interval lies beyond the threshold, ``fails`` if before it, else ``inconclusive``."""
    if estimate.n < 2:
        return "inconclusive"
    beyond, before = (estimate.low > threshold, estimate.high < threshold)
    if not above:
        beyond, before = before, beyond
    return "holds" if beyond else "fails" if before else "inconclusive"
