"""What is known of runs from their directories, and a table of it."""

import csv
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from bnrepro.records.differences import differing, of_command
from bnrepro.records.run import RunDirectory
from bnrepro.training.progress import clock

STYLES = {"finished": "green", "diverged": "magenta", "running": "cyan", "interrupted": "yellow", "failed": "red"}
KEPT = ("step", "steps", "seconds", "experiment", "variant", "seed", "group", "diverged_at", "command")


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


def note_varied(runs: list[dict[str, Any]]) -> None:
    """Add to each run as ``varied`` the overrides in which those of its variant differ, by their commands."""
    commands = {run["name"]: (run["variant"], of_command(run["command"] or "")) for run in runs}
    labels = differing(commands)
    for run in runs:
        run["varied"] = labels[run["name"]]


def _latest(history: Path) -> dict[str, str]:
    """The last whole row of a history; without one, or while it is being cut, nothing."""
    try:
        text = history.read_text()
    except OSError:
        return {}
    rows = list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
    return {name: value for name, value in rows[-1].items() if value} if rows else {}


def table(runs: list[dict[str, Any]], where: bool = True) -> Table:
    """Runs as `describe` gives them, one a row: state, step, top-1 accuracy, time, time left, and where they are.

    Where runs have something in ``varied``, it has a column.
    """
    found = Table(box=None, header_style="bold")
    varied = any(run.get("varied") for run in runs)
    columns = ("run", *(["varied"] if varied else []), "state", "step", "top-1", "time", "left")
    left = ("run", "varied", "state", "where")
    for column in (*columns, *(["where"] if where else [])):
        found.add_column(column, justify="left" if column in left else "right", no_wrap=column != "varied")
    for run in runs:
        state = f"[{STYLES.get(run['state'], 'dim')}]{run['state']}[/]"
        step = f"{run['step']:,}/{run['steps']:,}" if run["steps"] else ""
        top1 = "" if run["top1"] is None else f"{run['top1']:.4f}"
        names = (run["name"], escape(run["varied"])) if varied else (run["name"],)
        cells = (*names, state, step, top1, clock(run["seconds"]), clock(run["seconds_left"]))
        found.add_row(*cells, *([str(Path(run["path"]).parent)] if where else []))
    return found
