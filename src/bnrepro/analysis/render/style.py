"""The look of figures, and how to save them so that the same data gives the same bytes."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WITHOUT, WITH = "#b5532a", "#1f5fa8"  # also distinct in grey and to colour-blind readers
X5, X30, SIGMOID, SIGMOID_WITHOUT, TOO_FAST = "#2a9d8f", "#7b3f98", "#c99700", "#8a8a8a", "#222222"
POOLED = "#9a9a9a"
OWN = ("#d62728", "#17becf", "#e377c2", "#6b4226", "#7f9f00")  # of a user's own variants

matplotlib.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "svg.hashsalt": "bnrepro",
        "figure.dpi": 110,
    }
)


def draw_seeds(axes: Axes, curves: pd.DataFrame, colour: str, label: str, line: str = "-") -> None:
    """Draw the mean over seeds as a line and their range as a band, of curves (T, seeds) that are indexed by step."""
    axes.plot(curves.index, curves.mean(axis=1), color=colour, label=label, ls=line)
    axes.fill_between(curves.index, curves.min(axis=1), curves.max(axis=1), color=colour, alpha=0.25, lw=0)


def own_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each of a user's own variants."""
    return dict(zip(names, itertools.cycle(OWN), strict=False))


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
        figure.savefig(path, dpi=160 if path.suffix == ".png" else None, metadata=METADATA[path.suffix])
    return paths
