"""Records of runs that never were, whose curves and probes are known: any, and those of Figure 2."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bnrepro.analysis.figures.figure2 import SIGMOIDS, VARIANTS
from bnrepro.analysis.figures.layers_plot import LAYERS
from bnrepro.analysis.reading.load import Arms, Record, by_variant, load_records

T = 1000
GRID = range(100, T + 1, 50)
NAMES = list(LAYERS.values())
RATES = {"x0.2": 0.2, "x5": 5.0, "x30": 30.0}


def write_record(path: Path, status: dict, config: dict, curve: Iterable[tuple[int, float]], **probes: Any) -> Record:
    """A record in this folder; the curve is of steps and accuracies."""
    path.mkdir(parents=True)
    (path / "status.json").write_text(json.dumps(status))
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    rows = "".join(f"{step},{accuracy:.6f}\n" for step, accuracy in curve)
    (path / "metrics.csv").write_text("step,val/top1\n" + rows)
    np.savez(path / "probes.npz", **probes)
    return Record(path, status)


def line(step: float, top: float, curve: range = GRID) -> list[float]:
    """Accuracies that rise to ``top`` in a straight line until a step and stay there."""
    return [top * min(1.0, s / step) for s in curve]


def write_run(folder: Path, variant: str, seed: int, top1: list[float], steps: int = T, **changes) -> Record:
    """A record of Figure 2 with these accuracies at every 50 steps from 100; ``changes`` go into its status."""
    status = {"state": "finished", "seed": seed, "variant": variant, "steps": steps, "group": f"{variant}-g"}
    status |= {"final": {"val/top1": top1[-1]}} if "diverged_at" not in changes else {"state": "diverged"}
    rate = next((rate for name, rate in RATES.items() if name in variant.split("_")), 1.0)
    config = {
        "figure": "figure2",
        "optimizer": {"base_lr": 0.001, "lr_multiplier": rate},
        "init": {"name": "he", "std": 0.1},
        "model": {"aux": False},
        "data": {"name": "tiny_imagenet", "classes": 50, "images_per_class": 0, "pixels": 32, "split": "full"},
        "schedule": {"decay_multiplier": 1.0 if steps == T else 6.0},
        "training": {"batch_size": 32},
        "scale": {"name": "laptop"},
    }
    curve = zip(GRID, top1, strict=False)
    values = np.arange(3 * 5 * len(NAMES) * 3, dtype=np.float16).reshape(3, -1, 3)
    probes = {"percentiles": values, "percentiles_before": values} if "bn" in variant else {"percentiles": values}
    probes |= {"layers": np.repeat(np.arange(len(NAMES)), 5), "units": np.tile([-1, 0, 4, 8, 12], len(NAMES))}
    probes |= {"layer_names": np.array(NAMES), "steps": [1, 100, T]}
    return write_record(folder / f"{variant}-s{seed}-g", status | changes, config, curve, **probes)


def arm(folder: Path, variant: str, curves: list[list[float]], **changes) -> list[Record]:
    return [write_run(folder, variant, seed, curve, **changes) for seed, curve in enumerate(curves)]


FIVE = (-0.002, -0.001, 0.0, 0.001, 0.002)  # how seeds differ


def paper_like(folder: Path) -> Arms:
    """Networks that do what the paper says: the target is 0.285; BN-x5 needs a sixth of Inception's steps."""
    for variant, step, top in (
        ("inception", 800, 0.30),
        ("bn_baseline", 400, 0.32),
        ("bn_baseline_beta1", 400, 0.33),
        ("bn_x5_equal", 150, 0.34),
        ("bn_x5_beta1_equal", 150, 0.35),
        ("bn_x30_equal", 200, 0.37),
        ("bn_x30_beta1_equal", 200, 0.38),
        ("bn_x5_sigmoid_equal", 300, 0.31),
    ):
        arm(folder, variant, [line(step, top + d) for d in FIVE])
    arm(folder, "inception_changes_equal", [line(600, 0.31 + d) for d in FIVE])
    arm(folder, "inception_changes_x5_equal", [line(500, 0.25 + d) for d in FIVE])
    quarter = range(100, 251, 50)
    for variant, step, top in (("bn_x5", 150, 0.31), ("bn_x30", 200, 0.33), ("bn_x5_sigmoid", 150, 0.20)):
        arm(folder, variant, [line(step, top + d, quarter) for d in FIVE], steps=250)
    for seed in range(5):
        write_run(
            folder,
            "inception_x5",
            seed,
            [0.05, 0.04] if seed < 3 else [0.02] * 3,
            **({"diverged_at": 170} if seed < 3 else {"stopped": "at chance", "step": 200}),
        )
    for variant in SIGMOIDS:
        arm(folder, variant, [[0.02] * 3] * 5)
    found = load_records(folder)
    return by_variant(found, *(name for name in VARIANTS if name in {r.variant for r in found}))
