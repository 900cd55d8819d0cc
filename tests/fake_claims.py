"""Claims of two arms whose runs never were, with rules and records that a test chooses."""

from pathlib import Path

import yaml

from bnrepro.analysis.claims.arms import Records
from bnrepro.analysis.claims.definitions import load_claims
from bnrepro.analysis.claims.rules import Experiment, Part
from bnrepro.analysis.reading.load import Record
from fake_records import write_record

EXPERIMENT = "known"
GAIN = {  # a part that compares the two arms
    "what": "gain",
    "experiment": EXPERIMENT,
    "arms": {"bn": {}, "plain": {"norm.name": "none"}},
    "measure": {"final": "val/top1"},
    "compare": "bn - plain",
    "is": "difference",
    "unit": "points",
    "above": 0,
}


def fake(
    folder: Path, name: str, seed: int, curve: list[tuple[int, float]], norm: str = "bn", lr: float = 1.0, **more
) -> Record:
    """A record of an MNIST run; ``more`` goes into its status, ``probes`` into its arrays."""
    probes = more.pop("probes", {})
    final = {"val/top1": curve[-1][1]} if curve else {}
    status = {"state": "finished", "seed": seed, "variant": "v", "steps": 100, "group": "g", "final": final}
    status |= {"seconds": 100.0, "stacked_with": 5} | more
    data = {"name": "mnist", "classes": 0, "images_per_class": 0, "pixels": 28, "split": "full"}
    config = {"norm": {"name": norm}, "optimizer": {"base_lr": lr}, "data": data}
    return write_record(folder / f"{name}-s{seed}", status, config, curve, **probes)


def two_arms(folder: Path, plain: list[float], bn: list[float]) -> Records:
    """Records of two arms whose runs end with these accuracies, by seed."""
    runs = folder / EXPERIMENT / "runs"
    for norm, values in (("none", plain), ("bn", bn)):
        for seed, top1 in enumerate(values):
            fake(runs, norm, seed, [(0, 0.0), (100, top1)], norm)
    return Records(folder, {EXPERIMENT: Experiment(EXPERIMENT, EXPERIMENT, {"norm.name": "bn"})})


RATIO = {"compare": "bn / plain", "is": "ratio", "unit": "times"}  # changes that make it a ratio
USUAL = {"place": "here", "claim": "c", "measurement": "m", "literature": {"stance": "none", "says": ""}}
USUAL |= {"test": {"fair": "known answers"}}


def definitions(folder: Path, first: dict) -> Path:
    """A folder of definitions in which C01 is this, and C02 settled by a text."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, own in (("C01", first), ("C02", {"text": "fails"})):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(USUAL | own))
    return folder


def part_of(folder: Path, **changes) -> Part:
    """`GAIN` with some of its keys changed, or gone where they are None, read back from a definition."""
    part = {key: value for key, value in (GAIN | changes).items() if value is not None}
    return load_claims(definitions(folder, {"seeds": 3, "parts": [part]}))["C01"].parts[0]
