"""Accuracy while training, for the records of one arm: what every figure starts from."""

import numpy as np
import pandas as pd

from bnrepro.analysis.reading.load import Record

ACCURACY = "val/top1"


def accuracies(records: list[Record], chance: float) -> pd.DataFrame:
    """Accuracy, one column per seed, indexed by step; a run is at chance from where it diverged."""
    curves = pd.DataFrame({r.seed: r.metrics.get(ACCURACY, pd.Series(dtype=float)) for r in records})
    for record in records:
        if record.diverged:
            curves.loc[record.status["steps"], record.seed] = chance
            curves[record.seed] = curves[record.seed].fillna(chance)
    return curves.sort_index()


def steps_to(curves: pd.DataFrame, target: float) -> np.ndarray:
    """The first evaluated step at or above a target accuracy, for each seed; inf where it is never reached."""
    return np.array([next((s for s, a in curves[seed].items() if a >= target), np.inf) for seed in curves], float)


def crossing(record: Record, target: float, column: str = ACCURACY) -> float:
    """The step at which a run's smoothed curve first reaches an accuracy; inf where it never does.

    The curve is the running median over three evaluations, its first and last value kept as they are, and interpolated
    linearly between evaluations. A run that diverged has no curve from there on.
    """
    curve = record.metrics.get(column, pd.Series(dtype=float))
    smooth = curve.rolling(3, center=True).median().fillna(curve)
    if record.diverged:
        smooth = smooth[smooth.index < record.status["diverged_at"]]
    above = np.flatnonzero(smooth.to_numpy() >= target)
    if not len(above):
        return np.inf
    first = above[0]
    if first == 0:
        return float(smooth.index[0])
    before, after = smooth.iloc[first - 1], smooth.iloc[first]
    return float(np.interp(target, [before, after], smooth.index[first - 1 : first + 1]))


def paired(without: list[Record], with_: list[Record]) -> tuple[list[Record], list[Record]]:
    """The records of the seeds that both arms have, in the same order."""
    shared = sorted({r.seed for r in without} & {r.seed for r in with_})
    return tuple([next(r for r in arm if r.seed == seed) for seed in shared] for arm in (without, with_))
