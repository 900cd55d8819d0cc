"""How runs differ: in overrides that their names do not show, and in numbers from their committed records."""

import csv
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.config.schema import Config, walk
from bnrepro.records.files import read_json

Choices = dict[str, str]  # typed values by key

IDENTITY_FREE = {key for key, field, _ in walk(Config()) if not field.metadata.get("identity", True)}
LEFT_OUT = IDENTITY_FREE - {"experiment", "scale"} | {"hydra", "sweep"}
DECIDING = {  # the entries of status.json that decide the bits of a run, by section; older records have fewer
    "": ("processor", "platform", "python", "protocol"),
    "packages": ("torch", "numpy", "pillow", "simplejpeg"),
    "conditions": ("threads", "device", "compile", "stack"),
}


def chosen(overrides: Iterable[str]) -> Choices:
    """Return the overrides that say what a run is. The seed is left out because it is in the run's name."""
    pairs = dict(word.lstrip("+").split("=", 1) for word in overrides if "=" in word)
    return {key: v for key, v in pairs.items() if not LEFT_OUT.intersection((key, key.replace("/", ".").split(".")[0]))}


def of_command(command: str) -> Choices:
    """Return `chosen` of the command that a record holds."""
    return chosen(shlex.split(command)[2:])


def as_typed(choices: Iterable[tuple[str, str]]) -> str:
    """Return keys and values as they are typed."""
    return " ".join(f"{key}={value}" for key, value in choices)


def differing(runs: Mapping[str, tuple[str, Choices]]) -> dict[str, str]:
    """Return, by name of a run, the overrides that not all runs of its variant have, as they are typed.

    ``runs`` holds, by name, the variant of a run and its `chosen` overrides.
    """
    shared: dict[str, set[tuple[str, str]]] = {}
    for variant, choices in runs.values():
        shared[variant] = shared.get(variant, set(choices.items())) & choices.items()
    return {
        name: as_typed(item for item in choices.items() if item not in shared[variant])
        for name, (variant, choices) in runs.items()
    }


def compared(run: Path, committed: Path) -> str:
    """Say whether a run is bit for bit its committed record or, if not, how far from it and why.

    Without a committed record the text is empty.
    """
    if not (committed / "status.json").is_file():
        return ""
    rows, rows_there = _rows(run), _rows(committed)
    if rows == rows_there and _probes(run) == _probes(committed):
        return "bit for bit the committed record"
    committed_rows = {row["step"]: row for row in rows_there}
    pairs = [(row, committed_rows[row["step"]]) for row in rows if row["step"] in committed_rows]
    columns = [name for name in (rows[0] if rows else {}) if name == "train/loss" or name.endswith("/top1")]
    distances = [
        (name, max((abs(float(a[name]) - float(b[name])) for a, b in pairs if name in b), default=0.0))
        for name in sorted(columns, reverse=True)
    ]
    distance = ", ".join(f"{gap:.2g} in {name}" for name, gap in distances) or "in how far it came"
    reasons = "; ".join(_reasons(read_json(run / "status.json"), read_json(committed / "status.json")))
    return f"not bit for bit the committed record: at most {distance} ({reasons or 'the records do not say why'})"


def _rows(run: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without their times, which differ between any two runs."""
    path = run / "metrics.csv"
    lines = path.read_text().splitlines() if path.exists() else []
    return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(lines)]


def _probes(run: Path) -> dict[str, bytes]:
    if not (run / "probes.npz").is_file():
        return {}
    with np.load(run / "probes.npz", allow_pickle=False) as arrays:
        return {name: array.tobytes() for name, array in arrays.items()}


def _reasons(status: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    """Return why two runs of one configuration may differ, by their status: ``processor A, there B``."""
    reasons = []
    for section, names in DECIDING.items():
        mine, theirs = (part.get(section, {}) if section else part for part in (status, committed))
        both = [name for name in names if name in mine and name in theirs]
        reasons += [f"{name} {mine[name]}, there {theirs[name]}" for name in both if mine[name] != theirs[name]]
    for place, record in (("here", status), ("there", committed)):
        if not record.get("exact_resume", True):
            reasons.append(f"resumed under other conditions {place}")
    return reasons
