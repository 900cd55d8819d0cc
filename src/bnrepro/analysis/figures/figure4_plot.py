"""The drawing of Figure 4: error against the number of networks and of crops, and how far confidence can be trusted."""

import textwrap

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bnrepro.analysis.figures.figure4 import CLAIMED_CROPS, Evaluation, by_size, calibration_error, reliability
from bnrepro.analysis.render import style

COLOURS = {1: style.WITHOUT, 10: style.SIGMOID, 144: style.WITH}


def draw(evaluation: Evaluation, title: str) -> Figure:
    """Draw (a) top-1 and (b) top-5 error by the number of networks, and (c) a reliability diagram."""
    figure = Figure(figsize=(7.2, 3.4))
    first, fifth, reliable = panels = figure.subplots(1, 3)
    all_crops = evaluation.info["crops"]
    for axes, top, letter in ((first, 1, "a"), (fifth, 5, "b")):
        for k, crops in enumerate(all_crops):
            shift = 0.13 * (k - (len(all_crops) - 1) / 2)
            label = f"{crops} crop{'s' * (crops > 1)}"
            style.draw_ranges(axes, by_size(evaluation, crops, top=top), COLOURS[crops], label, shift=shift)
        axes.set_title(f"({letter}) top-{top} error")
        axes.set_xlabel("networks together")
        axes.set_xticks(range(1, evaluation.count + 1))
    first.legend(fontsize=8)
    most = CLAIMED_CROPS if CLAIMED_CROPS in all_crops else max(all_crops)
    top = 0.0
    for name, networks, colour in (("one", (1,), style.WITHOUT), ("all", evaluation.everyone, style.WITH)):
        bins = reliability(evaluation, most, networks)
        error = calibration_error(evaluation, most, networks)
        reliable.plot(bins["confidence"], bins["accuracy"], color=colour, label=f"{name}: off by {error:.1%}")
        areas = 200 * bins["images"] / bins["images"].sum()
        reliable.scatter(bins["confidence"], bins["accuracy"], areas, color=colour, alpha=0.6, lw=0)
        top = max(top, *bins["confidence"], *bins["accuracy"])
    reliable.plot([0, top], [0, top], color="black", lw=0.8, ls=":")
    reliable.set(xlabel="confidence", xlim=(0, None), ylim=(0, None))
    reliable.set_title(f"(c) accuracy, {most} crops")
    reliable.xaxis.set_major_formatter(PercentFormatter(1))
    reliable.legend(fontsize=8)
    for axes in panels:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    caption = f"{title}. (a, b): mean and range over all choices of that many networks. (c): areas are images."
    figure.suptitle(textwrap.fill(caption, 100))
    return figure
