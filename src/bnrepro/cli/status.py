"""``scripts/status.py``: the runs in the runs directory and under results, and what the last sweep lacks."""

import argparse
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rich.console import Console

from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from bnrepro.records.named import runs_folder
from bnrepro.records.run import ENDED
from bnrepro.sweeps.overview import describe, note_varied, table

Run = dict[str, Any]  # as `describe` gives it


def all_runs(runs_dir: Path, results_dir: Path) -> tuple[list[Run], list[str]]:
    """Every run in the runs directory, then every committed one that is not there; and what cannot be read.

    Raises:
        UserError: there is a file in the place of a folder.
    """
    for folder in (runs_dir, results_dir):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is not a folder")
    paths: dict[str, Path] = {}
    for folder, pattern in ((runs_dir, "[!.]*/status.json"), (results_dir, "**/runs/[!.]*/status.json")):
        for path in sorted(folder.glob(pattern)):
            paths.setdefault(path.parent.name, path.parent)
    runs, faults = [], []
    for path in paths.values():
        try:
            runs.append(describe(path))
        except UserError as error:
            faults.append(str(error))
    return runs, faults


def matching(words: list[str], runs: list[Run]) -> list[Run]:
    """The runs that the words name, by directory, name or pattern; all of them if there is no word."""
    for word in words:
        if not any(_is_named(run, word) for run in runs):
            raise UserError(f"no run is called {word}; without a name, all runs are listed")
    return [run for run in runs if not words or any(_is_named(run, word) for word in words)]


def _is_named(run: Run, word: str) -> bool:
    return any(fnmatchcase(run[key], word.rstrip("/")) for key in ("name", "path"))


def last_sweep(runs_dir: Path, runs: list[Run]) -> dict[str, Any] | None:
    """The latest sweep, the runs of its plan without a complete record, and the command that goes on with it."""
    plans = sorted((runs_dir / ".sweeps").glob("*/plan.json"))
    if not plans:
        return None
    plan = read_json(plans[-1])
    ended = [run for run in runs if run["state"] in ENDED]
    complete = {run["name"] for run in ended if plan["publish"] or Path(run["path"]).parent == runs_dir}
    return {
        "overrides": plan["overrides"],
        "command": plan.get("command", "the same command"),  # plans had none at first
        "runs": len(plan["runs"]),
        "lacking": [name for name in plan["runs"] if name not in complete],
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or JSON; the exit code is 0 unless something cannot be read."""
    parser = argparse.ArgumentParser(description="Every run: state, step, accuracy, time, where.")
    parser.add_argument("run", nargs="*", help="only these: directories, names or patterns such as 'bn-s*'")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--runs", type=Path, default=runs_folder(), help="runs directory")
    parser.add_argument("--results", type=Path, default=Path("results"), help="committed results")
    parser.add_argument("--committed", action="store_true", help="also list the committed records that are not here")
    options = parser.parse_args(arguments)
    try:
        every, faults = all_runs(options.runs, options.results)
        runs = matching(options.run, every)
        here = [run for run in runs if Path(run["path"]).parent == options.runs]
        shown = runs if options.committed or options.json or options.run else here
        note_varied(shown)
        sweep = None if options.run else last_sweep(options.runs, every)
    except UserError as error:
        _complain(str(error))
        return 2
    if options.json:
        print(json.dumps({"runs": runs, "last_sweep": sweep}, indent=2))
    elif shown or not faults:
        _show(shown, len(runs) - len(shown), sweep)
    for fault in faults:
        _complain(fault)
    return 2 if faults else 0


def _complain(text: str) -> None:
    Console(stderr=True).print(f"error: {text}", style="red", markup=False, soft_wrap=True)


def _show(runs: list[Run], left_out: int, sweep: dict[str, Any] | None) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width of its own; rows stay whole
    if runs:
        console.print(table(runs))
    else:
        console.print("no runs here yet; start one: python scripts/train.py experiment=figure1/bn scale=smoke")
    if left_out:
        console.print(f"and {left_out} committed records that are not here; --committed lists them", style="dim")
    if sweep:
        lacking = ", ".join(sweep["lacking"]) or "nothing"
        console.print(f"last sweep ({sweep['runs']} runs) still lacks: {lacking}", soft_wrap=True)
    if sweep and sweep["lacking"]:
        console.print(f"go on with: {sweep['command']}", soft_wrap=True, markup=False)
