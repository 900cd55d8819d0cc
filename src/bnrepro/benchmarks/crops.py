"""What 144 crops of an image cost, against 144 single evaluations with the network as it trains, on one thread.

Pictures and weights are random: their values do not change the time. Time is the processor's.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bnrepro.benchmarks.record import median_ratio, row, write
from bnrepro.data.pictures import Pictures
from bnrepro.layers import build_norm
from bnrepro.models.folded import folded
from bnrepro.models.inception import Inception
from bnrepro.timing import alternate
from bnrepro.use.multicrop import predict
from bnrepro.use.trained import Predictor

ROUNDS = 5
SETTINGS = {  # name: pixels, width, stem, height and width of the pictures, pictures for one crop, for 144
    "laptop: 32 px, a quarter of the width, square pictures": (32, 0.25, 4, (64, 64), 480, 20),
    "paper: 224 px, full width, landscapes": (224, 1.0, 8, (375, 500), 16, 1),
}


def _pictures(size: tuple[int, int], count: int) -> Pictures:
    return Pictures(np.random.default_rng(0).integers(0, 256, (count, 3, *size), np.uint8), None)


def _cost(network: Predictor, pictures: Pictures, kind: int, pixels: int) -> Callable[[], float]:
    """Processor seconds a picture."""

    def measure() -> float:
        began = time.process_time()
        predict(network, pictures, kind, pixels)
        return (time.process_time() - began) / len(pictures)

    return measure


def main(out: Path, command: str) -> None:
    """Measure and write one file."""
    torch.set_num_threads(1)
    rows, raw = [], {}
    for name, (pixels, width, stem, size, singles, many) in SETTINGS.items():
        network = Inception(
            norm_layer=lambda channels, spatial: build_norm("bn", channels, eps=1e-3),
            pixels=pixels,
            width=width,
            stem_reduction=stem,
        ).eval()
        network.to(memory_format=torch.channels_last)
        as_trained, fast = Predictor(network), Predictor(folded(network))
        work = {
            "1 crop, as trained": _cost(as_trained, _pictures(size, singles), 1, pixels),
            "1 crop, folded": _cost(fast, _pictures(size, singles), 1, pixels),
            "144 crops, folded": _cost(fast, _pictures(size, many), 144, pixels),
        }
        costs = {title: seconds[1:] for title, seconds in alternate(work, ROUNDS + 1).items()}
        raw[f"{name}, processor seconds a picture"] = costs
        single = costs["1 crop, as trained"]
        ratio = median_ratio([144 * seconds for seconds in single], costs["144 crops, folded"])
        rows.append(row(f"{name}: 144 single evaluations over 144 crops", ratio, "> 1"))
        ratio = median_ratio(single, costs["1 crop, folded"])
        rows.append(row(f"{name}: as trained over folded, 1 crop", ratio, "> 1"))
    write(out, "Cost of 144 crops", command, rows, raw)
