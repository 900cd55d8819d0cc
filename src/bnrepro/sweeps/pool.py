"""Launchers of this machine: a pool of processes, and with ``hydra/launcher=gpu_queue`` one GPU for each process."""

import fcntl
import os
import socket
import time
from collections import deque
from pathlib import Path

from omegaconf import DictConfig

from bnrepro.errors import UserError
from bnrepro.records.provenance import typed_command
from bnrepro.sweeps.jobs import Job
from bnrepro.sweeps.worker import Worker, end

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
        gpus = (options.gpus or visible_gpus()) if "gpus" in options else []
        self.gpus = [str(gpu) for gpu in gpus] * count  # in this order, the least used GPU comes first
        self.n_jobs = len(self.gpus) or count

    def launch(self, jobs: list[Job], first: int, directory: Path) -> None:
        """Train jobs, numbered from ``first``, each with a folder in the sweep's directory, and wait for them.

        After an exception, such as the one of Ctrl-C, the runs save before it goes on.
        """
        waiting, workers = deque(enumerate(jobs, first)), []
        try:
            while waiting or workers:
                if waiting and len(workers) < self.n_jobs:
                    number, job = waiting[0]
                    if worker := self._start(job, directory / str(number)):
                        workers.append(worker)
                        waiting.popleft()
                time.sleep(PERIOD)
                workers = [worker for worker in workers if not worker.has_ended()]
        finally:
            if workers:
                print("stopping: the runs save first; asked again, the sweep stops at once", flush=True)
            end(workers)

    def _start(self, job: Job, directory: Path) -> Worker | None:
        """Start a job, or return None while all GPUs are taken.

        Locks in the runs directory say which GPUs are taken, so sweeps that share the directory share the GPUs.
        """
        command = typed_command("train", list(job.overrides))
        if not self.gpus:
            return Worker(directory, job.config, command)
        folder = Path(job.config.runs_dir) / ".gpus" / socket.gethostname()
        folder.mkdir(parents=True, exist_ok=True)
        for k, gpu in enumerate(self.gpus):
            place = self.gpus[:k].count(gpu)  # 0, 1, ... among the runs of this GPU
            with open(folder / f"{gpu.replace('/', '_')}.{place}.lock", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                return Worker(directory, job.config, command, gpu, lock)
        return None


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
