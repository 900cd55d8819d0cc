"""What is seen of a sweep while it runs: what its jobs print, and on a terminal a table of its runs."""

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
FIRST = ("running", "failed", "interrupted", "not begun", "diverged", "finished")  # to be shown where not all can be


def rows(jobs: list[Job], most: int, ended: dict[str, dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The planned runs as `overview.describe` gives them, at most so many, and how many were left out.

    Args:
        jobs: that are planned.
        most: runs to show.
        ended: what is known already of runs that have ended; kept up to date here.
    """
    labels = differing({name: (name.rsplit("-s", 1)[0], chosen(job.overrides)) for job in jobs for name in job.names})
    found = [ended.get(name) or describe(job.place(name)) for job in jobs for name in job.names]
    found = [run | {"varied": labels[run["name"]]} for run in found]
    ended |= {run["name"]: run for run in found if run["state"] in ENDED}
    first = sorted(range(len(found)), key=lambda k: FIRST.index(found[k]["state"]))[:most]
    return [found[k] for k in sorted(first)], len(found) - len(first)


class Watch:
    """A context in which the jobs' logs are printed as they grow, and the table is kept up to date.

    Args:
        jobs: those planned so far; may grow.
        directory: of the sweep, with a folder a job.
        console: where the table is drawn, if it is a terminal; by default standard error.
    """

    def __init__(self, jobs: list[Job], directory: Path, console: Console | None = None):
        self.jobs, self.directory = jobs, directory
        self.console = console or Console(stderr=True)
        own = sys.stdout.isatty()
        self.live = Live(console=self.console, auto_refresh=False, redirect_stdout=own, transient=False)
        self._read: dict[Path, int] = {}
        self._known: dict[str, dict[str, Any]] = {}  # runs that have ended
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="watch")

    def table(self) -> Table:
        """The table as it is now."""
        shown, left_out = rows(self.jobs, max(5, self.console.height - 6), self._known)
        found = table(shown, where=False)
        if left_out:
            found.caption = f"and {left_out} more"
        return found

    def look(self) -> None:
        """Print what the logs have more, and draw the table."""
        for path in sorted(self.directory.glob("*/log.txt")):
            with open(path, "rb") as log:
                log.seek(self._read.get(path, 0))
                text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            if whole:
                print(whole.decode(errors="replace"), end="", flush=True)
        if self.console.is_terminal:
            self.live.update(self.table(), refresh=True)

    def _follow(self) -> None:
        while not self._ended.wait(PERIOD):
            with suppress(OSError, UserError):  # a run's directory that is just being made, or moved away
                self.look()

    def __enter__(self) -> "Watch":
        if self.console.is_terminal:
            self.live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(OSError, UserError):
            self.look()
        if self.console.is_terminal:
            self.live.stop()
