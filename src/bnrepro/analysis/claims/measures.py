"""Measures: one number per run, or one number per seed from several runs, as the rules of claims name them.

A run that diverged has the accuracy of guessing. Its instruments count as infinite.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnrepro.analysis.claims.arms import Records, value
from bnrepro.analysis.claims.rules import Part
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.drift import layer_drift
from bnrepro.analysis.reading.load import Record

Spec = dict[str, Any]  # a measure as a rule writes it, for example {late: val/top1, from: 40000}


def _final(record: Record, column: str) -> float:
    return dataset.chance(record) if record.diverged else float(record.status["final"].get(column, np.nan))


def _above_chance(record: Record, spec: Spec) -> float:
    return _final(record, spec["above_chance"]) - dataset.chance(record)


def _curve(record: Record, column: str) -> pd.Series:
    curve = record.curve(column)
    if record.diverged:
        curve = curve.copy()
        curve.loc[record.status["diverged_at"]] = curve.loc[record.status["steps"]] = dataset.chance(record)
    return curve


def _area(record: Record, spec: Spec) -> float:
    curve = _curve(record, spec["area"])
    steps = curve.index.to_numpy(float)
    return np.trapezoid(curve.to_numpy(), steps) / (steps[-1] - steps[0])


def _late(record: Record, spec: Spec) -> float:
    curve = _curve(record, spec["late"])
    return curve[curve.index >= spec["from"]].mean()


def _difference(record: Record, spec: Spec) -> float:
    first, second = (_final(record, column) for column in spec["difference"])
    return first - second


def _gap(record: Record, spec: Spec) -> float:
    """Return test loss minus training loss where the training loss falls to ``gap``, on lines between evaluations."""
    training, test = (record.metrics[column].to_numpy() for column in (spec["training"], "val/loss"))
    reached = np.flatnonzero(training <= spec["gap"])
    if not len(reached) or reached[0] == 0:
        return np.nan
    between = reached[0] - 1, reached[0]
    share = (training[between[0]] - spec["gap"]) / (training[between[0]] - training[between[1]])
    return float(np.interp(share, (0, 1), test[list(between)])) - spec["gap"]


def _drift(record: Record, spec: Spec) -> float:
    return np.inf if record.diverged else layer_drift(record.probes, spec["layer"], spec["drift"])


_REDUCTIONS: dict[str, Callable[[np.ndarray], float]] = {  # many values, of sites or of evaluations, to one
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "later": lambda values: np.mean(values[1:]),
    "geometric": lambda values: np.exp(np.mean(np.log(values))),
}


def _reduce(values: np.ndarray, how: str) -> float:
    """Reduce values to one, leaving out nan. ``a / b`` and ``a - b`` combine two reductions."""
    for sign, combine in (("/", np.divide), ("-", np.subtract)):
        if sign in how:
            left, right = (_reduce(values, side.strip()) for side in how.split(sign))
            return float(combine(left, right))
    known = values[~np.isnan(values)]
    return float(_REDUCTIONS[how](known)) if len(known) else np.nan


def _probe(record: Record, spec: Spec) -> float:
    if record.diverged:
        return np.inf
    if isinstance(spec["probe"], list):
        numerator, denominator = (_probe(record, spec | {"probe": quantity}) for quantity in spec["probe"])
        return numerator / denominator
    by_evaluation = [_reduce(sites, spec["sites"]) for sites in record.probes[spec["probe"]].astype(float)]
    return _reduce(np.array(by_evaluation), spec["at"])


class Measure(NamedTuple):
    """How a measure of one run is computed, and the keys that it needs besides its own."""

    compute: Callable[[Record, Spec], float]
    keys: tuple[str, ...] = ()


MEASURES: dict[str, Measure] = {
    "final": Measure(lambda record, spec: _final(record, spec["final"])),  # of a column, at the end
    "above_chance": Measure(_above_chance),  # an accuracy at the end, minus that of guessing
    "area": Measure(_area),  # the mean of a column over the run's steps, which measures speed
    "late": Measure(_late, ("from",)),  # the mean of a column's evaluations from a step on
    "difference": Measure(_difference),  # of two columns at the end
    "gap": Measure(_gap, ("training",)),  # test loss minus training loss, a column, where this falls to the value
    "drift": Measure(_drift, ("layer",)),  # see `bnrepro.analysis.reading.drift`
    "probe": Measure(_probe, ("sites", "at")),  # an instrument's quantity, or the ratio of two
}
ACROSS: dict[str, tuple[str, ...]] = {  # measures over several cells of an arm, and the keys that each needs
    "best": ("cells", "of", "choose_on", "test_on"),
    "largest": ("cells", "of", "share"),
    "limit": ("cells", "of", "share"),
    "mean_over_best": ("cells", "of"),
}


def measure(record: Record, spec: Spec) -> float:
    """Return the number that a measure of one run gives; nan if the record does not have it."""
    compute = next(entry.compute for name, entry in MEASURES.items() if name in spec)
    return float(compute(record, spec))


Cells = dict[Any, dict[int, float]]  # the cells of an arm: value of the varied key, or of each -> seed -> number


def varied(spec: Spec) -> tuple[str, ...]:
    """Return the keys whose values make the cells of a measure in `ACROSS`; none for any other measure."""
    keys = next((spec[name] for name in ACROSS if name in spec), ())
    return (keys,) if isinstance(keys, str) else tuple(keys)


def records_of_arm(records: Records, part: Part, overrides: dict[str, Any]) -> list[Record]:
    """Return the records of an arm of a part with the seeds that the part takes; ``best`` names them itself."""
    arm_records = records.arm(part.experiment, overrides, varied(part.measure))
    if "best" in part.measure:
        return arm_records
    return [record for record in arm_records if 0 <= record.seed - part.first_seed < part.seeds]


def cells(records: list[Record], spec: Spec) -> Cells:
    """Return the cells of an arm's records, in the order of the keys' values, without numbers that are nan."""
    by_value: Cells = {}
    for record in records:
        if not np.isnan(number := measure(record, spec["of"])):
            values = tuple(value(record.config, key) for key in varied(spec))
            by_value.setdefault(values if len(values) > 1 else values[0], {})[record.seed] = number
    return dict(sorted(by_value.items()))


def best(arm_cells: Cells, spec: Spec) -> Any:
    """Return the cell with the highest mean over the seeds ``choose_on``; the first if several are equal.

    Return None until every cell has all of these seeds.
    """
    seeds = spec["choose_on"]
    if len(arm_cells) < spec["cells"] or not all(set(seeds) <= cell.keys() for cell in arm_cells.values()):
        return None
    return max(arm_cells, key=lambda value: np.mean([arm_cells[value][seed] for seed in seeds]))


def across(arm_cells: Cells, spec: Spec) -> dict[int, float]:
    """Return one number per seed from the cells of an arm; none until all ``cells`` are there.

    ``best`` gives the numbers of the best cell for the seeds ``test_on``; they differ from ``choose_on``, because the
    highest of several means is too high on the seeds that it was chosen on. ``largest`` is the largest value of the
    key at which a seed reaches ``share`` of its own best. ``limit`` is where it falls to that share beyond the
    largest, on a line between two cells over the key's logarithm, or the largest value if it never falls so far.
    ``mean_over_best`` is a seed's mean over the cells divided by its best. These three use only seeds that every cell
    has and whose best is above zero.
    """
    if len(arm_cells) < spec["cells"]:
        return {}
    if "best" in spec:
        chosen = arm_cells.get(best(arm_cells, spec), {})
        return {seed: chosen[seed] for seed in spec["test_on"] if seed in chosen}
    numbers: dict[int, float] = {}
    for seed in sorted(set.intersection(*(set(cell) for cell in arm_cells.values()))):
        by_value = {value: cell[seed] for value, cell in arm_cells.items()}
        if (highest := max(by_value.values())) <= 0:
            continue
        if "mean_over_best" in spec:
            numbers[seed] = float(np.mean(list(by_value.values())) / highest)
            continue
        edge = spec["share"] * highest
        largest = max(value for value, number in by_value.items() if number >= edge)
        numbers[seed] = _limit(by_value, largest, edge) if "limit" in spec else largest
    return numbers


def _limit(by_value: dict[float, float], largest: float, edge: float) -> float:
    """Return the value between ``largest`` and the next one at which the numbers fall to ``edge``."""
    if largest == max(by_value):
        return largest
    beyond = min(value for value in by_value if value > largest)
    share = (by_value[largest] - edge) / (by_value[largest] - by_value[beyond])
    return float(largest * (beyond / largest) ** share)
