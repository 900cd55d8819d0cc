"""How far the input of a nonlinearity wanders while the network trains (claim C32)."""

import numpy as np

FROM_STEP = 1000


def unit_drift(probes: dict[str, np.ndarray], view: str = "percentiles") -> np.ndarray:
    """Return the drift of each of U units, shape (U,).

    Drift is the path length of the unit's median from step 1,000 on, divided by the unit's mean distance between the
    15th and the 85th percentile. It is nan where this distance is 0, and in a run of fewer steps.
    """
    values = probes[view].astype(float)[probes["steps"] >= FROM_STEP]
    if not len(values):
        return np.full(probes[view].shape[1], np.nan)
    path = np.abs(np.diff(values[..., 1], axis=0)).sum(0)
    width = (values[..., 2] - values[..., 0]).mean(0)
    return np.divide(path, width, out=np.full_like(path, np.nan), where=width > 0)


def layer_drift(probes: dict[str, np.ndarray], layer: int, view: str = "percentiles") -> float:
    """Return the mean of `unit_drift` over the units of one hidden layer: 1 is the first layer, -1 the last."""
    layer = layer if layer > 0 else probes["layers"].max() + 1 + layer
    return float(np.nanmean(unit_drift(probes, view)[probes["layers"] == layer]))


def typical_unit(probes: dict[str, np.ndarray]) -> int:
    """Return the row of the unit that the paper would call typical.

    It is the unit of the last hidden layer whose drift is the median of that layer, the lower one of two.
    """
    rows = np.flatnonzero(probes["layers"] == probes["layers"].max())
    drift = unit_drift(probes)[rows]
    order = np.argsort(np.nan_to_num(drift, nan=np.inf), kind="stable")
    return int(rows[order[(len(rows) - 1) // 2]])
