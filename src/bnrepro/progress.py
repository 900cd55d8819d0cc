"""Progress, rate and time left of a run on a terminal; nothing where there is none, or where a sweep has its table."""

import os
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

SWEEP_PID = "BNREPRO_SWEEP_PID"  # set in a sweep's processes: the one whose end ends the sweep


class _Rate(ProgressColumn):
    def render(self, task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} steps/s")


class StepProgress:
    """A context with ``tick(steps_done)``; draws on standard error, and only if that is a terminal."""

    def __init__(self, title: str, total: int, start: int, shown: bool = True):
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and console.is_terminal and SWEEP_PID not in os.environ),
        )
        self._task = self._progress.add_task(title, total=total, completed=start)

    def tick(self, steps_done: int) -> None:
        """Show how many steps are done."""
        self._progress.update(self._task, completed=steps_done)

    def __enter__(self) -> "StepProgress":
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.__exit__(kind, value, trace)
