"""The elements of the drawings: arms as lines, layers as lines, effects as rows, and what is not measured yet."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.series import Arm
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render import style

ABSENT = "not measured yet"
LINES = (":", "--", "-")  # of the first, the second and the third layer
Frames = Callable[[list[Record]], pd.DataFrame]
Effect = tuple[np.ndarray, Estimate]  # a number per seed, and the estimate of their mean


def panels(rows: int, columns: int, height: float = 2.7, width: float = 10) -> tuple[Figure, np.ndarray]:
    """A figure and its axes (rows, columns); the height is that of one row, in inches."""
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def finish(axes: Axes, title: str, x: str = "", legend: str | None = None, **settings: Any) -> None:
    """Give a panel its title, its x axis and its legend.

    Args:
        axes: the panel.
        title: the text on the left above it.
        x: "steps" or "log steps" of training, or "layers"; otherwise the x axis stays as it is.
        legend: the place of the legend, if there is anything to put in it.
        settings: other properties of the axes.
    """
    axes.set(**settings)
    axes.set_title(title, loc="left", fontsize=9)
    if x == "layers":
        axes.set_xlabel("layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    elif x:
        axes.set_xlabel("training steps")
        if x == "log steps":
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, loc=legend)


def absent(axes: Axes) -> None:
    """Empty a panel and write that nothing was measured."""
    for line in axes.get_lines():
        line.remove()
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False, which="both")
    axes.grid(False)
    axes.text(0.5, 0.5, ABSENT, transform=axes.transAxes, ha="center", va="center", color=style.POOLED)


def log_scale(axes: Axes) -> None:
    """Make the y axis of a panel with lines logarithmic; a short axis has plain numbers."""
    if not axes.lines:
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 50 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def lines(axes: Axes, drawn: list[tuple[Arm, pd.DataFrame]], marker: str = "") -> None:
    """Draw the mean over seeds as a line and their range as a band, for each arm and its frame."""
    for arm, frame in drawn:
        if frame.empty:
            axes.plot([], [], color=arm.colour, ls=arm.line, label=f"{arm.label} ({ABSENT})")
        else:
            style.draw_seeds(axes, frame, arm.colour, arm.label, arm.line)
            axes.lines[-1].set(marker=marker, markersize=3)
    if all(frame.empty for _, frame in drawn):
        absent(axes)


def arm_lines(axes: Axes, arms: list[Arm], frame_of: Frames, marker: str = "") -> None:
    """Draw a line for each arm, from the frame of its records."""
    lines(axes, [(arm, frame_of(arm.records)) for arm in arms], marker)


def layer_lines(axes: Axes, arms: list[Arm], quantity: str, change: Callable = lambda frame: frame) -> None:
    """Draw a line over the steps for each layer of each arm; a legend of layers if there is one arm, else of arms."""
    drawn = []
    for arm in arms:
        count = series.layers(arm.records, quantity)
        for layer in range(1, count + 1):
            label = f"layer {layer}" if len(arms) == 1 else arm.label if layer == count else ""
            line = arm._replace(label=label, line=LINES[(layer - 1) % len(LINES)])
            drawn.append((line, change(series.by_step(arm.records, quantity, layer))))
        if not count:
            drawn.append((arm, pd.DataFrame()))
    lines(axes, drawn)


def accuracy_lines(axes: Axes, arms: list[Arm], network: str) -> None:
    """Draw a panel of accuracy over the steps, with a line for each arm."""
    arm_lines(axes, arms, series.accuracy)
    axes.set_ylim(0, None)
    finish(axes, f"{network}: accuracy", "steps", legend="best")


def effects(axes: Axes, rows: dict[str, Effect]) -> None:
    """Draw a row for each effect, in points: seeds, mean and interval; in colour if the interval excludes zero."""
    for k, (values, estimate) in enumerate(rows.values()):
        if not len(values):
            axes.text(
                0.02, k, ABSENT, transform=axes.get_yaxis_transform(), va="center", fontsize=7, color=style.POOLED
            )
            continue
        excludes_zero = estimate.low > 0 or estimate.high < 0
        colour = (style.WITH if estimate.mean > 0 else style.WITHOUT) if excludes_zero else style.POOLED
        if estimate.n > 1:
            ends = [100 * estimate.low, 100 * estimate.high]
            axes.plot(ends, [k, k], color=colour, lw=4, alpha=0.35, solid_capstyle="butt")
        axes.plot(100 * values, [k] * len(values), "o", ms=3, color=colour, alpha=0.6)
        axes.plot(100 * estimate.mean, k, "|", ms=12, mew=2, color=colour)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
