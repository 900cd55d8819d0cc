"""``scripts/status.py``: what there is in the runs directory and under results."""

import argparse
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rich.console import Console

from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from bnrepro.records.named import runs_folder
from bnrepro.records.run import ENDED
from bnrepro.sweeps.overview import describe, note_varied, table


def find(runs_dir: Path, results_dir: Path) -> Iterator[dict[str, Any]]:
    """Every run in the runs directory, then every committed one that is not there."""
    seen = set()
    places = [
        *sorted(runs_dir.glob("[!.]*/status.json")),
        *sorted(results_dir.glob("**/runs/[!.]*/status.json")),
    ]
    for path in places:
        if path.parent.name not in seen:
            seen.add(path.parent.name)
            yield describe(path.parent)


def only(words: list[str], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that words name, by directory, name or pattern; all of them if there is no word.

    Raises:
        UserError: a word names none.
    """
    matching = {word: [run for run in runs if _is_named(run, word.rstrip("/"))] for word in words}
    for word, found in matching.items():
        if not found:
            raise UserError(f"no run is called {word}; without a name, all runs are listed")
    return [run for run in runs if not words or any(run in found for found in matching.values())]


def _is_named(run: dict[str, Any], word: str) -> bool:
    return any(fnmatchcase(run[key], word) for key in ("name", "path"))


def last_sweep(runs_dir: Path, runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The latest sweep, the runs of its plan that have no complete record yet, and the command that goes on with it."""
    plans = sorted((runs_dir / ".sweeps").glob("*/plan.json"))
    if not plans:
        return None
    plan = read_json(plans[-1])
    complete = {
        run["name"]
        for run in runs
        if run["state"] in ENDED and (plan["publish"] or Path(run["path"]).parent == runs_dir)
    }
    lacking = [name for name in plan["runs"] if name not in complete]
    told = {"overrides": plan["overrides"], "command": plan.get("command", "the same command")}  # older plans lack it
    return {**told, "runs": len(plan["runs"]), "lacking": lacking}


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or JSON; 0 unless something cannot be read."""
    parser = argparse.ArgumentParser(description="Every run: state, step, accuracy, time, where.")
    parser.add_argument("run", nargs="*", help="only these: directories, names or patterns such as 'bn-s*'")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--runs", type=Path, default=runs_folder(), help="runs directory")
    parser.add_argument("--results", type=Path, default=Path("results"), help="committed results")
    parser.add_argument("--committed", action="store_true", help="also list the committed records that are not here")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        everything = list(find(options.runs, options.results))
        runs = only(options.run, everything)
        here = [run for run in runs if Path(run["path"]).parent == options.runs]
        shown = runs if options.committed or options.json or options.run else here
        note_varied(shown)
        sweep = None if options.run else last_sweep(options.runs, everything)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 2
    if options.json:
        print(json.dumps({"runs": runs, "last_sweep": sweep}, indent=2))
        return 0
    if not console.is_terminal:
        console.width = 200  # a pipe has no width of its own; rows stay whole
    if shown:
        console.print(table(shown))
    else:
        console.print("no runs here yet; start one: python scripts/train.py experiment=figure1/bn scale=smoke")
    if len(runs) > len(shown):
        told = f"and {len(runs) - len(shown)} committed records that are not here; --committed lists them"
        console.print(told, style="dim", highlight=False)
    if sweep:
        lacking = ", ".join(sweep["lacking"]) or "nothing"
        console.print(f"last sweep ({sweep['runs']} runs) still lacks: {lacking}", soft_wrap=True, highlight=False)
        if sweep["lacking"]:
            console.print(f"go on with: {sweep['command']}", soft_wrap=True, highlight=False, markup=False)
    return 0
