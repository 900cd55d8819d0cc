"""A claim drawn: each part on an axis of its own, seeds as dots, the interval, and where the rule is obeyed."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bnrepro.analysis.claims.judge import Judged
from bnrepro.analysis.claims.rules import UNITS
from bnrepro.analysis.claims.table import MARKS
from bnrepro.analysis.render import style

COLOURS = {"holds": style.WITH, "fails": style.WITHOUT}


SMALLEST = 1e-17  # stands for 0 where an axis is logarithmic


def _draw(axes: Axes, one: Judged) -> None:
    part, estimate = one.part, one.estimate
    times = UNITS[part.unit][0]
    logarithmic = part.ratio or (estimate is None and part.rule.bound in ("at_most", "at_least"))
    values = times * np.array(one.values if estimate else [one.number])
    edges = times * np.array(part.rule.edges)
    colour = COLOURS.get(one.verdict, style.POOLED)
    if logarithmic:
        axes.set_xscale("log")
        values, edges = np.maximum(values, SMALLEST), np.maximum(edges, SMALLEST)
    if estimate and np.isfinite([estimate.low, estimate.high]).all():
        interval = [times * estimate.low, times * estimate.high]
        axes.plot(interval, [0, 0], color=colour, lw=3, solid_capstyle="butt", alpha=0.6)
    axes.plot(values, np.zeros(len(values)), "o", ms=4, color=colour, mec="white", mew=0.5)
    for edge in edges:
        axes.axvline(edge, color="black", lw=0.8, ls="--")
    least, most = axes.get_xlim()
    if part.rule.bound in ("within", "between"):
        axes.axvspan(*edges, color=style.WITH, alpha=0.08, lw=0)
    elif part.rule.bound == "equals":
        axes.axvspan(edges[0], edges[0], color=style.WITH, alpha=0.08)
    elif part.rule.bound in ("above", "at_least"):
        axes.axvspan(edges[0], most, color=style.WITH, alpha=0.08, lw=0)
    else:
        axes.axvspan(least, edges[0], color=style.WITH, alpha=0.08, lw=0)
    axes.set(xlim=(least, most), ylim=(-1, 1), yticks=[])
    axes.xaxis.set_major_locator(LogLocator(numticks=5) if logarithmic and most > 20 * least else MaxNLocator(5))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.spines["left"].set_visible(False)
    name = ": ".join(filter(None, (part.reading, part.what))) + (" (check)" if part.check else "")
    unit = UNITS[part.unit][1]
    label = "\n".join(textwrap.wrap(f"{MARKS[one.verdict]} {name}{',' + unit if unit else ''}", 52))
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    axes.tick_params(labelsize=7)


def draw(parts: list[Judged]) -> Figure:
    """The measured and exact parts of a claim; blue is where the rule is obeyed, the dashed line its edge."""
    shown = [one for one in parts if one.value is not None]
    figure = Figure(figsize=(8, 0.3 + 0.55 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, one in zip(panels, shown, strict=True):
        _draw(axes, one)
    return figure
