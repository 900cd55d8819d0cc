"""Numbers as the tables print them."""

import numpy as np

from bnrepro.analysis.reading.statistics import Estimate


def percent(estimate: Estimate) -> str:
    """Mean ± sd of a fraction, in percent."""
    spread = "" if np.isnan(estimate.sd) else f" ± {100 * estimate.sd:.2f}"
    return f"{100 * estimate.mean:.2f}{spread}"


def interval(estimate: Estimate, scale: float = 1, digits: int = 2, sign: str = "") -> str:
    """Mean and [low, high]; the mean alone where there is no interval."""
    mean, low, high = (format(scale * v, f"{sign}.{digits}f") for v in (estimate.mean, estimate.low, estimate.high))
    return mean if estimate.n < 2 else f"{mean} [{low}, {high}]"


def reached(values: np.ndarray) -> str:
    """Median and range over seeds of the steps to an accuracy, inf where a seed never reaches it."""
    count = np.isfinite(values).sum()
    if count == 0:
        return "never"
    median = np.median(values)
    text = f"{median:,.0f}" if np.isfinite(median) else "never"
    spread = f" ({values.min():,.0f} to {values.max():,.0f})" if count == len(values) else ""
    return text + (spread or f" ({count} of {len(values)} seeds reach it)")


def headline(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]
