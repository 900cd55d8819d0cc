"""What a sweep shows while it runs: the output of its jobs and, on a terminal, a table of its runs."""

import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bnrepro.errors import UserError
from bnrepro.records.differences import chosen, differing
from bnrepro.records.run import ENDED
from bnrepro.sweeps.jobs import Job
from bnrepro.sweeps.overview import describe, table

PERIOD = 1.0  # seconds between looks
BY_INTEREST = ("running", "failed", "interrupted", "not begun", "diverged", "finished")  # states, if not all runs fit


def rows(jobs: list[Job], most: int, ended: dict[str, dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return at most ``most`` of the planned runs, as `describe` gives them, and how many were left out.

    ``ended`` holds, by name, runs that have ended. It is updated here, so that their files are read only once.
    """
    labels = differing({name: (name.rsplit("-s", 1)[0], chosen(job.overrides)) for job in jobs for name in job.names})
    runs = [ended.get(name) or describe(job.record(name)) for job in jobs for name in job.names]
    runs = [run | {"varied": labels[run["name"]]} for run in runs]
    ended |= {run["name"]: run for run in runs if run["state"] in ENDED}
    shown = sorted(range(len(runs)), key=lambda k: BY_INTEREST.index(runs[k]["state"]))[:most]
    return [runs[k] for k in sorted(shown)], len(runs) - len(shown)


class Watch:
    """A context in which the logs of the jobs are printed as they grow, and the table is kept up to date.

    Args:
        jobs: all planned jobs.
        directory: of the sweep; each job has a folder in it.
        console: where the table is drawn, if it is a terminal; by default standard error.
    """

    def __init__(self, jobs: list[Job], directory: Path, console: Console | None = None):
        self.jobs, self.directory = jobs, directory
        self.console = console or Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False, redirect_stdout=sys.stdout.isatty())
        self._printed: dict[Path, int] = {}  # bytes of each log
        self._ended_runs: dict[str, dict[str, Any]] = {}
        self._looking, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="watch")

    def table(self) -> Table:
        """Return the table as it is now."""
        shown, left_out = rows(self.jobs, max(5, self.console.height - 6), self._ended_runs)
        drawn = table(shown, where=False)
        if left_out:
            drawn.caption = f"and {left_out} more"
        return drawn

    def look(self) -> None:
        """Print the new lines of the logs, and draw the table."""
        with self._looking, suppress(OSError, UserError):  # a run's directory may just be made, or be moved away
            for path in sorted(self.directory.glob("*/log.txt")):
                self._print_new_lines(path)
            if self.console.is_terminal:
                self.live.update(self.table(), refresh=True)

    def _print_new_lines(self, path: Path) -> None:
        content = path.read_bytes()[self._printed.get(path, 0) :]
        lines = content[: content.rfind(b"\n") + 1]
        self._printed[path] = self._printed.get(path, 0) + len(lines)
        if lines:
            print(lines.decode(errors="replace"), end="", flush=True)

    def _follow(self) -> None:
        while not self._over.wait(PERIOD):
            self.look()

    def __enter__(self) -> "Watch":
        if self.console.is_terminal:
            self.live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.look()
        if self.console.is_terminal:
            self.live.stop()
