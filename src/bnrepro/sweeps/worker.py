"""Training in this process, or in one of its own: ``python -m bnrepro.sweeps.worker JOB.YAML COMMAND PARENT_PID``.

A worker process saves and ends on SIGUSR1, and when its parent ends. Slurm announces preemption to every process of a
job. The worker ignores this and trains on until its parent, which submitit informs, ends it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bnrepro.config.overrides import typed_overrides
from bnrepro.config.schema import Config
from bnrepro.errors import UserError, explain
from bnrepro.records.outcome import Outcome, exit_code_of
from bnrepro.records.provenance import typed_command
from bnrepro.training.interrupt import follow_parent

PREEMPTION = (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2)


def train(composed: DictConfig) -> None:
    """Train what ``scripts/train.py`` was asked for: one run, or one job of a sweep that submitit has started.

    After a run, the process exits with the code of its outcome.
    """
    hydra = HydraConfig.get()
    command = typed_command("train", typed_overrides(hydra))
    if hydra.mode == RunMode.RUN:
        sys.exit(train_here(composed, command))
    worker = Worker(Path(hydra.runtime.output_dir), composed, command)
    try:
        while not worker.has_ended():
            time.sleep(0.2)
    finally:  # submitit raises SystemExit in the loop when the job is preempted
        stop_and_wait([worker])


def train_here(composed: DictConfig, command: str) -> int:
    """Train in this process, print one line per run, and return the exit code."""
    from bnrepro.training import experiment  # imported late: a process that waits for a worker does not need torch
    from bnrepro.training.validation import typed

    try:
        outcomes = experiment.run(typed(composed), command)
    except UserError as error:
        outcomes = [Outcome("", "refused", str(error))]
    except OSError as error:
        outcomes = [Outcome("", "refused", explain(error))]
    for message in dict.fromkeys(outcome.message for outcome in outcomes):
        print(message, flush=True)
    return exit_code_of(outcomes)


class Worker:
    """The process of one job, as its parent sees it.

    Args:
        directory: of the job. The output of the process goes to its ``log.txt``.
        config: of the job's runs.
        command: as it was typed, for the records.
        gpu: the only GPU that the process sees, if given.
    """

    def __init__(self, directory: Path, config: Config | DictConfig, command: str, gpu: str | None = None):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.gpu = directory, gpu
        OmegaConf.save(config, directory / "job.yaml")
        words = [str(directory / "job.yaml"), command, str(os.getpid())]
        if gpu is not None:
            self._write_log(f"on GPU {gpu}")
        with open(directory / "log.txt", "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bnrepro.sweeps.worker", *words],
                env=os.environ if gpu is None else os.environ | {"CUDA_VISIBLE_DEVICES": gpu},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C in a terminal then reaches the sweep alone
            )

    def has_ended(self) -> bool:
        """Return whether the process has ended; if a signal ended it, write which one into the log."""
        code = self.process.poll()
        if code is not None and code < 0:
            self._write_log(f"ended by {signal.Signals(-code).name}")
        return code is not None

    def _write_log(self, text: str) -> None:
        with open(self.directory / "log.txt", "a") as log:
            print(f"job {self.directory.name}: {text}", file=log)


def stop_and_wait(workers: Iterable[Worker]) -> None:
    """Ask these workers to save and end, and wait until they have."""
    for worker in workers:
        worker.process.send_signal(signal.SIGUSR1)
    for worker in workers:
        worker.process.wait()


if __name__ == "__main__":
    if "SUBMITIT_EXECUTOR" in os.environ:
        for signum in PREEMPTION:
            signal.signal(signum, signal.SIG_IGN)
    follow_parent(int(sys.argv[3]))
    sys.exit(train_here(OmegaConf.load(sys.argv[1]), sys.argv[2]))
