"""The look of figures, and how to save them so that the same data gives the same bytes."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter

from bnrepro.records.files import write_atomically

# The colours of networks are distinct to readers with protanopia, deuteranopia and tritanopia.
WITHOUT, WITH = "#b5532a", "#1f5fa8"
X5, X30, SIGMOID, SIGMOID_WITHOUT, TOO_FAST = "#1aa0b8", "#4a1c6b", "#dda200", "#a0a0a0", "#222222"
POOLED = "#9a9a9a"
USER_COLOURS = ("#d62728", "#e377c2", "#6b4226", "#7f9f00", "#17becf")  # of a user's own variants
WIDTH_OF_A_NAME = 0.3  # as a share of the width of the axes

matplotlib.rcParams.update(
    {
        "font.size": 9,
        "axes.titlelocation": "left",
        "axes.titlesize": 9,
        "figure.titlesize": 9,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "svg.hashsalt": "bnrepro",
        "figure.dpi": 110,
    }
)


def draw_seeds(axes: Axes, curves: pd.DataFrame, colour: str, label: str = "", line: str = "-") -> tuple[float, float]:
    """Draw the mean over seeds as a line and their range as a band, and return the end of the line.

    The curves (T, seeds) are indexed by step.
    """
    mean = curves.mean(axis=1)
    axes.plot(curves.index, mean, color=colour, label=label, ls=line)
    axes.fill_between(curves.index, curves.min(axis=1), curves.max(axis=1), color=colour, alpha=0.25, lw=0)
    return (mean.index[-1], mean.iloc[-1]) if len(mean) else (0, 0.0)


def label_ends(axes: Axes, ends: Iterable[tuple[float, float, str, str]], gap: float = 0.08) -> None:
    """Write a name to the right of the end of each curve, and move names apart that would cover each other.

    ``ends`` has x, y, name and colour of each; the limits of the axes are set before. ``gap`` is the smallest distance
    of two names, as a share of the height of the axes.
    """
    ends = sorted(ends, key=lambda end: end[1])
    positions = (axes.transData + axes.transAxes.inverted()).transform(np.reshape([end[:2] for end in ends], (-1, 2)))
    for _ in range(100):
        for lower, upper in itertools.combinations(positions, 2):
            overlap = gap - (upper[1] - lower[1])
            if overlap > 0 and abs(upper[0] - lower[0]) < WIDTH_OF_A_NAME:
                lower[1] -= overlap / 2
                upper[1] += overlap / 2
    for (*end, name, colour), (right, height) in zip(ends, positions, strict=True):
        place = {"xytext": (right + 0.01, height), "textcoords": "axes fraction", "va": "center"}
        text = axes.annotate(name, end, color=colour, annotation_clip=False, **place)
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def draw_ranges(axes: Axes, table: pd.DataFrame, colour: str, label: str, marker: str = "o", shift: float = 0) -> None:
    """Draw means as a line, and ranges as vertical bars, of a table with the columns mean, min and max.

    The bars of several networks do not cover each other as bands would; ``shift`` moves them aside.
    """
    axes.plot(table.index + shift, table["mean"], marker=marker, ms=4, color=colour, label=label)
    axes.vlines(table.index + shift, table["min"], table["max"], color=colour, lw=1.2, alpha=0.7)


def seeds(counts: Mapping[str, int]) -> str:
    """Return how many seeds each network has, in words."""
    usual, _ = Counter(counts.values()).most_common(1)[0]
    others = "".join(f"; {name}: {count}" for name, count in counts.items() if count != usual)
    return f"n = {usual} seed{'s' * (usual > 1)} each{others}"


def steps_axis(axes: Axes) -> None:
    """Label the x axis with training steps, in thousands."""
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("training steps")


def user_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each of a user's own variants."""
    return dict(zip(names, itertools.cycle(USER_COLOURS), strict=False))


def draw_percentiles(axes: Axes, steps: np.ndarray, values: np.ndarray, colour: str) -> None:
    """Draw the 15th, 50th and 85th percentile, (T, 3), as the paper does."""
    low, median, high = values.astype(float).T
    axes.plot(steps, median, color=colour)
    for edge in (low, high):
        axes.plot(steps, edge, color=colour, lw=0.8)
    axes.fill_between(steps, low, high, color=colour, alpha=0.12, lw=0)


METADATA = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}


def save(figure: Figure, stem: Path, kinds: tuple[str, ...] = (".png", ".svg")) -> list[Path]:
    """Write ``stem``.png and ``stem``.svg without a date or a version in them."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_suffix(kind) for kind in kinds]
    for path in paths:
        options = {"format": path.suffix[1:], "metadata": METADATA[path.suffix]}
        options |= {"dpi": 160} if path.suffix == ".png" else {}
        write_atomically(path, lambda file, options=options: figure.savefig(file, **options))
    return paths
