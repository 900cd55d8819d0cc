"""``scripts/swap_statistics.py``: finished runs with other statistics in their normalisers, and the record of it."""

import argparse
import shlex
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bnrepro.errors import UserError
from bnrepro.records.files import write_json
from bnrepro.records.named import named
from bnrepro.records.provenance import now, provenance
from bnrepro.training import build
from bnrepro.use.swapped import KINDS, SHIFT, accuracies
from bnrepro.use.trained import Trained, trained

OUT = Path("results/claims/x5/mini/statistics.json")
SWAPPABLE = ("bn", "bn_reference", "bn_stop_gradient", "per_activation")  # Alg. 1 in training mode, nothing added
CPU = torch.device("cpu")


def check(network: Trained) -> None:
    """Raise a `UserError` unless the run's normalisers are batch normalisers and its images fit into memory."""
    if network.of_digits:
        raise UserError(f"{network.name} is a network of binary digits; choose runs of Inception or GoogLeNet")
    options = network.config.norm
    for norm in (options.name, options.last or options.name):
        if norm not in SWAPPABLE:
            choose = f"choose runs with norm={', '.join(SWAPPABLE)}"
            raise UserError(f"{network.name} has norm={norm}, without statistics to exchange; {choose}")
    if network.config.data.name == "imagenet":
        raise UserError(f"{network.name} is judged on images that are not held in memory; choose a smaller scale")


def judged_on(network: Trained, root: Path | None = None) -> tuple[Tensor, Tensor]:
    """The images that a run was judged on, (M, 3, pixels, pixels) in [-1, 1], and their labels (M,).

    Args:
        network: of the run.
        root: of its data set; None: where its scale expects it.

    Raises:
        UserError: the data set is not there, or is another one than the run's.
    """
    config = network.config
    config.data.root = str(root or config.scale["imagenet"]["root"])
    if build.data_fingerprint(config) != network.status["data_fingerprint"]:
        raise UserError(f"{config.data.root} is not the data set that {network.name} was trained on; give its --root")
    images, labels = zip(*build.dataset(config, CPU).evaluation_batches(), strict=True)
    return torch.cat(images), torch.cat(labels)


def measure(directory: Path, root: Path | None = None) -> tuple[str, dict[str, float]]:
    """A finished run's name, and its `accuracies`.

    Args:
        directory: of the run.
        root: see `judged_on`.

    Raises:
        UserError: the run or its data set cannot be used (see `trained`, `check`, `judged_on`).
    """
    network = trained(directory, CPU)
    check(network)
    images, labels = judged_on(network, root)
    mixed = network.config.training.precision == "bfloat16"
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        return network.name, accuracies(network.network, images, labels, network.config.training.batch_size)


def run(directories: list[Path], root: Path | None, out: Path) -> None:
    """Measure the runs, print the numbers, and write them with where they come from.

    Args:
        directories: of the runs.
        root: see `judged_on`.
        out: JSON: command (without folders of the machine), measured, provenance, shift; runs: by name, what
            `accuracies` gives.

    Raises:
        UserError: as `measure`, or a run is there twice, or ``out`` cannot be written.
    """
    names = [directory.name for directory in directories]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{twice[0]} is there twice; name each run once")
    found = dict(measure(directory, root) for directory in directories)
    command = shlex.join(["python", "scripts/swap_statistics.py", *(f"runs/{name}" for name in names)])
    record = {"command": command, "measured": now(), **provenance(), "shift": SHIFT, "runs": found}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, record)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another --out") from None
    table = Table("top-1 accuracy", *KINDS, box=None, header_style="bold")
    for name, values in found.items():
        table.add_row(name, *(f"{values[kind]:.4f}" for kind in KINDS))
    Console(width=120).print(table)
    print(out)


def main(words: list[str] | None = None) -> int:
    """Measure and record; 2 after a mistake, which is one line."""
    parser = argparse.ArgumentParser(description="Accuracy of trained networks with other statistics in BN.")
    parser.add_argument("run", nargs="+", help="finished runs of networks with BN: directories, names or patterns")
    parser.add_argument("--root", type=Path, help="of the runs' data set (default: where their scale expects it)")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: %(default)s)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    try:
        run(named(options.run), options.root, options.out)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
