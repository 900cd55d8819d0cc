"""At which rates and with which initial weights a network learns, and what the weights make of the rate."""

from matplotlib.figure import Figure

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings.painting import (
    ABSENT,
    absent,
    arm_line,
    layer_lines,
    legend,
    over,
    panels,
    steps,
    title,
)
from bnrepro.analysis.claims.series import Arm
from bnrepro.analysis.render import style


def ladders(climbs: dict[str, tuple[list[Arm], str, str, str]]) -> Figure:
    """C21, C26: final accuracy over a key that climbs; dotted, half of each arm's best.

    Args:
        climbs: by title: arms, the key, its name in words, the column of the accuracy.
    """
    figure, found = panels(1, len(climbs))
    for axes, (name, (arms, key, words, column)) in zip(found[0], climbs.items(), strict=True):
        climbed = [series.ladder(arm.records, key, {"final": column}) for arm in arms]
        drawn = [arm_line(axes, frame, arm, "o") for arm, frame in zip(arms, climbed, strict=True)]
        if not any(drawn):
            absent(axes)
        for arm, frame in zip(arms, climbed, strict=True):
            if len(frame):
                axes.axhline(frame.mean(axis=1).max() / 2, color=arm.colour, lw=0.8, ls=":")
                axes.set_xscale("log")
        if max(map(len, climbed)) == 1:
            axes.text(0.5, 0.15, f"other rungs {ABSENT}", transform=axes.transAxes, ha="center", color=style.POOLED)
        axes.set(xlabel=words, ylabel="final accuracy", ylim=(0, None))
        title(axes, name)
        legend(axes)
    return figure


def weight_growth(bn: Arm, plain: Arm) -> Figure:
    """C24: norm of each layer's weights over that at the first step; with BN, the effective rate, rate over norm²."""
    figure, found = panels(1, 3)
    *grown, rate = found[0]
    for axes, arm in zip(grown, (bn, plain), strict=True):
        layer_lines(axes, [arm], "weights/norm", lambda frame: over(frame, 0))
        axes.axhline(1, color="black", lw=0.6, ls=":")
        axes.set_ylabel("weight norm over the first")
        title(axes, arm.label)
    top = max(axes.get_ylim()[1] for axes in grown)
    layer_lines(rate, [bn], "weights/norm", lambda frame: over(frame, 0) ** -2)
    rate.set_ylabel("rate / |W|², over the first")
    title(rate, f"{bn.label}: effective rate")
    for axes, most in ((grown[0], top), (grown[1], top), (rate, 1.05)):
        axes.set_ylim(0, most)
        steps(axes)
        legend(axes)
    return figure
