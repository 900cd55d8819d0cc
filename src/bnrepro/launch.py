"""What ``scripts/train.py`` does with a composed configuration: a run, or a sweep's job in its own process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bnrepro.errors import UserError
from bnrepro.outcome import INTERRUPTED, Outcome, worst
from bnrepro.records.provenance import typed_command
from bnrepro.validation import typed

SWEEP_PID = "BNREPRO_SWEEP_PID"  # the process whose end ends the sweep


def train(composed: DictConfig) -> None:
    """Train, say how it ended, and exit with the code that says the same; in a sweep go on to the next job."""
    hydra = HydraConfig.get()
    command = typed_command("train", hydra.overrides.task)
    if "joblib" in hydra.launcher._target_.lower() and hydra.mode == RunMode.MULTIRUN:
        _train_in_own_process(composed, Path(hydra.runtime.output_dir), command)
        return
    code = train_here(composed, command)
    if hydra.mode == RunMode.RUN or code == INTERRUPTED:
        sys.exit(code)


def train_here(composed: DictConfig, command: str) -> int:
    """Train in this process, print one line a run, and return the exit code."""
    from bnrepro import experiment  # a launcher's worker that only waits does not load torch

    try:
        outcomes = experiment.run(typed(composed), command)
    except UserError as error:
        outcomes = [Outcome("", "refused", str(error))]
    for line in dict.fromkeys(outcome.message for outcome in outcomes):
        print(line, flush=True)
    return worst(outcomes)


def _train_in_own_process(composed: DictConfig, directory: Path, command: str) -> None:
    """Run ``bnrepro.worker`` on the configuration and wait for it, ending it if the sweep has ended."""
    sweep = int(os.environ[SWEEP_PID])

    def sweep_lives() -> bool:  # with one job at a time joblib runs the job in the sweep's own process
        return sweep in (os.getpid(), os.getppid())

    if not sweep_lives():  # the launcher's worker has outlived the sweep: start nothing more
        os._exit(1)
    directory.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(composed, directory / "job.yaml")
    arguments = [str(directory / "job.yaml"), command, str(os.getpid())]
    job = subprocess.Popen([sys.executable, "-m", "bnrepro.worker", *arguments])
    try:
        while job.poll() is None:
            if not sweep_lives():
                job.terminate()
                job.wait()
                os._exit(1)
            time.sleep(0.2)
    except KeyboardInterrupt:
        job.send_signal(signal.SIGINT)
        job.wait()
        raise
