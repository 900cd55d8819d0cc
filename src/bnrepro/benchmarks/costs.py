"""What runs would cost at measured speeds.

Measured is how many images a second one device trains on at a mini-batch of 32. Extrapolated from it are hours of
training, evaluation and input left out.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bnrepro.analysis.figures.figure2 import BASELINE, PRINTED, TITLES
from bnrepro.benchmarks.steps import configuration

BATCH = 32  # Sec. 4.2
SCALES = ("laptop", "tiny64", "paper")


class Speed(NamedTuple):
    """Measured on one device."""

    images: float  # a second
    setting: str


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
    measured = [f"measured: images/s of one {device}", "setting"]
    columns = ["scale", "what", "mini-batches of 32", *measured, "extrapolated: hours of one"]
    found = Table(*columns, box=None, header_style="bold")
    scales = {name.rpartition(", ")[2] for name in speeds}
    for scale in (name for name in SCALES if name in scales):
        for what, network, batches in runs(scale):
            told = ["not measured"]
            if speed := speeds.get(f"{network}, {scale}"):
                hours = batches * BATCH / speed.images / 3600
                told = [f"{speed.images:,.0f}", speed.setting, f"{hours:,.2f}"]
            found.add_row(scale, what, f"{batches:,.0f}", *told)
    return found


def show(speeds: dict[str, Speed], device: str) -> None:
    """Print the table; a pipe has no width of its own, and rows stay whole there."""
    console = Console()
    console.width = console.width if console.is_terminal else 300
    console.print(table(speeds, device))
