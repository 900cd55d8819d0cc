"""``scripts/swap_statistics.py``: accuracies of trained networks with other statistics in their normalisers."""

import argparse
import shlex
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bnrepro.cli.mistakes import exit_status
from bnrepro.errors import UserError
from bnrepro.records.files import write_json
from bnrepro.records.named import named
from bnrepro.records.provenance import now, provenance
from bnrepro.use.swap import KINDS, SHIFT, measure

OUT = Path("results/claims/x5/mini/statistics.json")


def run(directories: list[Path], root: Path | None, out: Path) -> None:
    """Measure runs, print a table, and write the accuracies (`bnrepro.use.swap.accuracies`) to a JSON file.

    Args:
        directories: the directories of the runs.
        root: the folder of their data set; None stands for the folder in their scale.
        out: the file. It also holds the command, without folders of the machine, and the provenance.
    """
    names = [directory.name for directory in directories]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{twice[0]} is there twice; name each run once")
    runs = dict(measure(directory, root) for directory in directories)
    command = shlex.join(["python", "scripts/swap_statistics.py", *(f"runs/{name}" for name in names)])
    record = {"command": command, "measured": now(), **provenance(), "shift": SHIFT, "runs": runs}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, record)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another --out") from None
    table = Table("top-1 accuracy", *KINDS, box=None, header_style="bold")
    for name, values in runs.items():
        table.add_row(name, *(f"{values[kind]:.4f}" for kind in KINDS))
    Console(width=120).print(table)
    print(out)


def main(words: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Accuracy of trained networks with other statistics in BN.")
    parser.add_argument("run", nargs="+", help="finished runs of networks with BN: directories, names or patterns")
    parser.add_argument("--root", type=Path, help="of the runs' data set (default: where their scale expects it)")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: %(default)s)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    return exit_status(lambda: run(named(options.run), options.root, options.out))
