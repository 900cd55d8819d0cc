"""``scripts/dashboard.py``: dashboards in W&B, and in the terminal without an account."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bnrepro.errors import UserError

RUN = "*run-*/*.wandb"  # what a run has in W&B's folder once it has begun
FIRST = "python scripts/train.py experiment=figure1/bn scale=smoke"


def _push(options: argparse.Namespace) -> int:
    from bnrepro.dashboard.overview import Overview
    from bnrepro.dashboard.push import push

    overview = Overview(options.results, options.scale)
    for address in push(overview, options.project, options.entity, options.runs, options.new):
        print(address)
    return 0


def _show(options: argparse.Namespace) -> int:
    from bnrepro.dashboard import panels, specification
    from bnrepro.dashboard.overview import Overview

    overview = Overview(options.results, options.scale)
    sections = panels.sections(overview.id, overview.keys)
    things = {
        "workspace": specification.workspace(options.entity or "", options.project, sections),
        "report": specification.report("", options.project, sections, overview.ledger),
    }
    print(json.dumps({name: specification.as_json(thing) for name, thing in things.items()}, indent=2))
    return 0


def _log(options: argparse.Namespace) -> int:
    from bnrepro.dashboard.overview import Overview

    overview = Overview(options.results, options.scale)
    overview.log(options.runs, "offline", options.project, options.entity)
    print(f"{overview.id}: push it with the other runs: wandb sync {options.runs}/wandb/offline-run-*")
    return 0


def _local(options: argparse.Namespace) -> int:
    folder = options.runs / "wandb"
    if not sys.stdout.isatty():
        raise UserError(f"this is no terminal; in one, run: wandb leet {folder}")
    if not any(folder.glob(RUN)):
        print(f"waiting for the first run in {folder}; to start one: {FIRST}  (Ctrl-C ends it)", flush=True)
    while not any(folder.glob(RUN)):
        time.sleep(1)
    return subprocess.run([sys.executable, "-m", "wandb", "leet", str(folder)], check=False).returncode


COMMANDS = {
    "local": (_local, "live views of local runs in the terminal: wandb leet on the runs directory (the default)"),
    "push": (_push, "workspace, report, figures and ledger to W&B"),
    "log": (_log, "figures and ledger as an offline run, to push later"),
    "show": (_show, "print what push would send, as JSON"),
}


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked; 2 with one line when it cannot be done."""
    parser = argparse.ArgumentParser(description="Dashboards of runs, with an account and without.")
    parser.add_argument(
        "--runs", type=Path, default=Path(os.environ.get("BNREPRO_RUNS", "runs")), help="runs directory"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="committed results")
    parser.add_argument("--scale", help="of Figure 2 (default: laptop)")
    parser.add_argument("--project", default="bnrepro", help="W&B project")
    parser.add_argument("--entity", help="W&B entity (default: the account's own)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name == "push":
            command.add_argument("--new", action="store_true", help="make new ones, and leave those sent before alone")
    options = parser.parse_args(arguments)
    try:
        return COMMANDS[options.command or "local"][0](options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
