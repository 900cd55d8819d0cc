"""What is known of runs from their directories, and a table of it."""

import csv
from pathlib import Path
from typing import Any

from rich.table import Table

from bnrepro.progress import clock
from bnrepro.records.run import RunDirectory

STYLES = {"finished": "green", "diverged": "magenta", "running": "cyan", "interrupted": "yellow", "failed": "red"}
KEPT = ("step", "steps", "seconds", "experiment", "seed", "group", "diverged_at")


def describe(path: Path) -> dict[str, Any]:
    """One run as its record has it; ``running`` only while a live process holds its lock.

    ``top1`` is the result or, before there is one, the latest look; ``seconds_left`` is at the rate so far.
    """
    directory = RunDirectory(path)
    status, state = directory.status(), directory.state()
    found = {"name": path.name, "state": state, **{key: status.get(key) for key in KEPT}, "path": str(path)}
    looked = status["final"] if "final" in status else _latest(path / "metrics.csv")
    found["top1"] = next((float(value) for name, value in looked.items() if name.endswith("/top1")), None)
    left = state == "running" and found["step"] and found["seconds"]
    found["seconds_left"] = found["seconds"] * (found["steps"] - found["step"]) / found["step"] if left else None
    return found


def _latest(history: Path) -> dict[str, str]:
    """The last whole row of a history; without one, or while it is being cut, nothing."""
    try:
        text = history.read_text()
    except OSError:
        return {}
    rows = list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
    return {name: value for name, value in rows[-1].items() if value} if rows else {}


def table(runs: list[dict[str, Any]], where: bool = True) -> Table:
    """Runs as `describe` gives them, one a row: state, step, top-1 accuracy, time, time left, and where they are."""
    found = Table(box=None, header_style="bold")
    columns = ("run", "state", "step", "top-1", "time", "left", *(["where"] if where else []))
    for column in columns:
        found.add_column(column, justify="left" if column in ("run", "state", "where") else "right", no_wrap=True)
    for run in runs:
        state = f"[{STYLES.get(run['state'], 'dim')}]{run['state']}[/]"
        step = f"{run['step']:,}/{run['steps']:,}" if run["steps"] else ""
        top1 = "" if run["top1"] is None else f"{run['top1']:.4f}"
        cells = (run["name"], state, step, top1, clock(run["seconds"]), clock(run["seconds_left"]))
        found.add_row(*cells, *([str(Path(run["path"]).parent)] if where else []))
    return found
