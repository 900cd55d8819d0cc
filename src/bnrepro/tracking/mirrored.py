"""What W&B is told of a run, when it starts and how it ended, and of an evaluation of runs."""

import re
import time
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from bnrepro.config.schema import Config, Logger
from bnrepro.records.run import RECORD_FILES, RunDirectory
from bnrepro.tracking.mirror import End, Mirror
from bnrepro.tracking.wandb_setup import resolve_mode

TOLD = ("state", "step", "steps", "seconds", "diverged_at", "experiment", "data_fingerprint", "protocol")


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


def end(directory: RunDirectory, code: int) -> End:
    """The end of a process with this exit code; of a run that has ended also how, its record and its checkpoint."""
    if not directory.ended():
        return End(code)
    status = directory.status()
    told = {name: status[name] for name in TOLD if name in status}
    final = {f"final/{name}": value for name, value in status.get("final", {}).items()}
    record = [directory.path / name for name in RECORD_FILES if (directory.path / name).exists()]
    artifacts = {(f"{directory.name}-record", "record"): record}
    artifacts[f"{directory.name}-checkpoint", "model"] = [directory.checkpoint]
    return End(code, told | final, artifacts)


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
    member = sha256(" ".join(info["runs"]).encode()).hexdigest()[:8]  # asked again, the same networks are the same run
    told = {"id": f"{name}-{member}", "name": name, "group": name, "job_type": "evaluate", "tags": [name]}
    where = {"project": logger.project, "entity": logger.entity}
    follower = Mirror(runs_dir, resolve_mode(logger.mode), logger.timeout_seconds, config=config, **told, **where)
    follower.close(End(0, artifacts={(name, "evaluation"): files}, copied=True))
    if not follower.wait(time.monotonic() + logger.timeout_seconds):
        print(f"{name}: W&B has not taken it; its files are complete")
    elif follower.error:
        print(f"{name}: not in W&B ({follower.error}); its files are complete")
