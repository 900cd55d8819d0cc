"""A local queue for GPUs: which there are, and which of them a job has while it runs."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from bnrepro.errors import UserError


def visible() -> list[str]:
    """The GPUs of this machine: those of CUDA_VISIBLE_DEVICES, or all.

    Raises:
        UserError: there is none.
    """
    import torch

    if named := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return [name.strip() for name in named.split(",")]
    found = [str(k) for k in range(torch.cuda.device_count())]
    if not found:
        raise UserError(
            "hydra/launcher=gpu_queue finds no GPU here; use joblib, or name them: hydra.launcher.gpus=[0,1]"
        )
    return found


@contextmanager
def one_of(gpus: list[str], runs_per_gpu: int, runs_dir: Path, wanted: Callable[[], bool]) -> Iterator[str]:
    """Hold a place on one of the GPUs, the least used one first, and give its name.

    While all are taken it waits, until it is no longer ``wanted`` and gives no name. Places are locks in the runs
    directory, so sweeps that share it share the GPUs, and a dead process holds none.
    """
    folder = runs_dir / ".gpus" / socket.gethostname()
    folder.mkdir(parents=True, exist_ok=True)
    places = [
        (filelock.FileLock(folder / f"{gpu.replace('/', '_')}.{k}.lock"), gpu)
        for k in range(runs_per_gpu)
        for gpu in gpus
    ]
    while wanted():
        for lock, gpu in places:
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                continue
            try:
                yield gpu
            finally:
                lock.release()
            return
        time.sleep(0.2)
    yield ""
