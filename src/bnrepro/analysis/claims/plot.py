"""The plot of a claim: each part on its own axis, with its seeds, its interval and the range that its rule allows."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bnrepro.analysis.claims.judge import Judged
from bnrepro.analysis.claims.rules import UNITS
from bnrepro.analysis.claims.table import MARKS
from bnrepro.analysis.render import style

COLOURS = {"holds": style.WITH, "fails": style.WITHOUT}
SMALLEST = 1e-17  # stands for 0 on a logarithmic axis


def _draw(axes: Axes, judged: Judged) -> None:
    part, rule, estimate = judged.part, judged.part.rule, judged.estimate
    logarithmic = part.ratio or (estimate is None and rule.bound in ("at_most", "at_least"))

    def shown(values: Sequence[float]) -> np.ndarray:
        """Values in the unit that is shown."""
        return np.maximum(UNITS[part.unit][0] * np.array(values, float), SMALLEST if logarithmic else -np.inf)

    colour = COLOURS.get(judged.verdict, style.POOLED)
    if logarithmic:
        axes.set_xscale("log")
    if estimate and np.isfinite([estimate.low, estimate.high]).all():
        interval = shown([estimate.low, estimate.high])
        axes.plot(interval, [0, 0], color=colour, lw=3, solid_capstyle="butt", alpha=0.6)
    values = shown(judged.values if estimate else [judged.number])
    axes.plot(values, np.zeros(len(values)), "o", ms=4, color=colour, mec="white", mew=0.5)
    edges = shown(rule.edges)
    for edge in edges:
        axes.axvline(edge, color="black", lw=0.8, ls="--")
    low, high = axes.get_xlim()
    least, most = rule.allowed
    obeyed = (edges[0] if np.isfinite(least) else low), (edges[-1] if np.isfinite(most) else high)
    width = None if rule.bound == "equals" else 0  # a single point has no area, so its outline shows it
    axes.axvspan(*obeyed, color=style.WITH, alpha=0.08, lw=width)
    axes.set(xlim=(low, high), ylim=(-1, 1), yticks=[])
    short = not logarithmic or high <= 20 * low
    axes.xaxis.set_major_locator(MaxNLocator(5) if short else LogLocator(numticks=5))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.spines["left"].set_visible(False)
    name = ": ".join(filter(None, (part.reading, part.what))) + (" (check)" if part.check else "")
    unit = UNITS[part.unit][1]
    label = "\n".join(textwrap.wrap(f"{MARKS[judged.verdict]} {name}{',' + unit if unit else ''}", 52))
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    axes.tick_params(labelsize=7)


def draw(parts: list[Judged]) -> Figure:
    """Draw the measured and the exact parts of a claim; the rule allows the blue range between the dashed lines."""
    shown = [judged for judged in parts if judged.value is not None]
    figure = Figure(figsize=(8, 0.3 + 0.55 * len(shown)))
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, judged in zip(panels, shown, strict=True):
        _draw(axes, judged)
    return figure
