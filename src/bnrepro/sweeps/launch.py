"""What ``scripts/train.py`` does with a composed configuration: one run, or a job of a sweep that submitit starts."""

import sys
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from bnrepro.config.overrides import typed_overrides
from bnrepro.records.provenance import typed_command
from bnrepro.sweeps.worker import Worker, end, train_here


def train(composed: DictConfig) -> None:
    """Train, and say how it ended; a run also exits with the code that says the same."""
    hydra = HydraConfig.get()
    command = typed_command("train", typed_overrides(hydra))
    if hydra.mode == RunMode.RUN:
        sys.exit(train_here(composed, command))
    worker = Worker(Path(hydra.runtime.output_dir), composed, command, _replica_environment())
    try:
        while not worker.has_ended():
            time.sleep(0.2)
    finally:  # submitit raises SystemExit in the loop when it is told of preemption
        end([worker])


def _replica_environment() -> dict[str, str]:
    """What torchrun would tell each replica of a run, for a job that submitit started as several tasks."""
    from submitit import JobEnvironment
    from submitit.helpers import TorchDistributedEnvironment

    if JobEnvironment().num_tasks == 1:
        return {}
    task = TorchDistributedEnvironment()
    ranks = {"RANK": task.rank, "WORLD_SIZE": task.world_size, "LOCAL_RANK": task.local_rank}
    address = {"MASTER_ADDR": task.master_addr, "MASTER_PORT": task.master_port}
    return {name: str(value) for name, value in (ranks | address).items()}
