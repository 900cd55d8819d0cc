"""A sweep from its first job to its summary: what others held or what was interrupted is come back to."""

import os
import shlex
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from hydra.core.utils import JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from omegaconf import DictConfig

from bnrepro.config.overrides import typed_overrides
from bnrepro.errors import UserError
from bnrepro.records.files import write_json
from bnrepro.records.outcome import INTERRUPTED
from bnrepro.records.run import ENDED
from bnrepro.sweeps.jobs import Job
from bnrepro.sweeps.stop import Stop
from bnrepro.sweeps.watch import Watch
from bnrepro.training import experiment
from bnrepro.training.interrupt import begin
from bnrepro.training.progress import SWEEP_PID, SWEEP_TABLE


class _Launches:
    """Hydra's launcher, whose faults are one line each; the number of its next job; and how it is stopped."""

    def __init__(self, launcher: Launcher, stop: Stop):
        self.launcher, self.stop, self.next, self.failed = launcher, stop, 0, False
        self.meanwhile = stop.telling if isinstance(launcher, JoblibLauncher) else nullcontext

    def launch(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        first, self.next = self.next, self.next + len(jobs)
        try:
            with self.meanwhile([list(job.overrides) for job in jobs]) as overrides:
                returned = self.launcher.launch(overrides, initial_job_idx=first)
            faults = [one._return_value for one in returned if one.status == JobStatus.FAILED]
        except (HydraException, UserError):
            raise
        except Exception as error:  # of the launcher itself: a worker that was killed, a job that Slurm ended
            faults = [error]
        self.stop.act()
        for fault in faults:
            self.failed = True
            reason = next(iter(str(fault).splitlines()), "")
            print(f"error: {type(fault).__name__}: {reason}", file=sys.stderr, flush=True)


def go_on() -> str:
    """The one command that goes on with this sweep: the one that began it; where it logged need not be said."""
    script, *words = sys.argv
    kept = [word for word in words if not word.startswith("hydra.sweep.dir=")]
    return shlex.join(["python", os.path.relpath(script), *kept])


def conduct(master: DictConfig, launcher: Launcher, jobs: list[Job]) -> None:
    """Launch what is not done, and exit non-zero unless every record is then complete.

    Args:
        master: Hydra's configuration of the sweep.
        launcher: that was chosen.
        jobs: of the sweep.
    """
    begin()
    os.environ[SWEEP_PID] = str(os.getpid())
    directory = Path(master.hydra.sweep.dir)
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with Stop(directory) as stop, Watch(jobs, directory) as watch:
            if watch.console.is_terminal:
                os.environ[SWEEP_TABLE] = "1"
            launches = _Launches(launcher, stop)
            _write_plan(directory, master, jobs)
            launches.launch([job for job in jobs if not job.is_done()])
            _come_back(jobs, launches)
    except (KeyboardInterrupt, SystemExit) as end:
        print(f"interrupted; go on with: {go_on()}", flush=True)
        sys.exit(end.code if isinstance(end, SystemExit) else INTERRUPTED)
    _sum_up(jobs, launches.failed)


def _write_plan(directory: Path, master: DictConfig, jobs: list[Job]) -> None:
    told = {
        "runs": [name for job in jobs for name in job.names],
        "overrides": typed_overrides(master.hydra),
        "publish": bool(master.publish),
        "command": go_on(),
    }
    write_json(directory / "plan.json", told)


def _come_back(jobs: list[Job], launches: _Launches) -> None:
    """Launch once more what was interrupted, and what another process held once that lets go of it."""
    held = [job for job in jobs if job.is_held()]
    launches.launch([job for job in jobs if job not in held and "interrupted" in job.states().values()])
    for job in held:
        print(f"{', '.join(job.names)}: waiting for the process that is training it", flush=True)
        while job.is_held():
            time.sleep(1)
        if {"not begun", "interrupted"}.intersection(job.states().values()):
            launches.launch([job])


def _sum_up(jobs: list[Job], failed: bool) -> None:
    states = {name: state for job in jobs for name, state in job.states().items()}
    counts = ", ".join(f"{count} {which}" for which, count in sorted(Counter(states.values()).items()))
    print(f"sweep: {counts or 'nothing left to do'}", flush=True)
    missing = [f"{name} ({which})" for name, which in states.items() if which not in ENDED]
    if missing:
        print(f"not complete: {', '.join(missing)}", flush=True)
    if missing or failed:
        print(f"go on with: {go_on()}", flush=True)
        sys.exit(1)


def announce(jobs: list[Job]) -> None:
    """Say how much there is, and how much of it is done."""
    names = [(job, name) for job in jobs for name in job.names]
    done = sum(experiment.finished(job.config, name) is not None for job, name in names)
    print(f"sweep: {len(names)} runs, {done} of them finished before", flush=True)
