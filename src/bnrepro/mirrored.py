"""What W&B is told of a run: when it starts, and how it ended."""

from dataclasses import asdict
from typing import Any

from bnrepro.config import Config
from bnrepro.records.mirror import End
from bnrepro.records.run import RECORD_FILES, RunDirectory

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
