"""One number a run, as the rules of claims name them.

``{final: column}`` the result at the end; ``{highest: column}`` the largest evaluation; ``{area: column}`` the mean
over the run's steps, a measure of speed; ``{late: column, from: step}`` the mean of the evaluations from a step on;
``{difference: [column, column]}`` of two results at the end; ``{gap: loss}`` test minus training loss where the latter
first falls so far; ``{drift: view, layer: k}`` see `analysis.reading.drift`; ``{probe: quantity, sites: ..., at: ...}``
what an instrument saw. A run that diverged has the accuracy of guessing, and an infinite weight norm or whatever else
an instrument would have seen.

Other measures are over several cells of an arm, each a value of one key: see `across`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bnrepro.analysis.claims.arms import value
from bnrepro.analysis.claims.schema import ACROSS, KINDS
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.drift import layer_drift
from bnrepro.analysis.reading.load import Record


def _final(record: Record, column: str) -> float:
    return dataset.chance(record) if record.diverged else float(record.status["final"].get(column, np.nan))


def _curve(record: Record, column: str) -> pd.Series:
    curve = record.metrics[column] if column in record.metrics else pd.Series(dtype=float)
    if record.diverged:
        curve = curve.copy()
        curve.loc[record.status["diverged_at"]] = curve.loc[record.status["steps"]] = dataset.chance(record)
    return curve


def _area(record: Record, column: str) -> float:
    curve = _curve(record, column)
    steps = curve.index.to_numpy(float)
    return float(np.trapezoid(curve.to_numpy(), steps) / (steps[-1] - steps[0]))


def _late(record: Record, column: str, first: int) -> float:
    curve = _curve(record, column)
    return float(curve[curve.index >= first].mean())


def _gap(record: Record, level: float) -> float:
    reached = record.metrics[record.metrics["train/loss"] <= level]
    return float((reached["val/loss"] - reached["train/loss"]).iloc[0]) if len(reached) else np.nan


_REDUCTIONS: dict[str, Callable[[np.ndarray], float]] = {  # of the values at the sites, or at the looks
    "first": lambda v: v[0],
    "last": lambda v: v[-1],
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "later": lambda v: np.mean(v[1:]),
    "geometric": lambda v: np.exp(np.mean(np.log(v))),
}


def _reduce(values: np.ndarray, how: str) -> float:
    """One value of several; what was not measured (nan) is left out. ``a / b`` and ``a - b`` are of two reductions."""
    for sign, join in (("/", np.divide), ("-", np.subtract)):
        if sign in how:
            left, right = (_reduce(values, side.strip()) for side in how.split(sign))
            return float(join(left, right))
    known = values[~np.isnan(values)]
    return float(_REDUCTIONS[how](known)) if len(known) else np.nan


def _probe(record: Record, quantity: str | list[str], sites: str, at: str) -> float:
    if record.diverged:
        return np.inf
    if isinstance(quantity, list):
        numerator, denominator = (_probe(record, name, sites, at) for name in quantity)
        return numerator / denominator
    return _reduce(np.array([_reduce(look, sites) for look in record.probes[quantity].astype(float)]), at)


def measure(record: Record, spec: dict[str, Any]) -> float:
    """The number that a specification asks of a record; nan where it has none."""
    kind = next(key for key in KINDS if key in spec)
    if kind == "final":
        return _final(record, spec["final"])
    if kind == "highest":
        return float(_curve(record, spec["highest"]).max())
    if kind == "area":
        return _area(record, spec["area"])
    if kind == "late":
        return _late(record, spec["late"], spec["from"])
    if kind == "difference":
        first, second = (_final(record, column) for column in spec["difference"])
        return first - second
    if kind == "gap":
        return _gap(record, spec["gap"])
    if kind == "drift":
        return np.inf if record.diverged else layer_drift(record.probes, spec["layer"], spec["drift"])
    return _probe(record, spec["probe"], spec["sites"], spec["at"])


Cells = dict[Any, dict[int, float]]  # of an arm that has several: value of the key -> seed -> number


def varied(spec: dict[str, Any]) -> str:
    """The key that differs between the cells of such a measure's arm; empty for any other measure."""
    return next((spec[name] for name in ACROSS if name in spec), "")


def cells(records: list[Record], spec: dict[str, Any]) -> Cells:
    """What such a measure is over: the cells of an arm's records, in the order of the key's values.

    A number that a record does not have (nan) is left out, like a seed of which there is no record.
    """
    by_value: Cells = {}
    for record in records:
        if not np.isnan(number := measure(record, spec["of"])):
            by_value.setdefault(value(record.config, varied(spec)), {})[record.seed] = number
    return dict(sorted(by_value.items()))


def best(of_arm: Cells, spec: dict[str, Any]) -> Any:
    """The value of the key whose cell has the highest mean over the seeds to choose on; the first of several.

    None before all cells with all of these seeds are there.
    """
    seeds = spec["choose_on"]
    if len(of_arm) < spec["cells"] or not all(set(seeds) <= cell.keys() for cell in of_arm.values()):
        return None
    return max(of_arm, key=lambda value: np.mean([of_arm[value][seed] for seed in seeds]))


def across(of_arm: Cells, spec: dict[str, Any]) -> dict[int, float]:
    """One number a seed from an arm's cells, by the value of the key that differs between them.

    ``best`` is the cell of the highest mean over the seeds ``choose_on``, and its numbers are those of other seeds,
    ``test_on``: the highest of several means is too high on the seeds that it was chosen on. ``largest`` is the
    largest value of the key at which a seed gets to ``share`` of its own best; ``spread`` a seed's best minus its
    worst. These two use only seeds that every cell has. There is nothing before all ``cells`` are there.
    """
    if len(of_arm) < spec["cells"]:
        return {}
    if "best" in spec:
        chosen = of_arm.get(best(of_arm, spec), {})
        return {seed: chosen[seed] for seed in spec["test_on"] if seed in chosen}
    seeds = sorted(set.intersection(*(set(cell) for cell in of_arm.values())))
    table = {seed: {value: cell[seed] for value, cell in of_arm.items()} for seed in seeds}
    if "spread" in spec:
        return {seed: max(row.values()) - min(row.values()) for seed, row in table.items()}
    return {seed: _largest(row, spec["share"]) for seed, row in table.items()}


def _largest(row: dict[Any, float], share: float) -> Any:
    """The largest value of the key whose number is at least a share of the highest."""
    return max(value for value, number in row.items() if number >= share * max(row.values()))
