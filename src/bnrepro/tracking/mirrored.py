"""What W&B gets of a run, when it starts, while it trains and when it ends; and of an evaluation of runs."""

import math
import re
import time
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from bnrepro.config.schema import Config, Logger
from bnrepro.records.run import RECORD_FILES, RunDirectory
from bnrepro.tracking.mirror import End, Mirror, Rows

SUMMARY = ("state", "step", "steps", "seconds", "diverged_at", "experiment", "data_fingerprint", "protocol")
NOT_OF_AN_INSTRUMENT = (  # arrays of probes.npz
    *("steps", "layers", "units", "layer_names", "sites"),
    *("percentiles", "percentiles_inference", "percentiles_before"),
)
LEVELS = ("p15", "p50", "p85")  # what a panel of percentiles is made of


def settings(config: Config, directory: RunDirectory, seed: int) -> dict[str, Any]:
    """The arguments of ``wandb.init``: identity, group, job type, tags, notes and configuration."""
    status = directory.status()
    return {
        "id": status["wandb_id"],
        "name": directory.name,
        "project": config.logger.project,
        "entity": config.logger.entity,
        "group": status["group"],
        "job_type": "tune" if config.data.split == "tune" else "train",
        "tags": [tag for tag in (config.figure, config.variant, config.scale["name"], config.norm.name) if tag],
        "notes": f"{config.experiment}, seed {seed}; record: {directory.path}",
        "config": asdict(config)
        | {"seed": seed, "lr": config.optimizer.lr, "l2": config.optimizer.l2}
        | {"commit": status["commit"], "command": status["command"]},
    }


def rows(history: list[dict[str, Any]], probes: dict[str, Any]) -> Rows:
    """The rows of metrics.csv, and at the probe's steps what was measured in each layer."""
    by_step = {int(row["step"]): {name: value for name, value in row.items() if name != "step"} for row in history}
    for look, step in enumerate(probes.get("steps", [])):
        if values := _instruments(probes, look) | _percentiles(probes, look):
            by_step.setdefault(int(step), {}).update(values)
    return sorted(by_step.items())


def _instruments(probes: dict[str, Any], look: int) -> dict[str, float]:
    """What each instrument measured at a look; sites that it does not measure (nan) are left out."""
    values = {}
    for name in sorted(probes.keys() - set(NOT_OF_AN_INSTRUMENT)):
        by_site = zip(probes["sites"].tolist(), probes[name][look].tolist(), strict=True)
        values |= {f"{name}/{_without_dots(site)}": value for site, value in by_site if not math.isnan(value)}
    return values


def _percentiles(probes: dict[str, Any], look: int) -> dict[str, float]:
    """The percentiles of each layer at a look: of a dense one the mean over units and unit 0, else of all channels."""
    values = {}
    for layer in sorted(set(probes.get("layers", []))):
        units = probes["percentiles"][look][probes["layers"] == layer].astype("float32")
        if "layer_names" in probes:
            shown = {f"nonlinearity_input/{_without_dots(probes['layer_names'][layer])}": units[0]}
        else:
            shown = {f"sigmoid_input/layer{layer}/mean": units.mean(0), f"sigmoid_input/layer{layer}/unit0": units[0]}
        for name, percentiles in shown.items():
            values |= {f"{name}/{level}": float(p) for level, p in zip(LEVELS, percentiles, strict=True)}
    return values


def _without_dots(layer: str) -> str:
    """A layer's name without dots, which W&B takes for nesting."""
    return layer.replace(".", "_")


def end(directory: RunDirectory, exit_code: int) -> End:
    """The end of a process; of a run that has ended also how, with its record and its checkpoint."""
    if not directory.ended():
        return End(exit_code)
    status = directory.status()
    summary = {name: status[name] for name in SUMMARY if name in status}
    summary |= {f"final/{name}": value for name, value in status.get("final", {}).items()}
    record = [directory.path / name for name in RECORD_FILES if (directory.path / name).exists()]
    artifacts = {(f"{directory.name}-record", "record"): record}
    artifacts[f"{directory.name}-checkpoint", "model"] = [directory.checkpoint]
    return End(exit_code, summary, artifacts)


def evaluation(logger: Logger, runs_dir: Path, name: str, files: list[Path], info: dict[str, Any]) -> None:
    """Log an evaluation as a run of job type ``evaluate`` that keeps its files; wait until W&B has them.

    Args:
        logger: mode, project and patience.
        runs_dir: see `Mirror`.
        name: its own, and a tag by which `wandb_source.fetch_evaluation` finds it.
        files: what is kept of it.
        info: what its evaluation.json says.
    """
    name = re.sub(r"[^\w.-]", "-", name)
    config = {key: info[key] for key in ("command", "commit", "runs", "data", "crops", "images")}
    config["scale"] = {"name": info["scale"]}  # as runs have it
    members = sha256(" ".join(info["runs"]).encode()).hexdigest()[:8]  # of the same networks it is the same run
    mirror = Mirror(
        runs_dir,
        logger.mode,
        logger.timeout_seconds,
        id=f"{name}-{members}",
        name=name,
        group=name,
        project=logger.project,
        entity=logger.entity,
        job_type="evaluate",
        tags=[name],
        config=config,
    )
    mirror.close(End(0, artifacts={(name, "evaluation"): files}, copied=True))
    if complaint := mirror.complaint(time.monotonic() + logger.timeout_seconds):
        print(f"{name}: {complaint}; its files are complete")
