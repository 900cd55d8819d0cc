"""Inside a network: the inputs of its nonlinearities, its gradients layer by layer, and its weights."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings import painting
from bnrepro.analysis.claims.drawings.painting import Effect, finish
from bnrepro.analysis.claims.series import FIRST, LAST, Arm
from bnrepro.analysis.render import style


def saturation(arms: list[Arm], deep: list[Arm]) -> Figure:
    """C04, C27: share of a layer's saturated inputs over training, a panel for each arm; final accuracy by depth."""
    figure, panels = painting.panels(1, len(arms) + 1)
    *inside, trainable = panels[0]
    for axes, arm in zip(inside, arms, strict=True):
        painting.layer_lines(axes, [arm], "saturation/share")
        finish(axes, arm.label, "log steps", legend="best", ylim=(0, 1.02))
    inside[0].set_ylabel("saturated share of inputs")
    painting.arm_lines(trainable, deep, lambda records: series.ladder(records, "model.hidden", series.FINAL), "o")
    trainable.xaxis.set_major_locator(MaxNLocator(integer=True))
    labels = {"xlabel": "hidden layers of sigmoids", "ylabel": "final accuracy"}
    finish(trainable, "trainable?", legend="center right", ylim=(0, 1), **labels)
    return figure


def linear_regime(bare: Arm, bn: Arm) -> Figure:
    """C10: the range of each unit's inputs below the sigmoid, 15th to 85th percentile, in one run of each arm."""
    figure, panels = painting.panels(1, 2, width=8)
    x = np.linspace(-8, 8, 161)
    for axes, arm in zip(panels[0], (bare, bn), strict=True):
        axes.axvspan(-2, 2, color="black", alpha=0.06, lw=0)
        axes.plot(x, 1 / (1 + np.exp(-x)), color="black", lw=0.8)
        finish(axes, arm.label, xlim=(-8, 8), ylim=(-1.3, 1.1), yticks=[0, 1], xlabel="input of the sigmoid")
        if not arm.records:
            painting.absent(axes)
            continue
        probes = arm.records[0].probes
        units = probes["percentiles"][-1, probes["layers"] == probes["layers"].max()].astype(float)
        units = units[np.argsort(units[:, 2] - units[:, 0])]
        axes.hlines(np.linspace(-1.25, -0.1, len(units)), units[:, 0], units[:, 2], color=arm.colour, lw=0.6)
    panels[0, 0].set_ylabel("units by width, and g")
    return figure


def before_after(shapes: dict[str, Arm], final: dict[str, Effect]) -> Figure:
    """C18: negentropy of W u and of u by layer, after training; final accuracy with BN before minus after.

    Args:
        shapes: three networks without BN.
        final: the differences of final accuracies.
    """
    figure, panels = painting.panels(2, 2, width=8)
    *negentropies, difference = panels.flat
    for axes, (name, arm) in zip(negentropies, shapes.items(), strict=True):
        inputs, affine = arm._replace(label="u, the layer's input", colour=style.POOLED), arm._replace(label="W u")
        quantities = {"gaussianity/u_negentropy": inputs, "gaussianity/affine_negentropy": affine}
        painting.lines(axes, [(line, series.by_layer(arm.records, key)) for key, line in quantities.items()], "o")
        painting.log_scale(axes)
        finish(axes, f"{name}: negentropy", "layers", legend="best")
    painting.effects(difference, final)
    finish(difference, "final accuracy, before minus after", xlabel="points")
    return figure


def depth(rows: dict[str, list[Arm]]) -> Figure:
    """C02, C25, S5: a row for each network, with its gradients and its movement by layer.

    The gradients are those to the inputs of a layer's nonlinearity, divided by the last layer's. The movement is how
    far these inputs move, divided by their norm, when all weights take a small step.
    """
    columns = (
        ("gradient, first step", "over the last layer's", "gradients/input_rms", FIRST),
        ("gradient, trained", "over the last layer's", "gradients/input_rms", LAST),
        ("movement, trained", "over its norm", "amplification/relative", LAST),
    )
    figure, panels = painting.panels(len(rows), len(columns), 2.5)
    for line, (name, arms) in zip(panels, rows.items(), strict=True):
        for axes, (title, label, quantity, look) in zip(line, columns, strict=True):
            frames = [series.by_layer(arm.records, quantity, look) for arm in arms]
            if quantity.startswith("gradients"):
                frames = [series.over(frame, -1) for frame in frames]
            painting.lines(axes, list(zip(arms, frames, strict=True)), "o")
            painting.log_scale(axes)
            finish(axes, f"{name}: {title}", "layers", legend="best" if axes is line[0] else None, ylabel=label)
    return figure


def weight_growth(bn: Arm, plain: Arm) -> Figure:
    """C24: norm of each layer's weights over that at the first step; with BN, the effective rate, rate over norm²."""
    figure, panels = painting.panels(1, 3)
    *grown, rate = panels[0]

    def growth(frame: pd.DataFrame) -> pd.DataFrame:
        return series.over(frame, 0)

    for axes, arm in zip(grown, (bn, plain), strict=True):
        painting.layer_lines(axes, [arm], "weights/norm", growth)
    top = max(axes.get_ylim()[1] for axes in grown)
    for axes, arm in zip(grown, (bn, plain), strict=True):
        finish(axes, arm.label, "steps", "best", ylabel="weight norm over the first", ylim=(0, top))
    painting.layer_lines(rate, [bn], "weights/norm", lambda frame: growth(frame) ** -2)
    label = "rate / |W|², over the first"
    finish(rate, f"{bn.label}: effective rate", "steps", legend="best", ylabel=label, ylim=(0, 1.05))
    return figure
