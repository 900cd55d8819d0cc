"""Progress of a run: a bar on a terminal, a line now and then elsewhere, and nothing where a sweep has its table."""

import os
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

SWEEP_TABLE = "BNREPRO_SWEEP_TABLE"  # set in a sweep's processes where the sweep draws a table of its runs
PERIOD = 30.0  # seconds between lines, at least

Rows = list[dict[str, Any]]  # one per network, as metrics.csv has it


class _Rate(ProgressColumn):
    def render(self, task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} steps/s")


def clock(seconds: float | None) -> str:
    """Minutes and seconds, ``1:05``; nothing for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def line(title: str, rows: Rows, total: int, rate: float) -> str:
    """How far networks are that train side by side, with the mean of their values.

    Args:
        title: of the runs.
        rows: each network's latest evaluation.
        total: steps of the run.
        rate: steps per second.
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
    """A context with ``tick(steps_done)``.

    On a terminal it draws a bar on standard error. Elsewhere it prints a line per new evaluation, and at most one per
    `PERIOD`.

    Args:
        title: of what is in progress.
        total: steps.
        start: steps that were done before.
        shown: whether this process is to show anything.
        latest: gives each network's latest evaluation, or none yet.
    """

    def __init__(self, title: str, total: int, start: int, shown: bool = True, latest: Callable[[], Rows] = list):
        console = Console(stderr=True)
        self.title, self.total, self.start, self.latest = title, total, start, latest
        self._prints_lines = shown and not console.is_terminal and SWEEP_TABLE not in os.environ
        self._began = self._last_line = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._progress.add_task(title, total=total, completed=start)

    def tick(self, steps_done: int) -> None:
        """Show how many steps are done."""
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
