"""A claim drawn: each part on an axis of its own, seeds as dots, the interval, and where the rule is obeyed."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bnrepro.analysis import style
from bnrepro.analysis.claims.definitions import UNITS
from bnrepro.analysis.claims.judge import Judged
from bnrepro.analysis.claims.table import MARKS

COLOURS = {"holds": style.WITH, "fails": style.WITHOUT}


def _draw(axes: Axes, one: Judged) -> None:
    part, estimate = one.part, one.estimate
    times = UNITS[part.unit][0]
    values = times * np.array(one.values)
    low, high = (times * edge for edge in (estimate.low, estimate.high))
    edges = {"within": [-1, 1]}.get(part.rule.bound, [1])
    edges = [times * sign * part.rule.value for sign in edges]
    colour = COLOURS.get(one.verdict, style.POOLED)
    if part.ratio:
        axes.set_xscale("log")
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [0, 0], color=colour, lw=3, solid_capstyle="butt", alpha=0.6)
    axes.plot(values, np.zeros(len(values)), "o", ms=4, color=colour, mec="white", mew=0.5)
    for edge in edges:
        axes.axvline(edge, color="black", lw=0.8, ls="--")
    least, most = axes.get_xlim()
    if part.rule.bound == "within":
        axes.axvspan(*edges, color=style.WITH, alpha=0.08, lw=0)
    elif part.rule.bound in ("above", "at_least"):
        axes.axvspan(edges[0], most, color=style.WITH, alpha=0.08, lw=0)
    else:
        axes.axvspan(least, edges[0], color=style.WITH, alpha=0.08, lw=0)
    axes.set(xlim=(least, most), ylim=(-1, 1), yticks=[])
    axes.xaxis.set_major_locator(LogLocator(numticks=5) if part.ratio and most > 20 * least else MaxNLocator(5))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.spines["left"].set_visible(False)
    name = ": ".join(filter(None, (part.reading, part.what))) + (" (check)" if part.check else "")
    unit = UNITS[part.unit][1]
    label = "\n".join(textwrap.wrap(f"{MARKS[one.verdict]} {name}{',' + unit if unit else ''}", 52))
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    axes.tick_params(labelsize=7)


def draw(parts: list[Judged]) -> Figure:
    """The measured parts of a claim; blue is where the rule is obeyed, the dashed line its edge."""
    shown = [one for one in parts if one.estimate is not None and one.estimate.n]
    figure = Figure(figsize=(8, 0.3 + 0.55 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, one in zip(panels, shown, strict=True):
        _draw(axes, one)
    return figure
