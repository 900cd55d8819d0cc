"""At which steps a run is looked at, and at which rate it learns."""

import math
from collections.abc import Callable


def milestones(total: int, every: int, log_points_per_decade: int) -> list[int]:
    """Log-spaced steps from 1 below ``every``, its multiples up to ``total``, and ``total``: sorted."""
    early, k = set(), 0
    while (step := round(10 ** (k / log_points_per_decade))) < min(every, total):
        early.add(step)
        k += 1
    return sorted(early | set(range(every, total + 1, every)) | {total})


def constant(lr: float) -> Callable[[int], float]:
    """The same rate at every step."""
    return lambda step: lr


def exponential(lr: float, factor: float, every: float) -> Callable[[int], float]:
    """GoogLeNet's schedule: times ``factor`` after each ``every`` steps; step 0 has ``lr`` itself."""
    return lambda step: lr * factor ** math.floor(step / every + 1e-9)  # 30 / 10.000000000000002 is three times
