"""A claim drawn: each part on an axis of its own, seeds as dots, the interval, and where the rule is obeyed."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bnrepro.analysis.claims.judge import Judged
from bnrepro.analysis.claims.rules import UNITS, Part
from bnrepro.analysis.claims.table import MARKS
from bnrepro.analysis.render import style

COLOURS = {"holds": style.WITH, "fails": style.WITHOUT}
SMALLEST = 1e-17  # stands for 0 where an axis is logarithmic


@dataclass
class Marks:
    """What a part looks like on its axis, in the unit that is shown; of the plot, and of the page's chart.

    ``values`` are of the seeds, ``interval`` is both its ends or empty, and ``exact`` says that the only value is an
    exact number.
    """

    part: Part
    values: Sequence[float]
    interval: Sequence[float]
    exact: bool

    def __post_init__(self) -> None:
        bound = self.part.rule.bound
        self.logarithmic = self.part.ratio or (self.exact and bound in ("at_most", "at_least"))
        least = SMALLEST if self.logarithmic else -np.inf
        times = UNITS[self.part.unit][0]
        self.values, self.interval, self.edges = (
            np.maximum(times * np.array(numbers, float), least)
            for numbers in (self.values, self.interval, self.part.rule.edges)
        )

    def obeyed(self, low: float, high: float) -> tuple[float, float]:
        """Where the rule is obeyed, on an axis from ``low`` to ``high``."""
        bound = self.part.rule.bound
        if bound in ("within", "between", "equals"):
            return self.edges[0], self.edges[-1]
        return (self.edges[0], high) if bound in ("above", "at_least") else (low, self.edges[0])


def _draw(axes: Axes, judged: Judged) -> None:
    part, estimate = judged.part, judged.estimate
    ends = [estimate.low, estimate.high] if estimate else []
    values = judged.values if estimate else [judged.number]
    marks = Marks(part, values, ends if np.isfinite(ends).all() else [], exact=estimate is None)
    colour = COLOURS.get(judged.verdict, style.POOLED)
    if marks.logarithmic:
        axes.set_xscale("log")
    if len(marks.interval):
        axes.plot(marks.interval, [0, 0], color=colour, lw=3, solid_capstyle="butt", alpha=0.6)
    axes.plot(marks.values, np.zeros(len(marks.values)), "o", ms=4, color=colour, mec="white", mew=0.5)
    for edge in marks.edges:
        axes.axvline(edge, color="black", lw=0.8, ls="--")
    low, high = axes.get_xlim()
    width = None if part.rule.bound == "equals" else 0  # of the outline: a single point has no area
    axes.axvspan(*marks.obeyed(low, high), color=style.WITH, alpha=0.08, lw=width)
    axes.set(xlim=(low, high), ylim=(-1, 1), yticks=[])
    short = not marks.logarithmic or high <= 20 * low
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
    """The measured and exact parts of a claim; blue is where the rule is obeyed, the dashed line its edge."""
    shown = [judged for judged in parts if judged.value is not None]
    figure = Figure(figsize=(8, 0.3 + 0.55 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, judged in zip(panels, shown, strict=True):
        _draw(axes, judged)
    return figure
