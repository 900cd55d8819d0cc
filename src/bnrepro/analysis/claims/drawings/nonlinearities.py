"""What reaches a nonlinearity: saturated, in the linear range, and with BN before it or after."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings.painting import (
    Effect,
    absent,
    accuracy_lines,
    arm_line,
    arm_lines,
    effects,
    layer_lines,
    legend,
    log_scale,
    panels,
    steps,
    title,
)
from bnrepro.analysis.claims.series import Arm
from bnrepro.analysis.render import style


def saturation(arms: list[Arm], deep: list[Arm]) -> Figure:
    """C04, C27: share of a layer's saturated inputs over training, a panel an arm; final accuracy by depth."""
    figure, found = panels(1, len(arms) + 1)
    *inside, trainable = found[0]
    for axes, arm in zip(inside, arms, strict=True):
        layer_lines(axes, [arm], "saturation/share")
        axes.set_ylim(0, 1.02)
        title(axes, arm.label)
        steps(axes, log=True)
        legend(axes)
    inside[0].set_ylabel("saturated share of inputs")
    arm_lines(trainable, deep, lambda r: series.ladder(r, "model.hidden", series.FINAL), "o")
    trainable.set(xlabel="hidden layers of sigmoids", ylabel="final accuracy", ylim=(0, 1))
    trainable.xaxis.set_major_locator(MaxNLocator(integer=True))
    title(trainable, "trainable?")
    legend(trainable, loc="center right")
    return figure


def linear_regime(bare: Arm, bn: Arm) -> Figure:
    """C10: each unit's 15th to 85th percentile below the sigmoid, last layer after training, seed 0; R² of a line."""
    figure, found = panels(1, 3)
    x = np.linspace(-8, 8, 161)
    for axes, arm in zip(found[0], (bare, bn), strict=False):
        axes.axvspan(-2, 2, color="black", alpha=0.06, lw=0)
        axes.plot(x, 1 / (1 + np.exp(-x)), color="black", lw=0.8)
        axes.set(xlim=(-8, 8), ylim=(-1.3, 1.1), yticks=[0, 1], xlabel="input of the sigmoid")
        title(axes, arm.label)
        if not arm.records:
            absent(axes)
            continue
        probes = arm.records[0].probes
        units = probes["percentiles"][-1, probes["layers"] == probes["layers"].max()].astype(float)
        units = units[np.argsort(units[:, 2] - units[:, 0])]
        axes.hlines(np.linspace(-1.25, -0.1, len(units)), units[:, 0], units[:, 2], color=arm.colour, lw=0.6)
    found[0, 0].set_ylabel("units by width, and g")
    straight = found[0, 2]
    layer_lines(straight, [bare, bn], "linearity/r2")
    straight.set(
        ylabel="R² of a line through g", ylim=(1.3 * straight.get_ylim()[0] - 0.3, 1.005)
    )  # room for the legend
    title(straight, "how straight? Layers 1 (dotted) to 3")
    steps(straight)
    legend(straight, loc="lower left")
    return figure


def before_after(shapes: dict[str, Arm], runs: dict[str, list[Arm]], final: dict[str, Effect]) -> Figure:
    """C18: negentropy of W u and of u by layer, after training; accuracy with BN before and after; the difference.

    Args:
        shapes: three networks without BN.
        runs: two networks with BN before and after the nonlinearity.
        final: their final accuracies, before minus after.
    """
    figure, found = panels(2, 3)
    for axes, (name, arm) in zip(found[0], shapes.items(), strict=True):
        affine, inputs = arm._replace(label="W u"), arm._replace(label="u, the layer's input", colour=style.POOLED)
        drawn = [
            arm_line(axes, series.by_layer(arm.records, f"gaussianity/{what}_negentropy"), one, "o")
            for what, one in (("u", inputs), ("affine", affine))
        ]
        if not any(drawn):
            absent(axes)
        log_scale(axes)
        axes.set_xlabel("layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        title(axes, f"{name}: negentropy")
        legend(axes)
    *curves, last = found[1]
    for axes, (name, arms) in zip(curves, runs.items(), strict=True):
        accuracy_lines(axes, arms, name, log=True)
    effects(last, final)
    last.set_xlabel("points")
    title(last, "final accuracy, before minus after")
    return figure
