"""How a run compares with the committed record of the same run."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.records.files import read_json

CLOCK = "seconds"  # the column that no two runs share
DECIDING = ("processor", "platform", "python", "protocol")  # of status.json, for the bits of a run
PACKAGES = ("torch", "numpy", "pillow", "simplejpeg")
CONDITIONS = ("threads", "device", "compile", "stack")


def _rows(run: Path) -> list[dict[str, str]]:
    path = run / "metrics.csv"
    text = path.read_text().splitlines() if path.exists() else []
    return [{name: value for name, value in row.items() if name != CLOCK} for row in csv.DictReader(text)]


def _probes(run: Path) -> dict[str, np.ndarray]:
    if not (run / "probes.npz").is_file():
        return {}
    with np.load(run / "probes.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def _same(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return mine.keys() == theirs.keys() and all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


def _circumstances(status: dict[str, Any]) -> dict[str, Any]:
    """What the bits of a run depend on; a record keeps what its time knew of."""
    found = {name: status[name] for name in DECIDING if name in status}
    for section, names in (("packages", PACKAGES), ("conditions", CONDITIONS)):
        found |= {name: status[section][name] for name in names if name in status.get(section, {})}
    return found


def reasons(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Why two runs of one configuration may differ, by their status: ``processor A, there B``."""
    here, there = _circumstances(mine), _circumstances(theirs)
    found = [f"{name} {here[name]}, there {there[name]}" for name in here if here[name] != there.get(name, here[name])]
    inexact = [place for place, status in (("here", mine), ("there", theirs)) if not status.get("exact_resume", True)]
    return found + [f"resumed under other conditions {place}" for place in inexact]


def compared(run: Path, committed: Path) -> str:
    """Whether a run is bit for bit its committed record, or how far from it at most, and why; nothing without one."""
    if not (committed / "status.json").is_file():
        return ""
    mine, theirs = _rows(run), _rows(committed)
    if mine == theirs and _same(_probes(run), _probes(committed)):
        return "bit for bit the committed record"
    there = {row["step"]: row for row in theirs}
    both = [(row, there[row["step"]]) for row in mine if row["step"] in there]
    columns = [name for name in (mine[0] if mine else {}) if name == "train/loss" or name.endswith("/top1")]
    gaps = {
        name: max((abs(float(a[name]) - float(b[name])) for a, b in both if name in b), default=0.0)
        for name in sorted(columns, reverse=True)
    }
    far = ", ".join(f"{gap:.2g} in {name}" for name, gap in gaps.items()) or "in how far it came"
    why = "; ".join(reasons(*(read_json(path / "status.json") for path in (run, committed))))
    return f"not bit for bit the committed record: at most {far} ({why or 'the records do not say why'})"
