"""``scripts/dashboard.py``: live charts of local runs in the terminal, and the dashboard in W&B."""

import argparse
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from bnrepro.cli.mistakes import script
from bnrepro.errors import UserError
from bnrepro.records.named import runs_folder

LOGS = "*run-*/*.wandb"  # the file that a run has in W&B's folder once it has begun
FIRST = "python scripts/train.py experiment=figure1/bn scale=smoke"


def _local(options: argparse.Namespace) -> None:
    """Wait for a run, then show live charts until the reader ends them."""
    folder = options.runs / "wandb"
    if not sys.stdout.isatty():
        raise UserError(f"this is no terminal; in one, run: wandb leet {folder}")
    with suppress(KeyboardInterrupt):  # Ctrl-C is how a view ends
        if not any(folder.glob(LOGS)):
            print(f"waiting for the first run in {folder}; to start one: {FIRST}  (Ctrl-C ends it)", flush=True)
        while not any(folder.glob(LOGS)):
            time.sleep(1)
        subprocess.run([sys.executable, "-m", "wandb", "leet", str(folder)], check=False)
    print(f"one run alone: wandb leet {folder}/RUN; in a browser, with a W&B account: python scripts/dashboard.py push")


def _push(options: argparse.Namespace) -> None:
    """Send the dashboard to W&B and print its addresses."""
    from bnrepro.dashboard.overview import Overview  # W&B's libraries, which `local` does not need here
    from bnrepro.dashboard.push import push

    overview = Overview(scale=options.scale)
    print(*push(overview, options.project, options.entity, options.runs, options.new), sep="\n")


@script
def main(words: list[str] | None) -> None:
    """Show local runs, or push the dashboard."""
    parser = argparse.ArgumentParser(description="Dashboards of runs, with a W&B account and without.")
    parser.add_argument("--runs", type=Path, default=runs_folder(), help="runs directory")
    parser.set_defaults(command=_local)
    commands = parser.add_subparsers(metavar="COMMAND")
    local = commands.add_parser("local", help="live charts of local runs in the terminal (the default)")
    local.set_defaults(command=_local)
    push = commands.add_parser("push", help="workspace, report, figures and ledger to W&B")
    push.set_defaults(command=_push)
    push.add_argument("--project", default="bnrepro", help="W&B project")
    push.add_argument("--entity", help="W&B entity (default: the account's own)")
    push.add_argument("--scale", help="the scale of Figure 2 (default: laptop)")
    push.add_argument("--new", action="store_true", help="make a new workspace and report; leave earlier ones alone")
    options = parser.parse_args(words)
    options.command(options)
