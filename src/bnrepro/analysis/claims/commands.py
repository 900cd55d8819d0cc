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
    """What one arm chooses, a sweep each.

    A key that its measure goes over has all the values that there are records of; where the best of them is tested on
    seeds of their own, that one has these in a second sweep.
    """
    chosen = {key: [one] for key, one in (experiment.usual | overrides).items() if one != experiment.base.get(key)}
    if not (key := varied(part.measure)):
        return [chosen | {SEED: list(range(seeds))}]
    found = records.arm(part.experiment, overrides, varied=key)
    values = sorted({value(r.config, key) for r in found})
    if "best" not in part.measure:
        return [chosen | {key: values, SEED: list(range(seeds))}]
    sweeps = [chosen | {key: values, SEED: part.measure["choose_on"]}]
    winner = best(cells(found, part.measure), part.measure)
    return sweeps if winner is None else [*sweeps, chosen | {key: [winner], SEED: part.measure["test_on"]}]


def _merge(arms: list[Choices]) -> list[Choices]:
    """Fewer sweeps that go through the same: two that differ in the values of one key become one."""
    merged: list[Choices] = []
    for arm in arms:
        for other in merged:
            different = [key for key in other if arm.get(key) != other[key]]
            if arm.keys() == other.keys() and len(different) < 2:
                for key in different:
                    other[key] = other[key] + [one for one in arm[key] if one not in other[key]]
                break
        else:
            merged.append({key: list(values) for key, values in arm.items()})
    return merged if len(merged) == len(arms) else _merge(merged)


def _word(one: Any) -> str:
    if isinstance(one, list):
        return f"[{','.join(map(_word, one))}]"
    return str(one).lower() if isinstance(one, bool) else f"{one:g}" if isinstance(one, float) else str(one)


def _override(key: str, values: list[Any]) -> str:
    """``norm.name`` is chosen as a file of the group ``norm``, all else as a value."""
    return f"{key.removesuffix('.name')}={','.join(map(_word, values))}"


def commands(parts: list[Part], experiments: dict[str, Experiment], records: Records) -> list[str]:
    """One line a sweep, in the order of the parts."""
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
    """One line for all experiments that have the same seeds; or one for all, each with the seed of its file."""
    found: dict[str, set[int]] = {}
    for record in records:
        found.setdefault(record.status["experiment"], set()).add(record.seed)
    together: dict[tuple[int, ...], list[str]] = {}
    for experiment, its_seeds in found.items():
        together.setdefault(tuple(sorted(its_seeds)) if seeds else (), []).append(experiment)
    start = [*SWEEP, *([] if scale == PAPER else [f"scale={scale}"])]
    return [
        shlex.join([*start, _override("experiment", names), *([_override(SEED, list(chosen))] if chosen else [])])
        for chosen, names in together.items()
    ]


def _order(item: tuple[str, list[Any]]) -> tuple[bool, bool, str]:
    """Groups come first, and seeds last."""
    key, _ = item
    return key == SEED, not key.endswith(".name"), key
