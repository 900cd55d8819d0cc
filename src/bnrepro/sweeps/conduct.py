"""A sweep from its first job to its summary; it comes back to runs that were interrupted or that others train."""

import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Protocol

from omegaconf import DictConfig

from bnrepro.config.overrides import typed_overrides
from bnrepro.errors import explain
from bnrepro.records.files import write_json
from bnrepro.records.outcome import INTERRUPTED
from bnrepro.records.run import ENDED
from bnrepro.sweeps.jobs import Job
from bnrepro.sweeps.watch import Watch
from bnrepro.training import experiment
from bnrepro.training.interrupt import begin
from bnrepro.training.progress import SWEEP_TABLE


class Launcher(Protocol):
    """Starts jobs: the pool of this machine, or a cluster's queue."""

    def launch(self, jobs: list[Job], first: int, directory: Path) -> None:
        """Train jobs, numbered from ``first``, and wait for all of them."""


def resuming_command() -> str:
    """The command that goes on with this sweep: the one that began it, without the folder of its logs."""
    script, *words = sys.argv
    kept = [word for word in words if not word.startswith("hydra.sweep.dir=")]
    return shlex.join(["python", os.path.relpath(script), *kept])


def conduct(master: DictConfig, launcher: Launcher, jobs: list[Job]) -> None:
    """Launch all jobs that are not done, and exit non-zero unless every record is then complete.

    Args:
        master: Hydra's configuration of the sweep.
        launcher: starts the jobs.
        jobs: of the sweep.
    """
    number = 0
    try:
        begin()
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _raise_exit)
        directory = Path(master.hydra.sweep.dir)
        _write_plan(directory, master, jobs)
        _announce(jobs)
        with Watch(jobs, directory) as watch:
            if watch.console.is_terminal:
                os.environ[SWEEP_TABLE] = "1"
            for batch in _batches(jobs):
                try:
                    launcher.launch(batch, number, directory)
                except Exception as error:  # of the launcher itself, such as a job that Slurm lost
                    reason = explain(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
                    print(f"error: {reason.splitlines()[0]}", file=sys.stderr, flush=True)
                number += len(batch)
                watch.look()
    except (KeyboardInterrupt, SystemExit) as signalled:
        print(f"interrupted; go on with: {resuming_command()}", flush=True)
        sys.exit(signalled.code if isinstance(signalled, SystemExit) else INTERRUPTED)
    _sum_up(jobs)


def _raise_exit(signum: int, frame: FrameType | None) -> None:
    """SIGTERM raises SystemExit, as Ctrl-C raises KeyboardInterrupt; a second one ends the process at once."""
    signal.signal(signum, signal.SIG_DFL)
    sys.exit(128 + signum)


def _write_plan(directory: Path, master: DictConfig, jobs: list[Job]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    plan = {
        "runs": [name for job in jobs for name in job.names],
        "overrides": typed_overrides(master.hydra),
        "publish": bool(master.publish),
        "command": resuming_command(),
    }
    write_json(directory / "plan.json", plan)


def _announce(jobs: list[Job]) -> None:
    runs = [(job.config, name) for job in jobs for name in job.names]
    done = sum(experiment.finished(config, name) is not None for config, name in runs)
    print(f"sweep: {len(runs)} runs, {done} of them finished before", flush=True)


def _batches(jobs: list[Job]) -> Iterator[list[Job]]:
    """Jobs to launch together: what is not done, once more what was interrupted, and what others trained and let go."""
    if unfinished := [job for job in jobs if not job.is_done()]:
        yield unfinished
    locked = [job for job in jobs if job.is_locked()]
    if interrupted := [job for job in jobs if job not in locked and "interrupted" in job.states().values()]:
        yield interrupted
    for job in locked:
        print(f"{', '.join(job.names)}: waiting for the process that is training it", flush=True)
        while job.is_locked():
            time.sleep(1)
        if {"not begun", "interrupted"}.intersection(job.states().values()):
            yield [job]


def _sum_up(jobs: list[Job]) -> None:
    states = {name: state for job in jobs for name, state in job.states().items()}
    counts = ", ".join(f"{count} {state}" for state, count in sorted(Counter(states.values()).items()))
    print(f"sweep: {counts or 'nothing left to do'}", flush=True)
    missing = [f"{name} ({state})" for name, state in states.items() if state not in ENDED]
    if missing:
        print(f"not complete: {', '.join(missing)}", flush=True)
        print(f"go on with: {resuming_command()}", flush=True)
        sys.exit(1)
