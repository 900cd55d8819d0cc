"""In what runs differ: overrides that their names do not show, and a run's numbers from its committed record's."""

import csv
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.config.schema import Config
from bnrepro.records.files import read_json

Choices = dict[str, str]  # key -> value, as typed


def _identity_free(section: Any, prefix: str = "") -> set[str]:
    """The keys that do not change what a run measures."""
    keys = set()
    for field in fields(section):
        value = getattr(section, field.name)
        if not field.metadata.get("identity", True):
            keys.add(prefix + field.name)
        elif is_dataclass(value):
            keys |= _identity_free(value, f"{prefix}{field.name}.")
    return keys


LEFT_OUT = _identity_free(Config()) - {"experiment", "scale"} | {"hydra", "sweep"}


def chosen(overrides: Iterable[str]) -> Choices:
    """Those of some overrides that say what a run is; its seed is in its name."""
    pairs = dict(word.lstrip("+").split("=", 1) for word in overrides if "=" in word)
    return {key: v for key, v in pairs.items() if not LEFT_OUT.intersection((key, key.replace("/", ".").split(".")[0]))}


def of_command(command: str) -> Choices:
    """`chosen` of the command that a record keeps."""
    return chosen(shlex.split(command)[2:])


def as_typed(choices: Iterable[tuple[str, str]]) -> str:
    """Keys with their values, as they are typed."""
    return " ".join(f"{key}={value}" for key, value in choices)


def differing(runs: Mapping[str, tuple[str, Choices]]) -> dict[str, str]:
    """By name of a run, the overrides that not all runs of its variant have, as they are typed.

    Args:
        runs: by name, the variant and what `chosen` gave.
    """
    shared: dict[str, set[tuple[str, str]]] = {}
    for variant, choices in runs.values():
        shared[variant] = shared.get(variant, set(choices.items())) & choices.items()
    return {
        name: as_typed(item for item in choices.items() if item not in shared[variant])
        for name, (variant, choices) in runs.items()
    }


DECIDING = {  # of status.json, what the bits of a run depend on; a record keeps what its time knew of
    "": ("processor", "platform", "python", "protocol"),
    "packages": ("torch", "numpy", "pillow", "simplejpeg"),
    "conditions": ("threads", "device", "compile", "stack"),
}


def _circumstances(status: dict[str, Any]) -> dict[str, Any]:
    sections = {section: status.get(section, {}) if section else status for section in DECIDING}
    return {name: sections[s][name] for s, names in DECIDING.items() for name in names if name in sections[s]}


def _reasons(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Why two runs of one configuration may differ, by their status: ``processor A, there B``."""
    here, there = _circumstances(mine), _circumstances(theirs)
    reasons = [
        f"{name} {value}, there {there[name]}" for name, value in here.items() if there.get(name, value) != value
    ]
    for place, status in (("here", mine), ("there", theirs)):
        if not status.get("exact_resume", True):
            reasons.append(f"resumed under other conditions {place}")
    return reasons


def _rows(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without the column that no two runs share."""
    path = run / "metrics.csv"
    lines = path.read_text().splitlines() if path.exists() else []
    return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(lines)]


def _probes(run: Path) -> dict[str, bytes]:
    if not (run / "probes.npz").is_file():
        return {}
    with np.load(run / "probes.npz", allow_pickle=False) as arrays:
        return {name: array.tobytes() for name, array in arrays.items()}


def compared(run: Path, committed: Path) -> str:
    """Whether a run is bit for bit its committed record, or how far from it at most, and why; nothing without one."""
    if not (committed / "status.json").is_file():
        return ""
    mine, theirs = _rows(run), _rows(committed)
    if mine == theirs and _probes(run) == _probes(committed):
        return "bit for bit the committed record"
    there = {row["step"]: row for row in theirs}
    pairs = [(row, there[row["step"]]) for row in mine if row["step"] in there]
    columns = [name for name in (mine[0] if mine else {}) if name == "train/loss" or name.endswith("/top1")]
    distances = [
        (name, max((abs(float(a[name]) - float(b[name])) for a, b in pairs if name in b), default=0.0))
        for name in sorted(columns, reverse=True)
    ]
    distance = ", ".join(f"{gap:.2g} in {name}" for name, gap in distances) or "in how far it came"
    reasons = _reasons(read_json(run / "status.json"), read_json(committed / "status.json"))
    why = "; ".join(reasons) or "the records do not say why"
    return f"not bit for bit the committed record: at most {distance} ({why})"
