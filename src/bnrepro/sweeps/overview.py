"""The runs of some directories as rows, and a table of them."""

import csv
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from bnrepro.errors import UserError
from bnrepro.records.provenance import varied
from bnrepro.records.run import RunDirectory
from bnrepro.training.progress import clock

STYLES = {"finished": "green", "diverged": "magenta", "running": "cyan", "interrupted": "yellow", "failed": "red"}
STATUS_KEYS = ("step", "steps", "seconds", "experiment", "variant", "seed", "group", "diverged_at", "command")


def describe(path: Path) -> dict[str, Any]:
    """Return one run as its record has it; it is ``running`` only while a live process holds its lock.

    ``top1`` is the result or, before there is one, the latest evaluation. ``seconds_left`` assumes the speed so far.
    """
    directory = RunDirectory(path)
    status, state = directory.status(), directory.state()
    run = {"name": path.name, "state": state, **{key: status.get(key) for key in STATUS_KEYS}, "path": str(path)}
    values = status["final"] if "final" in status else _last_row(path / "metrics.csv")
    try:
        run["top1"] = next((float(value) for name, value in values.items() if name.endswith("/top1")), None)
    except (TypeError, ValueError):
        raise UserError(f"{path / 'metrics.csv'} has something in its last row that is no number") from None
    run["varied"], run["seconds_left"] = varied(run["command"] or ""), None
    if state == "running" and run["step"] and run["seconds"]:
        run["seconds_left"] = run["seconds"] * (run["steps"] - run["step"]) / run["step"]
    return run


def _last_row(history: Path) -> dict[str, str]:
    """Return the last whole row of metrics.csv; it is empty if there is none, or while the file is being cut."""
    try:
        text = history.read_text()
    except OSError:
        return {}
    rows = list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
    return {name: value for name, value in rows[-1].items() if value} if rows else {}


def table(runs: list[dict[str, Any]]) -> Table:
    """Return a table with one row per run of `describe`. It has a column ``varied`` if any run has something in it."""
    numbers = ("step", "top-1", "time", "left")
    shown = ["varied"] if any(run["varied"] for run in runs) else []
    drawn = Table(box=None, header_style="bold")
    for column in ("run", *shown, "state", *numbers, "where"):
        drawn.add_column(column, justify="right" if column in numbers else "left", no_wrap=column != "varied")
    for run in runs:
        drawn.add_row(
            escape(run["name"]),
            *(escape(run[column]) for column in shown),
            f"[{STYLES.get(run['state'], 'dim')}]{run['state']}[/]",
            f"{run['step']:,}/{run['steps']:,}" if run["steps"] else "",
            "" if run["top1"] is None else f"{run['top1']:.4f}",
            clock(run["seconds"]),
            clock(run["seconds_left"]),
            escape(str(Path(run["path"]).parent)),
        )
    return drawn
