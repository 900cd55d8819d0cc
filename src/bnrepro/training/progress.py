"""Progress of a run: a bar on a terminal, and a line now and then elsewhere."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

PERIOD = 30.0  # seconds between lines, at least

Rows = list[dict[str, Any]]  # one per network, as metrics.csv has it


class _Rate(ProgressColumn):
    def render(self, task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} steps/s")


def clock(seconds: float | None) -> str:
    """Minutes and seconds, ``1:05``; an empty string for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def line(title: str, rows: Rows, total: int, rate: float) -> str:
    """How far the networks of a stack are, with the mean of their values.

    Args:
        title: Names the runs.
        rows: Each network's latest evaluation.
        total: The number of steps of the run.
        rate: Steps per second.
    """
    step = rows[0]["step"]
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    top1 = next(value for name, value in means.items() if name.endswith("/top1"))
    speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return (
        f"{title}: step {step:,.0f} of {total:,}, top-1 {top1:.4f}, loss {means['train/loss']:.4g}, "
        f"{speed} steps/s, {clock((total - step) / rate)} left"
    )


class StepProgress:
    """A context that shows how many steps are done: by a bar on a terminal, and elsewhere by a line per `PERIOD`.

    Args:
        title: Of what is in progress.
        total: The number of steps.
        start: The number of steps that were done before.
        shown: Whether this process shows anything.
        latest: Gives each network's latest evaluation, which a line shows.
    """

    def __init__(self, title: str, total: int, start: int, shown: bool = True, latest: Callable[[], Rows] = list):
        console = Console(stderr=True)
        self.title, self.total, self.start, self.latest = title, total, start, latest
        self._prints_lines = shown and not console.is_terminal
        self._began = self._last_line = time.monotonic()
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()
        self._progress = Progress(*columns, console=console, disable=not (shown and console.is_terminal))
        self._task = self._progress.add_task(title, total=total, completed=start)

    def tick(self, steps_done: int) -> None:
        """Show how many steps are done. A line is printed only for a new evaluation, and not for the last one."""
        self._progress.update(self._task, completed=steps_done)
        now = time.monotonic()
        if not self._prints_lines or now - self._last_line < PERIOD or steps_done == self.total:
            return
        rows = self.latest()
        if rows and rows[0]["step"] == steps_done:
            rate = (steps_done - self.start) / (now - self._began)
            print(line(self.title, rows, self.total, rate), flush=True)
            self._last_line = now

    def __enter__(self) -> "StepProgress":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
