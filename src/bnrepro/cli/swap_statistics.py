"""``scripts/swap_statistics.py``: accuracies of trained networks with other statistics in their normalisers."""

import argparse
import shlex
from pathlib import Path

import torch

from bnrepro.analysis.render.table import Table
from bnrepro.cli.mistakes import script
from bnrepro.records.files import make_writable, write_json
from bnrepro.records.named import find_runs
from bnrepro.records.provenance import now, provenance
from bnrepro.use.swap import SHIFT, measure

OUT = Path("results/claims/x5/mini/statistics.json")


@script
def main(words: list[str] | None) -> None:
    """Measure runs, print a table, and write the accuracies (`bnrepro.use.swap.accuracies`) to a JSON file."""
    parser = argparse.ArgumentParser(description="Accuracy of trained networks with other statistics in BN.")
    parser.add_argument("run", nargs="+", help="finished runs of networks with BN: directories, names or patterns")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: %(default)s)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    make_writable(options.out.parent)
    runs = {directory.name: measure(directory) for directory in find_runs(options.run)}
    command = shlex.join(["python", "scripts/swap_statistics.py", *(f"runs/{name}" for name in runs)])
    write_json(options.out, {"command": command, "measured": now(), **provenance(), "shift": SHIFT, "runs": runs})
    rows = [[name, *(f"{accuracy:.4f}" for accuracy in accuracies.values())] for name, accuracies in runs.items()]
    Table(["top-1 accuracy", *next(iter(runs.values()))], rows).show()
    print(options.out)
