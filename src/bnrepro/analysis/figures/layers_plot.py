"""Figure 1(b, c) for layers of Inception: percentiles of the inputs of its nonlinearities."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.render import style

LAYERS = {"conv2": "stem.conv2", "3b": "rows.3b.three", "4d": "rows.4d.three", "5b": "rows.5b.three"}
POOLED = -1  # the unit number of all channels together
CHANNEL = 2  # which recorded channel is drawn: they are evenly spaced, and this is the middle one
COLUMNS = (  # title, network (0: without BN), view and colour
    ("without BN", 0, "percentiles", style.WITHOUT),
    ("with BN, W u before it", 1, "percentiles_before", style.WITH),
    ("with BN, after it", 1, "percentiles", style.WITH),
)


def rows_of(probes: dict[str, np.ndarray], layer: str) -> tuple[int, int]:
    """Return two rows of a layer in the arrays: all channels together, and the channel that is drawn."""
    index = probes["layer_names"].tolist().index(layer)
    rows = np.flatnonzero(probes["layers"] == index)
    channels = rows[probes["units"][rows] != POOLED]
    return int(rows[probes["units"][rows] == POOLED][0]), int(channels[CHANNEL])


def draw(without: Record, with_: Record) -> Figure:
    """Draw a row per layer; all channels together are grey, one channel is in colour."""
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
