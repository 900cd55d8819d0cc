"""A job of a sweep in a process of its own: ``python -m bnrepro.sweeps.worker JOB.YAML COMMAND PARENT_PID``.

The process saves and ends on SIGUSR1, or when its parent ends. Slurm announces preemption to all processes of a job;
the worker ignores that announcement and trains on until its parent, which submitit tells, ends it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from omegaconf import DictConfig, OmegaConf

from bnrepro.config.schema import Config
from bnrepro.errors import UserError, explain
from bnrepro.records.outcome import Outcome, worst
from bnrepro.training.interrupt import follow_parent

PREEMPTION = (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2)


class Worker:
    """The process of one job, as its parent sees it.

    Args:
        directory: of the job. What the process prints is in its ``log.txt``.
        config: of the job's runs.
        command: for the records, as it was typed.
        environment: added to this process's own. The first of several replicas has the rank 0.
        lock: an open, locked file. The lock is held until the process ends.
    """

    def __init__(
        self,
        directory: Path,
        config: Config | DictConfig,
        command: str,
        environment: Mapping[str, str],
        lock: IO | None = None,
    ):
        rank = environment.get("RANK", "0")
        suffix = "" if rank == "0" else f".{rank}"
        directory.mkdir(parents=True, exist_ok=True)
        settings = directory / f"job{suffix}.yaml"
        OmegaConf.save(config, settings)
        self.directory, self.log = directory, directory / f"log{suffix}.txt"
        if "CUDA_VISIBLE_DEVICES" in environment:
            self._note(f"on GPU {environment['CUDA_VISIBLE_DEVICES']}")
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bnrepro.sweeps.worker", str(settings), command, str(os.getpid())],
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()] if lock else [],
                process_group=0,  # so that Ctrl-C in a terminal reaches the sweep alone
            )

    def has_ended(self) -> bool:
        """Whether the process has ended; if a signal ended it, the log says which."""
        code = self.process.poll()
        if code is not None and code < 0:
            self._note(f"ended by {signal.Signals(-code).name}")
        return code is not None

    def _note(self, text: str) -> None:
        with open(self.log, "a") as log:
            print(f"job {self.directory.name}: {text}", file=log)


def end(workers: Iterable[Worker]) -> None:
    """Let the runs of these workers save, and wait until the processes have ended."""
    for worker in workers:
        worker.process.send_signal(signal.SIGUSR1)
    for worker in workers:
        worker.process.wait()


def train_here(composed: DictConfig, command: str) -> int:
    """Train in this process, print one line per run, and return the exit code."""
    from bnrepro.training import experiment  # here, because a process that only waits for a worker needs no torch
    from bnrepro.training.validation import typed

    try:
        outcomes = experiment.run(typed(composed), command)
    except UserError as error:
        outcomes = [Outcome("", "refused", str(error))]
    except OSError as error:
        outcomes = [Outcome("", "refused", explain(error))]
    for line in dict.fromkeys(outcome.message for outcome in outcomes):
        print(line, flush=True)
    return worst(outcomes)


if __name__ == "__main__":
    if "SUBMITIT_EXECUTOR" in os.environ:
        for signum in PREEMPTION:
            signal.signal(signum, signal.SIG_IGN)
    follow_parent(int(sys.argv[3]))
    sys.exit(train_here(OmegaConf.load(sys.argv[1]), sys.argv[2]))
