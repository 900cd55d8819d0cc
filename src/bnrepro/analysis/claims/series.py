"""Frames with one column per seed, of what records hold by layer, by step, or by the value of a key."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnrepro.analysis.claims.arms import value
from bnrepro.analysis.claims.measures import Spec, measure
from bnrepro.analysis.reading import curves
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate

FIRST, LAST = 0, -1  # the evaluation at the first step, and at the last
FINAL = {"final": "val/top1"}  # the measure that most drawings show


class Arm(NamedTuple):
    """Some records and how they are drawn."""

    label: str
    records: list[Record]
    colour: str
    line: str = "-"


def _probed(records: list[Record], quantity: str) -> list[Record]:
    """Return the records whose probes have a quantity; a run that diverged may have none."""
    return [r for r in records if (r.path / "probes.npz").is_file() and quantity in r.probes]


def by_layer(records: list[Record], quantity: str, evaluation: int = LAST) -> pd.DataFrame:
    """Return a quantity at one evaluation, indexed by layer from 1, without layers where it was not measured."""
    frame = pd.DataFrame({r.seed: r.probes[quantity][evaluation].astype(float) for r in _probed(records, quantity)})
    frame.index = frame.index + 1
    return frame.dropna(how="all")


def by_step(records: list[Record], quantity: str, layer: int) -> pd.DataFrame:
    """Return a quantity at one layer, the first of which is 1, indexed by step."""
    return pd.DataFrame(
        {
            record.seed: pd.Series(record.probes[quantity][:, layer - 1].astype(float), record.probes["steps"])
            for record in _probed(records, quantity)
        }
    )


def layers(records: list[Record], quantity: str) -> int:
    """Return the number of layers in which a quantity was measured; 0 if no record has it."""
    return max((r.probes[quantity].shape[1] for r in _probed(records, quantity)), default=0)


def by_value(records: list[Record], key: str, spec: Spec) -> pd.DataFrame:
    """Return a measure of records that differ in a key, indexed by the key's value, or by a list's length."""
    by_setting: dict[Any, dict[int, float]] = {}
    for record in records:
        setting = value(record.config, key)
        setting = len(setting) if isinstance(setting, list) else setting
        by_setting.setdefault(setting, {})[record.seed] = measure(record, spec)
    return pd.DataFrame.from_dict(by_setting, orient="index").sort_index().dropna(how="all")


def differences(first: list[Record], second: list[Record], spec: Spec) -> tuple[np.ndarray, Estimate]:
    """Return the first arm's measure minus the second's for each seed of both, and the estimate of the mean."""
    values = np.array([measure(a, spec) - measure(b, spec) for a, b in zip(*curves.paired(first, second), strict=True)])
    values = values[~np.isnan(values)]
    return values, Estimate.of(values)
