"""The commands that train the runs that a claim is judged on, derived from its arms or from its records."""

import shlex
from typing import Any

from bnrepro.analysis.claims.arms import Records, value
from bnrepro.analysis.claims.measures import best, cells, records_of_arm, varied
from bnrepro.analysis.claims.rules import Part
from bnrepro.analysis.reading.load import Record

Sweep = dict[str, list[Any]]  # the values of each key
START = ["python", "scripts/train.py", "-m", "hydra/launcher=joblib"]
EXPERIMENT, SEED = "experiment", "seed"
PAPER = "paper"  # the scale of an experiment unless the command names another


def _sweeps(part: Part, arm: str, records: Records, most_seeds: int) -> list[Sweep]:
    """Return the sweeps that train one arm of a part.

    Keys that the measure varies have all values of which there are records; without a record there is no sweep. If the
    best value is tested on other seeds than it was chosen on, a second sweep trains the best value with these seeds.
    """
    experiment, overrides = records.experiments[part.experiment], part.arms[arm]
    seeds = list(range(part.first_seed, part.first_seed + most_seeds))
    settings = experiment.usual | overrides
    chosen = {key: [setting] for key, setting in settings.items() if setting != experiment.base.get(key)}
    if not (keys := varied(part.measure)):
        return [chosen | {SEED: seeds}]
    if not (arm_records := records_of_arm(records, part, overrides)):
        return []
    all_values = chosen | {key: sorted({value(record.config, key) for record in arm_records}) for key in keys}
    if "best" not in part.measure:
        return [all_values | {SEED: seeds}]
    sweeps = [all_values | {SEED: part.measure["choose_on"]}]
    if (winner := best(cells(arm_records, part.measure), part.measure)) is None:
        return sweeps
    winners = [winner] if len(keys) == 1 else winner
    return [
        *sweeps,
        chosen | {key: [won] for key, won in zip(keys, winners, strict=True)} | {SEED: part.measure["test_on"]},
    ]


def _merge(sweeps: list[Sweep]) -> list[Sweep]:
    """Describe the same runs in fewer sweeps: two sweeps that differ in the values of one key become one."""
    merged: list[Sweep] = []
    for sweep in sweeps:
        for other in merged:
            different = [key for key in other if sweep.get(key) != other[key]]
            if sweep.keys() == other.keys() and len(different) < 2:
                for key in different:
                    other[key] = other[key] + [value for value in sweep[key] if value not in other[key]]
                break
        else:
            merged.append(dict(sweep))
    return merged if len(merged) == len(sweeps) else _merge(merged)


def _word(setting: Any) -> str:
    if isinstance(setting, list):
        return f"[{','.join(map(_word, setting))}]"
    if isinstance(setting, bool):
        return str(setting).lower()
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def _override(key: str, values: list[Any]) -> str:
    """Return an override as it is typed; ``norm.name`` chooses a file of the group ``norm``."""
    return f"{key.removesuffix('.name')}={','.join(map(_word, values))}"


def _line(scale: str, sweep: Sweep) -> str:
    """Return the command of a sweep: the experiment first, then groups, then keys, and the seeds at the end."""
    keys = sorted(sweep, key=lambda key: (key == SEED, key != EXPERIMENT, not key.endswith(".name"), key))
    overrides = [] if scale == PAPER else [f"scale={scale}"]
    return shlex.join([*START, *overrides, *(_override(key, sweep[key]) for key in keys)])


def commands(parts: list[Part], records: Records) -> list[str]:
    """Return the commands that train the arms of the parts, a line per sweep, in the order of the experiments."""
    lines: list[str] = []
    for name in dict.fromkeys(part.experiment for part in parts if part.experiment):
        if command := records.experiments[name].command:
            lines.append(command)
            continue
        scale = records.experiments[name].records.rpartition("/")[2]
        parts_of_experiment = [part for part in parts if part.experiment == name]
        seeds = max(part.seeds for part in parts_of_experiment)
        sweeps = [
            sweep
            for part in parts_of_experiment
            for arm in part.weights
            for sweep in _sweeps(part, arm, records, seeds)
        ]
        lines += [_line(scale, {EXPERIMENT: [f"claims/{name}"]} | sweep) for sweep in _merge(sweeps)]
    return lines


def commands_of(records: list[Record], scale: str, seeds: bool = True) -> list[str]:
    """Return the commands that made these records: one line for all with the same seeds and precision.

    Without ``seeds`` each experiment has the seed that its own file names.
    """
    sweeps: dict[tuple[str, str], Sweep] = {}
    for record in records:
        experiment, precision = record.status["experiment"], record.config["training"]["precision"]
        sweep = sweeps.setdefault((experiment, precision), {EXPERIMENT: [experiment]})
        if precision != "float32":
            sweep["training.precision"] = [precision]
        if seeds:
            sweep[SEED] = sorted({*sweep.get(SEED, []), record.seed})
    return [_line(scale, sweep) for sweep in _merge(list(sweeps.values()))]
