"""What W&B gets of a run at its start, while it trains and at its end; and of an evaluation of runs."""

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
LEVELS = ("p15", "p50", "p85")  # the percentiles, as the last part of a metric's name


def settings(config: Config, directory: RunDirectory, seed: int) -> dict[str, Any]:
    """Return the arguments of ``wandb.init``: identity, group, job type, tags, notes and configuration."""
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
    """Return the rows of metrics.csv, joined at the probe's steps with what was measured in each layer."""
    by_step = {int(row["step"]): {name: value for name, value in row.items() if name != "step"} for row in history}
    for index, step in enumerate(probes.get("steps", [])):
        if values := _instruments(probes, index) | _percentiles(probes, index):
            by_step.setdefault(int(step), {}).update(values)
    return sorted(by_step.items())


def _instruments(probes: dict[str, Any], index: int) -> dict[str, float]:
    """Return what each instrument measured at one probe, without the sites that it does not measure (nan)."""
    values = {}
    for name in sorted(name for name in probes if "/" in name):
        by_site = zip(probes["sites"].tolist(), probes[name][index].tolist(), strict=True)
        values |= {f"{name}/{_without_dots(site)}": value for site, value in by_site if not math.isnan(value)}
    return values


def _percentiles(probes: dict[str, Any], index: int) -> dict[str, float]:
    """Return the percentiles of each layer at one probe.

    A convolutional layer has those of all its channels; a dense layer has the mean over its units, and unit 0.
    """
    values = {}
    for layer in sorted(set(probes.get("layers", []))):
        units = probes["percentiles"][index][probes["layers"] == layer].astype("float32")
        if "layer_names" in probes:
            by_name = {f"nonlinearity_input/{_without_dots(probes['layer_names'][layer])}": units[0]}
        else:
            by_name = {f"sigmoid_input/layer{layer}/mean": units.mean(0), f"sigmoid_input/layer{layer}/unit0": units[0]}
        for name, percentiles in by_name.items():
            values |= {f"{name}/{level}": float(p) for level, p in zip(LEVELS, percentiles, strict=True)}
    return values


def _without_dots(layer: str) -> str:
    """Replace the dots in a layer's name, which W&B reads as nesting."""
    return layer.replace(".", "_")


def end(directory: RunDirectory, exit_code: int) -> End:
    """Return the end of a process. If its run has ended, this is a success with outcome, record and checkpoint."""
    if not directory.ended():
        return End(exit_code)
    status = directory.status()
    summary = {name: status[name] for name in SUMMARY if name in status}
    summary |= {f"final/{name}": value for name, value in status.get("final", {}).items()}
    record = [directory.path / name for name in RECORD_FILES if (directory.path / name).exists()]
    artifacts = {(f"{directory.name}-record", "record"): record}
    artifacts[f"{directory.name}-checkpoint", "model"] = [directory.checkpoint]
    return End(0, summary, artifacts)


def evaluation(logger: Logger, runs_dir: Path, name: str, files: list[Path], info: dict[str, Any]) -> None:
    """Log an evaluation as a run of job type ``evaluate`` that keeps its files, and wait until W&B has them.

    Args:
        logger: mode, project and timeout.
        runs_dir: see `Mirror`.
        name: the evaluation's name, which is also the tag by which `wandb_source.fetch_evaluation` finds it.
        files: the files to keep.
        info: the contents of its evaluation.json.
    """
    name = re.sub(r"[^\w.-]", "-", name)
    config = {key: info[key] for key in ("command", "commit", "runs", "data", "crops", "images")}
    config["scale"] = {"name": info["scale"]}  # as in a run's configuration
    networks = sha256(" ".join(info["runs"]).encode()).hexdigest()[:8]  # the same networks are the same W&B run
    identity = {"id": f"{name}-{networks}", "name": name, "group": name, "job_type": "evaluate", "tags": [name]}
    place = {"project": logger.project, "entity": logger.entity}
    mirror = Mirror(runs_dir, logger.mode, logger.timeout_seconds, **identity, **place, config=config)
    mirror.close(End(0, artifacts={(name, "evaluation"): files}, copied=True))
    if complaint := mirror.wait_until(time.monotonic() + logger.timeout_seconds):
        print(f"{name}: {complaint}; its files are complete")
