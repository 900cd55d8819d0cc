"""The commands that train what a claim is judged on, from its arms or from its records."""

import shlex
from typing import Any

from bnrepro.analysis.claims.arms import Records, value
from bnrepro.analysis.claims.measures import best, cells, varied
from bnrepro.analysis.claims.rules import Experiment, Part
from bnrepro.analysis.reading.load import Record

Choices = dict[str, list[Any]]  # by key, the values that a sweep goes through
SWEEP = ["python", "scripts/train.py", "-m", "hydra/launcher=joblib"]
SEED = "seed"
PAPER = "paper"  # the scale of an experiment unless another is asked for


def _choices(
    part: Part, overrides: dict[str, Any], experiment: Experiment, records: Records, seeds: int
) -> list[Choices]:
    """The sweeps that train one arm: the values of each key that it sets.

    A key that the part's measure goes over takes all values of which there are records. Where the best value is tested
    on seeds of its own, a second sweep trains that value with these seeds.
    """
    settings = experiment.usual | overrides
    chosen = {key: [setting] for key, setting in settings.items() if setting != experiment.base.get(key)}
    if not (key := varied(part.measure)):
        return [chosen | {SEED: list(range(seeds))}]
    of_arm = records.arm(part.experiment, overrides, varied=key)
    values = sorted({value(record.config, key) for record in of_arm})
    if "best" not in part.measure:
        return [chosen | {key: values, SEED: list(range(seeds))}]
    sweeps = [chosen | {key: values, SEED: part.measure["choose_on"]}]
    winner = best(cells(of_arm, part.measure), part.measure)
    return sweeps if winner is None else [*sweeps, chosen | {key: [winner], SEED: part.measure["test_on"]}]


def _merge(arms: list[Choices]) -> list[Choices]:
    """The same runs in fewer sweeps: two sweeps that differ in the values of one key become one."""
    merged: list[Choices] = []
    for arm in arms:
        for other in merged:
            different = [key for key in other if arm.get(key) != other[key]]
            if arm.keys() == other.keys() and len(different) < 2:
                for key in different:
                    other[key] = other[key] + [value for value in arm[key] if value not in other[key]]
                break
        else:
            merged.append({key: list(values) for key, values in arm.items()})
    return merged if len(merged) == len(arms) else _merge(merged)


def _word(setting: Any) -> str:
    if isinstance(setting, list):
        return f"[{','.join(map(_word, setting))}]"
    if isinstance(setting, bool):
        return str(setting).lower()
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def _override(key: str, values: list[Any]) -> str:
    """An override as it is typed; ``norm.name`` chooses a file of the group ``norm``."""
    return f"{key.removesuffix('.name')}={','.join(map(_word, values))}"


def commands(parts: list[Part], experiments: dict[str, Experiment], records: Records) -> list[str]:
    """The commands that train the parts' experiments, one line per sweep, in the order of the parts."""
    lines: list[str] = []
    for name in dict.fromkeys(part.experiment for part in parts if part.experiment):
        experiment, own = experiments[name], [part for part in parts if part.experiment == name]
        if experiment.command:
            lines.append(experiment.command)
            continue
        seeds = max(part.seeds for part in own)
        arms = [(part, part.arms[arm]) for part in own for arm in part.weights]
        sweeps = [sweep for part, overrides in arms for sweep in _choices(part, overrides, experiment, records, seeds)]
        for choices in _merge(sweeps):
            chosen = [_override(key, values) for key, values in sorted(choices.items(), key=_order)]
            lines.append(shlex.join([*SWEEP, "scale=mini", f"experiment=claims/{name}", *chosen]))
    return lines


def commands_of(records: list[Record], scale: str, seeds: bool = True) -> list[str]:
    """The commands that made these records: one line for all experiments that have the same seeds and precision.

    Without ``seeds`` it is one line for all experiments, each of which has the seed of its own file.
    """
    seeds_of: dict[tuple[str, str], set[int]] = {}
    for record in records:
        key = record.status["experiment"], record.config["training"]["precision"]
        seeds_of.setdefault(key, set()).add(record.seed)
    together: dict[tuple[tuple[int, ...], str], list[str]] = {}
    for (experiment, precision), own_seeds in seeds_of.items():
        together.setdefault((tuple(sorted(own_seeds)) if seeds else (), precision), []).append(experiment)
    start = [*SWEEP, *([] if scale == PAPER else [f"scale={scale}"])]
    lines = []
    for (chosen, precision), names in together.items():
        words = [*start, _override("experiment", names)]
        words += [f"training.precision={precision}"] if precision != "float32" else []
        lines.append(shlex.join(words + ([_override(SEED, list(chosen))] if chosen else [])))
    return lines


def _order(item: tuple[str, list[Any]]) -> tuple[bool, bool, str]:
    """The place of a key in a command: groups come first, seeds last."""
    key, _ = item
    return key == SEED, not key.endswith(".name"), key
