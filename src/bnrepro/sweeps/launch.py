"""What ``scripts/train.py`` does with a composed configuration: a run, or a sweep's job in its own process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bnrepro.config.overrides import typed_overrides
from bnrepro.errors import UserError
from bnrepro.records.outcome import INTERRUPTED, Outcome, worst
from bnrepro.records.provenance import typed_command
from bnrepro.sweeps.gpus import one_of
from bnrepro.sweeps.stop import deaf, goes_on, sweep_lives


def train(composed: DictConfig) -> None:
    """Train, say how it ended, and exit with the code that says the same; in a sweep go on to the next job."""
    hydra = HydraConfig.get()
    command = typed_command("train", typed_overrides(hydra))
    launcher = hydra.launcher._target_.rsplit(".", 1)[-1]
    if hydra.mode == RunMode.RUN or launcher == "BasicLauncher":
        code = train_here(composed, command)
        if hydra.mode == RunMode.RUN or code == INTERRUPTED:
            sys.exit(code)
        return
    job = partial(_train_in_own_process, composed, Path(hydra.runtime.output_dir), command)
    if "submitit" in hydra.launcher._target_:
        job(_replica_environment(), lambda: True)
        return
    wanted = partial(goes_on, Path(hydra.sweep.dir))
    with deaf():
        if launcher == "GPUQueue":
            gpus, places = list(map(str, hydra.launcher.gpus)), hydra.launcher.runs_per_gpu
            with one_of(gpus, places, Path(composed.runs_dir), wanted) as gpu:
                job({"CUDA_VISIBLE_DEVICES": gpu}, wanted)
        else:
            job({}, wanted)
    if not sweep_lives():  # take no more of its jobs
        os._exit(1)


def train_here(composed: DictConfig, command: str) -> int:
    """Train in this process, print one line a run, and return the exit code."""
    from bnrepro.training import experiment  # here, so that a launcher's worker, which only waits, does not load torch
    from bnrepro.training.validation import typed

    try:
        outcomes = experiment.run(typed(composed), command)
    except UserError as error:
        outcomes = [Outcome("", "refused", str(error))]
    for line in dict.fromkeys(outcome.message for outcome in outcomes):
        print(line, flush=True)
    return worst(outcomes)


def _replica_environment() -> dict[str, str]:
    """Of a job that submitit started as several tasks: what torchrun would have told each."""
    from submitit import JobEnvironment
    from submitit.helpers import TorchDistributedEnvironment

    if JobEnvironment().num_tasks == 1:
        return {}
    place = TorchDistributedEnvironment()
    ranks = {"RANK": place.rank, "WORLD_SIZE": place.world_size, "LOCAL_RANK": place.local_rank}
    meeting = {"MASTER_ADDR": place.master_addr, "MASTER_PORT": place.master_port}
    return {name: str(value) for name, value in (ranks | meeting).items()}


def _train_in_own_process(
    composed: DictConfig, directory: Path, command: str, environment: dict[str, str], wanted: Callable[[], bool]
) -> None:
    """Run ``bnrepro.sweeps.worker`` on the configuration and wait for it, ending it once it is no longer ``wanted``.

    What it prints is in the job's ``log.txt``, and the sweep shows it.
    """
    if not wanted():
        return
    rank = environment.get("RANK", "0")
    suffix = "" if rank == "0" else f".{rank}"
    directory.mkdir(parents=True, exist_ok=True)
    settings = directory / f"job{suffix}.yaml"
    OmegaConf.save(composed, settings)
    with open(directory / f"log{suffix}.txt", "a") as log:
        if "CUDA_VISIBLE_DEVICES" in environment:
            print(f"job {directory.name}: on GPU {environment['CUDA_VISIBLE_DEVICES']}", file=log, flush=True)
        job = subprocess.Popen(
            [sys.executable, "-m", "bnrepro.sweeps.worker", str(settings), command, str(os.getpid())],
            env=os.environ | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while job.poll() is None and wanted():
                time.sleep(0.2)
        finally:  # also where submitit, told of preemption, raises SystemExit here
            if job.poll() is None:
                job.send_signal(signal.SIGUSR1)
                job.wait()
        if job.returncode < 0 and wanted():
            print(f"job {directory.name}: ended by {signal.Signals(-job.returncode).name}", file=log, flush=True)
