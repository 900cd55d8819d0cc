"""Accuracy curves of the seeds of one network, and when a curve reaches an accuracy."""

import numpy as np
import pandas as pd

from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.load import Record

ACCURACY = "val/top1"


def accuracies(records: list[Record]) -> pd.DataFrame:
    """Return validation accuracy with a column per seed, indexed by step.

    A run is at chance from the step on at which it diverged, or was ended because it stayed at chance.
    """
    curves = pd.DataFrame({r.seed: r.curve(ACCURACY) for r in records})
    for record in records:
        if record.diverged or "stopped" in record.status:
            curves.loc[record.status["steps"], record.seed] = dataset.chance(record)
            curves[record.seed] = curves[record.seed].fillna(dataset.chance(record))
    return curves.sort_index()


def crossing(record: Record, target: float, column: str = ACCURACY) -> float:
    """Return the step at which a run's smoothed curve first reaches an accuracy, or infinity if it never does.

    The curve is smoothed by a running median over three evaluations, which keeps the first and the last value. It is
    interpolated linearly between evaluations, and it ends where the run diverged.
    """
    curve = record.curve(column)
    smooth = curve.rolling(3, center=True).median().fillna(curve)
    if record.diverged:
        smooth = smooth[smooth.index < record.status["diverged_at"]]
    above = np.flatnonzero(smooth.to_numpy() >= target)
    if not len(above):
        return np.inf
    last = above[0] + 1
    first = max(last - 2, 0)
    return float(np.interp(target, smooth.iloc[first:last], smooth.index[first:last]))


def finals(records: list[Record]) -> np.ndarray:
    """Return each seed's accuracy at the end with the statistics of Alg. 2; chance if the seed diverged."""
    return np.array([dataset.chance(r) if r.diverged else r.status["final"][ACCURACY] for r in records])


def paired(without: list[Record], with_: list[Record]) -> tuple[list[Record], list[Record]]:
    """Return the records of the seeds that both arms have, in the same order."""
    shared = sorted({r.seed for r in without} & {r.seed for r in with_})
    return tuple([next(r for r in arm if r.seed == seed) for seed in shared] for arm in (without, with_))
