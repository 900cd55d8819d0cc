"""Runs as processes side by side, until all have ended or the time is up."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from omegaconf import DictConfig

from bnrepro import experiment
from bnrepro.config import Config
from bnrepro.launch import start_worker
from bnrepro.outcome import EXIT_CODES, INTERRUPTED
from bnrepro.records.provenance import typed_command
from bnrepro.records.run import RunDirectory
from bnrepro.training.interrupt import StopRequest

POLL, TELL = 0.2, 30.0  # seconds between looks at the processes, and between words about them
STOPPED = (INTERRUPTED, -SIGTERM)  # exit codes: saved and stopped; asked to before there was anything to save


@dataclass(frozen=True)
class Job:
    """One run: its name, its configuration as composed and as checked, and the overrides that make it."""

    name: str
    composed: DictConfig
    config: Config
    overrides: list[str]

    @property
    def directory(self) -> RunDirectory:
        """Where its record is, or will be."""
        return RunDirectory(experiment.finished(self.config, self.name) or Path(self.config.runs_dir) / self.name)

    def begin(self, folder: Path) -> subprocess.Popen:
        """Train it in a process of its own, out of reach of a terminal's Ctrl-C: a second signal would not save."""
        command = typed_command("train", self.overrides)
        return start_worker(self.composed, folder / self.name, command, start_new_session=True)


def train(
    jobs: list[Job],
    side_by_side: int,
    left: Callable[[], float],
    grace: float,
    folder: Path,
    tell: Callable[[list[Job], int], None],
) -> tuple[dict[str, int], bool]:
    """Run the jobs until all have ended, the time is up, or a signal comes.

    Args:
        jobs: in the order in which to begin them. What another process holds is begun once it lets go.
        side_by_side: how many at a time.
        left: seconds that are left.
        grace: seconds before the end at which running jobs are asked to save and stop. One that has not by the end
            is killed, and is where its last checkpoint was. In as many seconds before that none is begun: it would
            hardly come to its first step.
        folder: for the workers' configurations.
        tell: called now and then with the jobs that run and the number of those to begin.

    Returns:
        The exit code of each run that was begun, and whether a signal ended it all.
    """
    waiting, codes, asked, told = list(jobs), {}, set(), time.monotonic()
    running: dict[str, tuple[Job, subprocess.Popen]] = {}
    with StopRequest() as stop:
        while True:
            for name, (job, process) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                if process.returncode == EXIT_CODES["locked"]:  # another process was quicker
                    waiting.append(job)
                else:
                    codes[name] = INTERRUPTED if name in asked and process.returncode < 0 else process.returncode
            signalled = stop.signum is not None
            if signalled or left() < grace:
                for name in running.keys() - asked:
                    running[name][1].terminate()
                    asked.add(name)
            if left() < grace / 5:  # what is left is for the records
                for _, process in running.values():
                    process.kill()
            late = signalled or left() < 2 * grace
            while not late and len(running) < side_by_side and (job := _next(waiting)):
                running[job.name] = job, job.begin(folder)
            if not running and (late or not waiting):
                return codes, signalled
            if time.monotonic() - told > TELL:
                tell([job for job, _ in running.values()], len(waiting))
                told = time.monotonic()
            time.sleep(POLL)


def _next(waiting: list[Job]) -> Job | None:
    """Take the first run out of ``waiting`` that no process holds; those that another process has ended go, too."""
    for job in list(waiting):
        directory = job.directory
        if directory.is_held():
            continue
        waiting.remove(job)
        if not directory.ended():
            return job
    return None
