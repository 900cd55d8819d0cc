"""Accuracy while training, for the records of one arm: what every figure starts from."""

import numpy as np
import pandas as pd

from bnrepro.analysis.load import Record

ACCURACY = "val/top1"


def accuracies(records: list[Record], chance: float) -> pd.DataFrame:
    """Accuracy, one column a seed, indexed by step; a run is at chance from where it diverged."""
    curves = pd.DataFrame({r.seed: r.metrics.get(ACCURACY, pd.Series(dtype=float)) for r in records})
    for record in records:
        if record.diverged:
            curves.loc[record.status["steps"], record.seed] = chance
            curves[record.seed] = curves[record.seed].fillna(chance)
    return curves.sort_index()


def steps_to(curves: pd.DataFrame, target: float) -> np.ndarray:
    """The first evaluated step at or above a target accuracy, for each seed; inf where it is never reached."""
    return np.array([next((s for s, a in curves[seed].items() if a >= target), np.inf) for seed in curves], float)


def paired(without: list[Record], with_: list[Record]) -> tuple[list[Record], list[Record]]:
    """The records of the seeds that both arms have, in the same order."""
    shared = sorted({r.seed for r in without} & {r.seed for r in with_})
    return tuple([next(r for r in arm if r.seed == seed) for seed in shared] for arm in (without, with_))
