"""How far the distribution of a nonlinearity's input wanders while the network trains (claim C32)."""

import numpy as np

FROM_STEP = 1000


def unit_drift(probes: dict[str, np.ndarray], view: str = "percentiles") -> np.ndarray:
    """Path length of each unit's median from step 1,000 on, in units of its own mean 15-85 width; (U,).

    A unit of no width has no such measure (nan).
    """
    values = probes[view].astype(float)[probes["steps"] >= FROM_STEP]
    if not len(values):  # a run of fewer steps
        return np.full(probes[view].shape[1], np.nan)
    path = np.abs(np.diff(values[..., 1], axis=0)).sum(0)
    width = (values[..., 2] - values[..., 0]).mean(0)
    return np.divide(path, width, out=np.full_like(path, np.nan), where=width > 0)


def layer_drift(probes: dict[str, np.ndarray], layer: int, view: str = "percentiles") -> float:
    """Mean of `unit_drift` over the units of one hidden layer (1 is the first, -1 the last)."""
    layer = layer if layer > 0 else probes["layers"].max() + 1 + layer
    return float(np.nanmean(unit_drift(probes, view)[probes["layers"] == layer]))


def typical_unit(probes: dict[str, np.ndarray]) -> int:
    """The row of the last hidden layer's unit whose drift is the (lower) median of its layer: the paper's "typical"."""
    rows = np.flatnonzero(probes["layers"] == probes["layers"].max())
    drift = unit_drift(probes)[rows]
    order = np.argsort(np.nan_to_num(drift, nan=np.inf), kind="stable")
    return int(rows[order[(len(rows) - 1) // 2]])
