"""Launchers of this machine: a pool of processes, and with ``hydra/launcher=gpu_queue`` one GPU for each process."""

import os
import time
from collections import deque
from pathlib import Path

from omegaconf import DictConfig

from bnrepro.errors import UserError
from bnrepro.records.provenance import typed_command
from bnrepro.sweeps.jobs import Job
from bnrepro.sweeps.worker import Worker, stop_and_wait

PERIOD = 0.1  # seconds between looks at the processes


class Pool:
    """Trains jobs in processes of this machine.

    Args:
        options: of the launcher. ``n_jobs`` jobs train at a time, or one per CPU core if it is -1. With ``gpus``,
            ``runs_per_gpu`` jobs train at a time on each of these GPUs, or on each visible GPU if ``gpus`` is null.
    """

    def __init__(self, options: DictConfig):
        key = "runs_per_gpu" if "gpus" in options else "n_jobs"
        count = options.get(key, 1)
        if key == "n_jobs" and count == -1:
            count = os.cpu_count() or 1
        if not isinstance(count, int) or count < 1:
            raise UserError(f"hydra.launcher.{key}={count} is not a number of runs at a time, such as 2")
        gpus = (options.gpus or visible_gpus()) if "gpus" in options else [None]
        self.gpus = [None if gpu is None else str(gpu) for gpu in gpus] * count  # of the jobs that run at a time

    def launch(self, jobs: list[Job], first: int, directory: Path) -> None:
        """Train jobs, numbered from ``first``, each with a folder in the sweep's directory, and wait for them.

        After an exception, such as the one of Ctrl-C, the runs save before it goes on.
        """
        waiting, workers, free = deque(enumerate(jobs, first)), [], deque(self.gpus)
        try:
            while waiting or workers:
                if waiting and free:
                    number, job = waiting.popleft()
                    command = typed_command("train", list(job.overrides))
                    workers.append(Worker(directory / str(number), job.config, command, free.popleft()))
                time.sleep(PERIOD)
                ended = [worker for worker in workers if worker.has_ended()]
                workers = [worker for worker in workers if worker not in ended]
                free.extend(worker.gpu for worker in ended)
        finally:
            if workers:
                print("stopping: the runs save first; asked again, the sweep stops at once", flush=True)
            stop_and_wait(workers)


def visible_gpus() -> list[str]:
    """Return the GPUs of this machine: those of CUDA_VISIBLE_DEVICES, or all."""
    import torch

    if names := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return [name.strip() for name in names.split(",")]
    gpus = [str(k) for k in range(torch.cuda.device_count())]
    if not gpus:
        raise UserError(
            "hydra/launcher=gpu_queue finds no GPU here; use joblib, or name them: hydra.launcher.gpus=[0,1]"
        )
    return gpus
