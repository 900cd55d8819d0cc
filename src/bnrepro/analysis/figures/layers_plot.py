"""Figure 1(b, c) drawn for layers of a convolutional network: percentiles of the inputs of its nonlinearities."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.render import style

LAYERS = {"conv2": "stem.conv2", "3b": "rows.3b.three", "4d": "rows.4d.three", "5b": "rows.5b.three"}
POOLED = -1  # the unit that stands for all channels together
CHANNEL = 2  # of the recorded channels, evenly spaced: the one in the middle of the layer
COLUMNS = (  # title, network, view and colour
    ("without BN", 0, "percentiles", style.WITHOUT),
    ("with BN, W u before it", 1, "percentiles_before", style.WITH),
    ("with BN, after it", 1, "percentiles", style.WITH),
)


def rows_of(probes: dict[str, np.ndarray], layer: str) -> tuple[int, int]:
    """Where in the arrays a layer is: all its channels together, and the one channel that is drawn."""
    index = probes["layer_names"].tolist().index(layer)
    rows = np.flatnonzero(probes["layers"] == index)
    channels = rows[probes["units"][rows] != POOLED]
    return int(rows[probes["units"][rows] == POOLED][0]), int(channels[CHANNEL])


def draw(without: Record, with_: Record) -> Figure:
    """A row per layer: without BN; with BN, before and after it normalises. Grey: all channels; in colour: one."""
    figure = Figure(figsize=(10, 8), layout="constrained")
    panels = figure.subplots(len(LAYERS), len(COLUMNS), sharex=True, squeeze=False)
    for line, (layer, name) in zip(panels, LAYERS.items(), strict=True):
        for axes, (title, arm, view, colour) in zip(line, COLUMNS, strict=True):
            probes = (without, with_)[arm].probes
            pooled, channel = rows_of(probes, name)
            style.draw_percentiles(axes, probes["steps"], probes[view][:, pooled], style.POOLED)
            style.draw_percentiles(axes, probes["steps"], probes[view][:, channel], colour)
            axes.set_title(f"{layer} {title}, channel {probes['units'][channel]}", loc="left", fontsize=8)
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        line[0].set_ylabel("input of the nonlinearity,\n15th, 50th, 85th percentile", fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("training steps")
    return figure
