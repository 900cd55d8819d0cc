"""``scripts/status.py``: the runs in the runs directory and under results, and what the last sweep lacks."""

import argparse
import csv
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bnrepro.cli.mistakes import script
from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from bnrepro.records.named import runs_folder
from bnrepro.records.provenance import varied
from bnrepro.records.run import ENDED, RunDirectory
from bnrepro.training.progress import clock

Run = dict[str, Any]  # as `describe` gives it
STYLES = {"finished": "green", "diverged": "magenta", "running": "cyan", "interrupted": "yellow", "failed": "red"}
STATUS_KEYS = ("step", "steps", "seconds", "experiment", "variant", "seed", "group", "diverged_at", "command")


def describe(path: Path) -> Run:
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


def table(runs: list[Run]) -> Table:
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


def all_runs(runs_dir: Path, results_dir: Path) -> tuple[list[Run], list[str]]:
    """Return every run in the runs directory and every other committed one, and a message for each unreadable one.

    A link is a second name of a record, so it is no run of its own: ``links`` of a run are the links to it.
    """
    for folder in (runs_dir, results_dir):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is not a folder")
    here = [path.parent for path in sorted(runs_dir.glob("[!.]*/status.json"))]
    names = {path.name for path in here}
    committed = [path.parent for path in sorted(results_dir.glob("**/runs/[!.]*/status.json"))]
    places: dict[Path, list[Path]] = {}  # of each record
    for path in sorted([*here, *(path for path in committed if path.name not in names)], key=Path.is_symlink):
        places.setdefault(path.resolve(), []).append(path)
    runs, messages = [], []
    for path, *links in places.values():
        try:
            runs.append(describe(path) | {"links": [str(link) for link in links]})
        except UserError as error:
            messages.append(str(error))
    return runs, messages


def matching(patterns: list[str], runs: list[Run]) -> list[Run]:
    """Return the runs whose name or directory matches one of the patterns; all of them if there is no pattern."""

    def matches(run: Run, pattern: str) -> bool:
        paths = run["path"], *run["links"]
        return any(fnmatchcase(word, pattern.rstrip("/")) for path in paths for word in (path, Path(path).name))

    for pattern in patterns:
        if not any(matches(run, pattern) for run in runs):
            raise UserError(f"no run is called {pattern}; without a name, all runs are listed")
    return [run for run in runs if not patterns or any(matches(run, pattern) for pattern in patterns)]


def last_sweep(runs_dir: Path, runs: list[Run]) -> dict[str, Any] | None:
    """Return the latest sweep, its runs without a complete record, and the command that goes on with it."""
    plans = sorted((runs_dir / ".sweeps").glob("*/plan.json"))
    if not plans:
        return None
    plan = read_json(plans[-1], "move its directory away, and run the sweep again")
    ended = [run for run in runs if run["state"] in ENDED]
    paths = [Path(path) for run in ended for path in (run["path"], *run["links"])]
    complete = {path.name for path in paths if plan["publish"] or path.parent == runs_dir}
    return {
        "overrides": plan["overrides"],
        "command": plan.get("command", "the same command"),  # the first plans had none
        "runs": len(plan["runs"]),
        "lacking": [name for name in plan["runs"] if name not in complete],
    }


@script
def main(words: list[str] | None) -> None:
    """Print the table, or JSON; raise a `UserError` if something cannot be read."""
    parser = argparse.ArgumentParser(description="Every run: state, step, accuracy, time, where.")
    parser.add_argument("run", nargs="*", help="only these: directories, names or patterns such as 'bn-s*'")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--runs", type=Path, default=runs_folder(), help="runs directory")
    parser.add_argument("--results", type=Path, default=Path("results"), help="committed results")
    parser.add_argument("--committed", action="store_true", help="also list the committed records that are not here")
    options = parser.parse_args(words)
    runs_everywhere, messages = all_runs(options.runs, options.results)
    runs = matching(options.run, runs_everywhere)
    local = [run for run in runs if Path(run["path"]).parent == options.runs]
    shown = runs if options.committed or options.json or options.run else local
    sweep = None if options.run else last_sweep(options.runs, runs_everywhere)
    if options.json:
        print(json.dumps({"runs": runs, "last_sweep": sweep}, indent=2))
    elif shown or not messages:
        _print_table(shown, len(runs) - len(shown), sweep)
    if messages:
        raise UserError("; ".join(messages))


def _print_table(runs: list[Run], left_out: int, sweep: dict[str, Any] | None) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width of its own, and rows are to stay whole
    if runs:
        console.print(table(runs))
    else:
        console.print("no runs here yet; start one: python scripts/train.py experiment=figure1/bn scale=smoke")
    if left_out:
        console.print(f"and {left_out} committed records that are not here; --committed lists them", style="dim")
    if sweep:
        lacking = ", ".join(sweep["lacking"]) or "nothing"
        console.print(f"last sweep ({sweep['runs']} runs) still lacks: {lacking}", soft_wrap=True)
        if sweep["lacking"]:
            console.print(f"go on with: {sweep['command']}", soft_wrap=True, markup=False)
