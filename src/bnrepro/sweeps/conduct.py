"""A sweep from its first job to its summary."""

import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig

from bnrepro.config.overrides import typed_overrides
from bnrepro.errors import explain
from bnrepro.records.files import write_json
from bnrepro.records.outcome import INTERRUPTED
from bnrepro.records.run import ENDED
from bnrepro.sweeps.jobs import Job
from bnrepro.sweeps.logs import Logs
from bnrepro.training import experiment


def conduct(master: DictConfig, launcher: Any, jobs: list[Job]) -> None:
    """Launch all jobs that are not done, and exit non-zero unless every record is complete in the end.

    Args:
        master: Hydra's configuration of the sweep.
        launcher: its ``launch(jobs, first, directory)`` trains jobs, numbered from ``first``, and waits for them.
        jobs: all jobs of the sweep.
    """
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _raise_exit)
        directory = Path(master.hydra.sweep.dir)
        _write_plan(directory, master, jobs)
        done = sum(experiment.complete_record(job.config, name) is not None for job in jobs for name in job.names)
        print(f"sweep: {sum(len(job.names) for job in jobs)} runs, {done} of them finished before", flush=True)
        with Logs(directory) as logs:
            number = 0
            for batch in _batches(jobs):
                try:
                    launcher.launch(batch, number, directory)
                except Exception as error:  # a fault of the launcher, such as a job that Slurm lost
                    reason = explain(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
                    print(f"error: {reason.splitlines()[0]}", file=sys.stderr, flush=True)
                number += len(batch)
                logs.print_new_lines()
    except (KeyboardInterrupt, SystemExit) as signalled:
        print(f"interrupted; go on with: {resuming_command()}", flush=True)
        sys.exit(signalled.code if isinstance(signalled, SystemExit) else INTERRUPTED)
    _sum_up(jobs)


def resuming_command() -> str:
    """Return the command that goes on with this sweep: the one that began it, without the folder of its logs."""
    script, *words = sys.argv
    kept = [word for word in words if not word.startswith("hydra.sweep.dir=")]
    return shlex.join(["python", os.path.relpath(script), *kept])


def _raise_exit(signum: int, frame: FrameType | None) -> None:
    """Turn SIGTERM into SystemExit. A second SIGTERM ends the process at once."""
    signal.signal(signum, signal.SIG_DFL)
    sys.exit(128 + signum)


def _write_plan(directory: Path, master: DictConfig, jobs: list[Job]) -> None:
    """Write what scripts/status.py reads of a sweep."""
    directory.mkdir(parents=True, exist_ok=True)
    plan = {
        "runs": [name for job in jobs for name in job.names],
        "overrides": typed_overrides(master.hydra),
        "publish": bool(master.publish),
        "command": resuming_command(),
    }
    write_json(directory / "plan.json", plan)


def _batches(jobs: list[Job]) -> Iterator[list[Job]]:
    """Yield jobs to launch together: first all unfinished ones, then once more those that were interrupted.

    Jobs that another process was training come last, each once that process has let go of it.
    """
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
    print(f"sweep: {counts}", flush=True)
    missing = [f"{name} ({state})" for name, state in states.items() if state not in ENDED]
    if missing:
        print(f"not complete: {', '.join(missing)}", flush=True)
        print(f"go on with: {resuming_command()}", flush=True)
        sys.exit(1)
