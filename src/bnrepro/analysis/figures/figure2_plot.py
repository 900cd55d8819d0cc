"""Figure 2 drawn: validation accuracy against steps, a panel per reading."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure2 import BASELINE
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.load import Arms, Record
from bnrepro.analysis.render import style

COLOURS = {  # by `figure2.plain_name`
    "inception": style.WITHOUT,
    "bn_baseline": style.WITH,
    "bn_x5": style.X5,
    "bn_x30": style.X30,
    "bn_x5_sigmoid": style.SIGMOID,
    "inception_x5": style.TOO_FAST,
    "inception_sigmoid": style.SIGMOID_WITHOUT,
    "inception_changes": style.WITHOUT,  # a control has the colour of what it is the control of
    "inception_changes_x5": style.X5,
    "inception_changes_x30": style.X30,
    "googlenet": style.WITHOUT,
    "bn_googlenet": style.WITH,
}
EXTRA = {"Equal budget": (*figure2.CONTROLS, "inception_x5", "inception_sigmoid")}  # drawn in that panel, too


def line_style(variant: str) -> str:
    """Dashed for a control, dotted for what the paper says fails."""
    return "--" if variant in figure2.CONTROLS else ":" if variant in figure2.FAILING else "-"


def _draw(axes: Axes, title: str, records: list[Record], goal: float, colour: str, line: str) -> None:
    """One network; a ring where its median seed reaches the target, a cross where its first seed diverges."""
    curves = figure2.until_divergence(records)
    diverged = [record.status["diverged_at"] for record in records if record.diverged]
    style.draw_seeds(axes, curves, colour, f"{title} (n = {len(records)})", line)
    mean = curves.mean(axis=1)
    if diverged:
        axes.plot(min(diverged), mean.iloc[-1] if len(mean) else 0.0, "x", color=colour)
    elif np.isfinite(step := np.median(figure2.steps(records, goal))):
        axes.plot(step, goal, "o", color=colour, mfc="white", zorder=3)


def draw(arms: Arms, own: Arms | None = None) -> Figure:
    """A panel per reading, the controls dashed in the first.

    Variants of one's ``own`` are drawn in the first panel if they train as long as Inception, else in the last.
    """
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    panels = figure.subplots(1, len(figure2.READINGS), sharey=True)
    goal = figure2.target(arms[BASELINE])
    for axes, letter, (name, variants) in zip(panels, "abc", figure2.READINGS.items(), strict=True):
        axes.axhline(goal, color="black", lw=0.6, ls=(0, (1, 2)))
        for variant in (*variants, *EXTRA.get(name, ())):
            if variant in arms:
                colour = COLOURS[figure2.plain_name(variant)]
                _draw(axes, figure2.title(variant), arms[variant], goal, colour, line_style(variant))
        for variant, colour in style.own_colours(own or {}).items():
            whole = own[variant][0].status["steps"] == arms[BASELINE][0].status["steps"]
            if letter == ("a" if whole else "c"):
                _draw(axes, variant, own[variant], goal, colour, "-.")
        axes.set_title(f"({letter}) {name[0].lower()}{name[1:]}", loc="left", fontsize=9)
        axes.set_xlabel("training steps")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=7)
    key = "rings: the median seed is at 95 % of Inception's final accuracy (dotted line); crosses: divergence"
    figure.suptitle(f"{dataset.title(arms[BASELINE][0])}; {key}", fontsize=8)
    panels[0].set(ylim=(0, None), ylabel="validation accuracy (mean, range over seeds)")
    return figure
