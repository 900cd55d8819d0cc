"""What drawings of claims are put together from: arms as lines, layers as lines, dots, effects, and what is missing."""

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
SHORT = 50  # a logarithmic axis from its end to its beginning
NUDGE = 0.12  # between the dots of several arms
Frames = Callable[[list[Record]], pd.DataFrame]
Effect = tuple[np.ndarray, Estimate]  # a number per seed, and their mean and interval


def panels(rows: int, columns: int, height: float = 2.7, width: float = 10) -> tuple[Figure, np.ndarray]:
    """A figure and its axes (rows, columns); the height is of a row."""
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def finish(axes: Axes, title: str, x: str = "", legend: str | None = None, **settings: Any) -> None:
    """What every panel ends with.

    Args:
        axes: the panel.
        title: on the left above it.
        x: what its x axis is: "steps", or "log steps" from 1 on, of training; "layers"; nothing: as it is.
        legend: where it has one, if there is anything in it.
        settings: of the axes.
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


def shows(axes: Axes) -> bool:
    """Whether any line has a point."""
    return any(len(line.get_xdata()) for line in axes.lines)


def absent(axes: Axes) -> None:
    """An empty panel that says so."""
    for line in axes.get_lines():
        line.remove()
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False, which="both")
    axes.grid(False)
    axes.text(0.5, 0.5, ABSENT, transform=axes.transAxes, ha="center", va="center", color=style.POOLED)


def log_scale(axes: Axes) -> None:
    """A logarithmic y axis, if there is anything to scale; with plain numbers if it is short."""
    if not axes.lines:
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < SHORT * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def arm_line(axes: Axes, frame: pd.DataFrame, arm: Arm, marker: str = "") -> bool:
    """One arm's line and band; without a record only its name in the legend. Whether there was one."""
    if frame.empty:
        axes.plot([], [], color=arm.colour, ls=arm.line, label=f"{arm.label} ({ABSENT})")
        return False
    style.draw_seeds(axes, frame, arm.colour, arm.label, arm.line)
    axes.lines[-1].set(marker=marker, markersize=3)
    return True


def arm_lines(axes: Axes, arms: list[Arm], frames: Frames, marker: str = "") -> None:
    """A line per arm, of what ``frames`` makes of its records."""
    drawn = [arm_line(axes, frames(arm.records), arm, marker) for arm in arms]
    if not any(drawn):
        absent(axes)


def over(frame: pd.DataFrame, at: int) -> pd.DataFrame:
    """Every value over that of the layer, or step, in one place."""
    return frame / frame.iloc[at] if len(frame) else frame


def layer_lines(axes: Axes, arms: list[Arm], quantity: str, change: Callable = lambda frame: frame) -> None:
    """A line per layer and arm over the steps; a legend of layers if there is one arm, else of arms."""
    for arm in arms:
        count = series.layers(arm.records, quantity)
        for layer in range(1, count + 1):
            frame = change(series.by_step(arm.records, quantity, layer))
            label = f"layer {layer}" if len(arms) == 1 else arm.label if layer == count else ""
            arm_line(axes, frame, arm._replace(label=label, line=LINES[(layer - 1) % len(LINES)]))
        if not count:
            arm_line(axes, pd.DataFrame(), arm)
    if not shows(axes):
        absent(axes)


def accuracy_lines(axes: Axes, arms: list[Arm], network: str, x: str = "steps") -> None:
    """A panel of accuracy over the steps, a line per arm."""
    arm_lines(axes, arms, series.accuracy)
    axes.set_ylim(0, None)
    finish(axes, f"{network}: accuracy", x, legend="best")


def dots(axes: Axes, rows: dict[str, list[Arm]], measured: Callable[[Record], float]) -> None:
    """A row per name, in it a dot per seed and arm."""
    for k, arms in enumerate(rows.values()):
        for j, arm in enumerate(arms):
            values = [measured(record) for record in arm.records]
            axes.plot(values, [k + NUDGE * (j - 1)] * len(values), "o", ms=4, color=arm.colour, alpha=0.7)
        if missing := [arm.label for arm in arms if not arm.records]:
            words = ABSENT if len(missing) == len(arms) else f"{', '.join(missing)}: {ABSENT}"
            middle = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center"}
            axes.text(0.5, k + 3 * NUDGE, words, fontsize=7, color=style.POOLED, **middle)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)


def effects(axes: Axes, rows: dict[str, Effect]) -> None:
    """A row per effect in points: seeds, mean, and interval; in colour if that leaves out zero."""
    for k, (values, estimate) in enumerate(rows.values()):
        if not len(values):
            middle = {"transform": axes.get_yaxis_transform(), "va": "center"}
            axes.text(0.02, k, ABSENT, fontsize=7, color=style.POOLED, **middle)
            continue
        apart = estimate.low > 0 or estimate.high < 0
        colour = (style.WITH if estimate.mean > 0 else style.WITHOUT) if apart else style.POOLED
        if estimate.n > 1:
            ends = [100 * estimate.low, 100 * estimate.high]
            axes.plot(ends, [k, k], color=colour, lw=4, alpha=0.35, solid_capstyle="butt")
        axes.plot(100 * values, [k] * len(values), "o", ms=3, color=colour, alpha=0.6)
        axes.plot(100 * estimate.mean, k, "|", ms=12, mew=2, color=colour)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
