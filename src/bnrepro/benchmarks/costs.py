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


def show(speeds: dict[tuple[str, str], Speed], device: str) -> None:
    """Print a row for each run of each scale at which something was measured; ``speeds`` are by network and scale."""
    measured = [f"measured: images/s of one {device}", "setting"]
    columns = ["scale", "what", "mini-batches of 32", *measured, "extrapolated: hours of one"]
    table = Table(*columns, box=None, header_style="bold")
    for scale in (name for name in SCALES if name in {scale for _, scale in speeds}):
        for title, network, batches in runs(scale):
            cells = ["not measured"]
            if speed := speeds.get((network, scale)):
                hours = batches * BATCH / speed.images / 3600
                cells = [f"{speed.images:,.0f}", speed.setting, f"{hours:,.2f}"]
            table.add_row(scale, title, f"{batches:,.0f}", *cells)
    console = Console()
    console.width = console.width if console.is_terminal else 300  # a pipe has no width; rows stay whole there
    console.print(table)
