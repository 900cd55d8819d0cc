"""Figure 1(b, c) for layers of Inception: percentiles of the inputs of its nonlinearities."""

import numpy as np
from matplotlib.figure import Figure

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
    figure = Figure(figsize=(7, 7))
    panels = figure.subplots(len(LAYERS), len(COLUMNS), sharex=True, squeeze=False)
    for line, (layer, name) in zip(panels, LAYERS.items(), strict=True):
        for axes, (title, arm, view, colour) in zip(line, COLUMNS, strict=True):
            probes = (without, with_)[arm].probes
            pooled, channel = rows_of(probes, name)
            style.draw_percentiles(axes, probes["steps"], probes[view][:, pooled], style.POOLED)
            style.draw_percentiles(axes, probes["steps"], probes[view][:, channel], colour)
            if axes in panels[0]:
                axes.set_title(title, loc="center")
            if axes in panels[-1]:
                style.steps_axis(axes)
        line[0].set_ylabel(f"{layer}, channel {probes['units'][channel]}")
    figure.suptitle("15th, 50th and 85th percentile of the inputs of nonlinearities. Grey: all channels")
    return figure
