"""The plot of a claim: each part on its own axis, with its seeds, its interval and the range that its rule allows."""

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
SMALLEST = 1e-17  # stands for 0 on a logarithmic axis


@dataclass
class Marks:
    """The values that a part shows on its axis, in the unit that is shown; this plot and the results page use it."""

    part: Part
    values: Sequence[float]  # of the seeds
    interval: Sequence[float]  # both ends, or empty
    exact: bool  # the only value is an exact number

    def __post_init__(self) -> None:
        rule = self.part.rule
        self.logarithmic = self.part.ratio or (self.exact and rule.bound in ("at_most", "at_least"))
        least = SMALLEST if self.logarithmic else -np.inf
        times = UNITS[self.part.unit][0]
        self.values, self.interval, self.edges = (
            np.maximum(times * np.array(numbers, float), least) for numbers in (self.values, self.interval, rule.edges)
        )

    def obeyed(self, low: float, high: float) -> tuple[float, float]:
        """The range that obeys the rule, on an axis from ``low`` to ``high``."""
        least, most = self.part.rule.allowed
        return (self.edges[0] if np.isfinite(least) else low), (self.edges[-1] if np.isfinite(most) else high)


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
    width = None if part.rule.bound == "equals" else 0  # a single point has no area, so its outline shows it
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
    """Draw the measured and the exact parts of a claim; the rule allows the blue range between the dashed lines."""
    shown = [judged for judged in parts if judged.value is not None]
    figure = Figure(figsize=(8, 0.3 + 0.55 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, judged in zip(panels, shown, strict=True):
        _draw(axes, judged)
    return figure
