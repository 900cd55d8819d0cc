"""Numbers as the tables print them."""

import numpy as np

from bnrepro.analysis.reading.statistics import Estimate

# How the brackets of a column are made, for its head.
OVER_SEEDS = "[95 %, Student's t over seeds]"
OF_RATIOS = "[95 %, Student's t on logarithms over seeds]"
OVER_IMAGES = "[95 %, bootstrap over images]"


def percent(estimate: Estimate) -> str:
    """Return mean ± sd of a fraction, in percent."""
    spread = "" if np.isnan(estimate.sd) else f" ± {100 * estimate.sd:.2f}"
    return f"{100 * estimate.mean:.2f}{spread}"


def interval(estimate: Estimate, scale: float = 1, digits: int = 2, sign: str = "") -> str:
    """Return mean [low, high], or the mean alone if there is no interval."""
    mean, low, high = (format(scale * v, f"{sign}.{digits}f") for v in (estimate.mean, estimate.low, estimate.high))
    return mean if estimate.n < 2 else f"{mean} [{low}, {high}]"


def reached(steps: np.ndarray) -> str:
    """Return the median and the range over seeds of the steps to an accuracy; infinity: the seed never reaches it."""
    count = np.isfinite(steps).sum()
    if count == 0:
        return "never"
    median = np.median(steps)
    text = f"{median:,.0f}" if np.isfinite(median) else "never"
    if count < len(steps):
        return f"{text} ({count} of {len(steps)} seeds reach it)"
    return f"{text} ({steps.min():,.0f} to {steps.max():,.0f})"
