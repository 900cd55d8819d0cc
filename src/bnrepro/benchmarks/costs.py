"""What runs would cost at measured speeds: what was measured and what is extrapolated from it, in columns apart.

Measured is how many images a second one device trains on at a mini-batch of 32. Extrapolated from it are hours of
training, evaluation and input left out. On n devices a step is taken to be n mini-batches of 32, one on each, so that
there are n times fewer steps: another experiment. Their gradients meet in an all-reduce that nothing hides, at rates
that vendors print: also an assumption.
"""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bnrepro.analysis.figure2 import BASELINE, PRINTED, TITLES
from bnrepro.benchmarks.steps import configuration
from bnrepro.errors import UserError
from bnrepro.records.files import read_json

BATCH = 32  # Sec. 4.2
SCALES = ("laptop", "tiny64", "paper")
LINKS = {1: math.inf, 8: 450e9, 64: 50e9}  # bytes/s of a device: NVLink 4 within a machine, 400 Gb/s a card beyond it


class Speed(NamedTuple):
    """Measured on one device; ``weights`` are the numbers that an all-reduce adds up, 0 to leave it out."""

    images: float  # a second
    setting: str
    weights: int = 0

    def hours(self, batches: float, devices: int) -> float:
        """From the first mini-batch to the last, on so many devices."""
        passed_on = 2 * (devices - 1) / devices * 4 * self.weights  # bytes of float32, in and out of each device
        return batches / devices * (BATCH / self.images + passed_on / LINKS[devices]) / 3600


def of_record(path: Path) -> tuple[dict[str, Speed], str]:
    """The fastest setting of each network at each scale in what ``benchmark.py gpu`` wrote, and the device.

    Raises:
        UserError: there is no such record.
    """
    try:
        raw: dict[str, Any] = read_json(path)["raw"]
        rates, weights, device = raw["images/s (steps/s of an MLP)"], raw["weights"], raw["device"]
    except (OSError, KeyError, TypeError):
        raise UserError(f"{path} is no record of benchmark.py gpu") from None
    found: dict[str, Speed] = {}
    for name, rounds in rates.items():
        network, _, setting = name.partition(f", batch {BATCH}, ")
        rate = statistics.median(rounds)
        if network in weights and setting and (network not in found or rate > found[network].images):
            found[network] = Speed(rate, setting, weights[network])
    return found, device


def runs(scale: str) -> Iterator[tuple[str, str, float]]:
    """What there is to train: in words, the network, and the mini-batches of 32 it takes."""
    for variant, printed in PRINTED.items():
        network = "inception" if variant == BASELINE else "bn_inception"
        if scale == "paper" and math.isfinite(printed.steps):
            yield f"{TITLES[variant]}, to {PRINTED[BASELINE].top1:.1%} as printed", network, printed.steps
        training = configuration(f"figure2/{variant}", scale).training
        yield f"{TITLES[variant]}, all of it", network, training.total_steps * training.batch_size / BATCH


def table(speeds: dict[str, Speed], device: str) -> Table:
    """A row for each run of each scale at which something was measured.

    Args:
        speeds: by "network, scale".
        device: what it was measured on.
    """
    several = [n for n in LINKS if n > 1]
    measured = [f"measured: images/s of one {device}", "setting"]
    extrapolated = [f"{n} devices: hours (device-hours)" for n in several]
    columns = ["scale", "what", "mini-batches of 32", *measured, "extrapolated: hours of one", *extrapolated]
    found = Table(*columns, box=None, header_style="bold")
    scales = {name.rpartition(", ")[2] for name in speeds}
    for scale in (name for name in SCALES if name in scales):
        for what, network, batches in runs(scale):
            told = ["not measured"]
            if speed := speeds.get(f"{network}, {scale}"):
                hours = {n: speed.hours(batches, n) for n in LINKS}
                told = [f"{speed.images:,.0f}", speed.setting, f"{hours[1]:,.2f}"]
                told += [f"{hours[n]:,.2f} ({n * hours[n]:,.2f})" for n in several]
            found.add_row(scale, what, f"{batches:,.0f}", *told)
    return found


def show(speeds: dict[str, Speed], device: str) -> None:
    """Print the table; a pipe has no width of its own, and rows stay whole there."""
    console = Console()
    console.width = console.width if console.is_terminal else 300
    console.print(table(speeds, device))
