"""The drawing of Figure 2: validation accuracy against steps, a panel per reading."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure2 import BASELINE
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.curves import accuracies
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
    "inception_changes": style.WITHOUT,  # a control has the colour of the network with BN
    "inception_changes_x5": style.X5,
    "inception_changes_x30": style.X30,
}
EXTRA = {"Equal budget": (*figure2.CONTROLS, "inception_x5", "inception_sigmoid")}  # more networks in a panel


def line_style(variant: str) -> str:
    """Return a dashed line for a control, and a dotted one for a network that fails in the paper."""
    return "--" if variant in figure2.CONTROLS else ":" if variant in figure2.FAILING else "-"


def _draw(axes: Axes, records: list[Record], goal: float, colour: str, line: str) -> tuple[float, float]:
    """Draw a network and return the end of its curve.

    A ring shows where the median seed reaches the target, a cross where the first seed diverges.
    """
    end = style.draw_seeds(axes, figure2.until_divergence(records), colour, line=line)
    if any(record.diverged for record in records):
        axes.plot(*end, "x", color=colour)
    elif np.isfinite(step := np.median(figure2.steps(records, goal))):
        axes.plot(step, goal, "o", color=colour, mfc="white", zorder=3)
    return end


def _draw_reading(axes: Axes, shown: dict[str, tuple[list[Record], str, str]], goal: float, gap: float) -> None:
    """Draw the networks of one reading, by name: records, colour and line. Name those that never leave chance."""
    untrainable = [name for name, (records, _, _) in shown.items() if all(map(figure2.untrainable, records))]
    ends = [
        (*_draw(axes, records, goal, colour, line), name, colour)
        for name, (records, colour, line) in shown.items()
        if name not in untrainable
    ]
    axes.axhline(goal, color="black", lw=0.6, ls=(0, (1, 2)))
    style.label_ends(axes, ends, gap)
    if untrainable:
        words = textwrap.fill(f"not trainable: {'; '.join(untrainable)}", 40)
        axes.text(0.02, 0.97, words, ha="left", va="top", transform=axes.transAxes, fontsize=8)


def draw(arms: Arms, user_variants: Arms | None = None) -> Figure:
    """Draw a panel per reading; the first also has the controls, dashed.

    ``user_variants`` are in the first panel if they train as long as Inception, else in the last.
    """
    figure = Figure(figsize=(7, 6.4))
    panels = figure.subplot_mosaic("aa;bc", height_ratios=(1.3, 1))
    goal = figure2.target(arms[BASELINE])
    budget = arms[BASELINE][0].status["steps"]
    top = max(accuracies(records).max(axis=None) for records in (*arms.values(), *(user_variants or {}).values()))
    counts = {}  # the number of seeds of each network that is drawn
    for (letter, axes), (name, variants) in zip(panels.items(), figure2.READINGS.items(), strict=True):
        shown = {}
        for variant in (*variants, *EXTRA.get(name, ())):
            if variant in arms:
                network = figure2.plain_name(variant)
                shown[figure2.TITLES[network]] = arms[variant], COLOURS[network], line_style(variant)
                counts[figure2.title(variant)] = len(arms[variant])
        for variant, colour in style.user_colours(user_variants or {}).items():
            if letter == ("a" if user_variants[variant][0].status["steps"] == budget else "c"):
                shown[variant] = user_variants[variant], colour, "-."
                counts[variant] = len(user_variants[variant])
        longest = max(records[0].status["steps"] for records, _, _ in shown.values())
        axes.set(xlim=(0, 1.02 * longest), ylim=(0, 1.05 * top))
        _draw_reading(axes, shown, goal, gap=0.055 if letter == "a" else 0.08)
        axes.set_title(f"({letter}) {name[0].lower()}{name[1:]}")
        style.steps_axis(axes)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for letter in "ab":
        panels[letter].set_ylabel("validation accuracy")
    key = "Rings: the median seed reaches 95 % of Inception's final accuracy (dotted line)."
    caption = f"{dataset.title(arms[BASELINE][0])}. Mean and range, {style.seeds(counts)}. {key}"
    figure.suptitle(textwrap.fill(caption, 100))
    return figure
