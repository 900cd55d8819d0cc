"""Inside a network: what reaches its nonlinearities, what goes up and comes down its layers, and its weights."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings import painting
from bnrepro.analysis.claims.drawings.painting import Effect, finish
from bnrepro.analysis.claims.series import FIRST, LAST, Arm
from bnrepro.analysis.render import style


def saturation(arms: list[Arm], deep: list[Arm]) -> Figure:
    """C04, C27: share of a layer's saturated inputs over training, a panel per arm; final accuracy by depth."""
    figure, panels = painting.panels(1, len(arms) + 1)
    *inside, trainable = panels[0]
    for axes, arm in zip(inside, arms, strict=True):
        painting.layer_lines(axes, [arm], "saturation/share")
        finish(axes, arm.label, "log steps", legend="best", ylim=(0, 1.02))
    inside[0].set_ylabel("saturated share of inputs")
    painting.arm_lines(trainable, deep, lambda r: series.ladder(r, "model.hidden", series.FINAL), "o")
    trainable.xaxis.set_major_locator(MaxNLocator(integer=True))
    labels = {"xlabel": "hidden layers of sigmoids", "ylabel": "final accuracy"}
    finish(trainable, "trainable?", legend="center right", ylim=(0, 1), **labels)
    return figure


def linear_regime(bare: Arm, bn: Arm) -> Figure:
    """C10: each unit's 15th to 85th percentile below the sigmoid, last layer after training, seed 0; R² of a line."""
    figure, panels = painting.panels(1, 3)
    x = np.linspace(-8, 8, 161)
    for axes, arm in zip(panels[0], (bare, bn), strict=False):
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
    straight = panels[0, 2]
    painting.layer_lines(straight, [bare, bn], "linearity/r2")
    limits = (1.3 * straight.get_ylim()[0] - 0.3, 1.005)  # room for the legend
    title = "how straight? Layers 1 (dotted) to 3"
    finish(straight, title, "steps", legend="lower left", ylabel="R² of a line through g", ylim=limits)
    return figure


def before_after(shapes: dict[str, Arm], runs: dict[str, list[Arm]], final: dict[str, Effect]) -> Figure:
    """C18: negentropy of W u and of u by layer, after training; accuracy with BN before and after; the difference.

    Args:
        shapes: three networks without BN.
        runs: two networks with BN before and after the nonlinearity.
        final: their final accuracies, before minus after.
    """
    figure, panels = painting.panels(2, 3)
    for axes, (name, arm) in zip(panels[0], shapes.items(), strict=True):
        inputs, affine = arm._replace(label="u, the layer's input", colour=style.POOLED), arm._replace(label="W u")
        frames = [series.by_layer(arm.records, f"gaussianity/{kind}_negentropy") for kind in ("u", "affine")]
        drawn = [painting.arm_line(axes, *pair, "o") for pair in zip(frames, (inputs, affine), strict=True)]
        if not any(drawn):
            painting.absent(axes)
        painting.log_scale(axes)
        finish(axes, f"{name}: negentropy", "layers", legend="best")
    *curves, last = panels[1]
    for axes, (name, arms) in zip(curves, runs.items(), strict=True):
        painting.accuracy_lines(axes, arms, name, "log steps")
    painting.effects(last, final)
    finish(last, "final accuracy, before minus after", xlabel="points")
    return figure


def depth(rows: dict[str, list[Arm]]) -> Figure:
    """C02, C25, S5: a row per network; what comes down to each layer, and what goes up.

    On the left gradients to the inputs of a layer's nonlinearity, over the last layer's, at the first step and after
    training; on the right how far these inputs move, over their norm, with a small step of all weights.
    """
    columns = (
        ("gradient, first step", "over the last layer's", "gradients/input_rms", FIRST),
        ("gradient, trained", "over the last layer's", "gradients/input_rms", LAST),
        ("movement, trained", "over its norm", "amplification/relative", LAST),
    )
    figure, panels = painting.panels(len(rows), len(columns), 2.5)
    for line, (name, arms) in zip(panels, rows.items(), strict=True):
        for axes, (title, label, quantity, look) in zip(line, columns, strict=True):
            down = quantity.startswith("gradients")

            def values(records, quantity=quantity, look=look, down=down):
                frame = series.by_layer(records, quantity, look)
                return painting.over(frame, -1) if down else frame

            painting.arm_lines(axes, arms, values, "o")
            painting.log_scale(axes)
            if down and axes.lines:
                axes.axhline(1, color="black", lw=0.6, ls=":")
            first = axes is line[0]
            finish(axes, f"{name}: {title}", "layers", legend="best" if first else None, ylabel=label)
    for axes in panels[:-1].flat:
        axes.set_xlabel("")
    return figure


def singular_values(networks: dict[str, list[Arm]]) -> Figure:
    """C25: 10th percentile, median and 90th of the singular values of each layer's Jacobian at the first step."""
    figure, panels = painting.panels(1, len(networks), width=8)
    for axes, (name, arms) in zip(panels[0], networks.items(), strict=True):
        for arm in arms:
            low, median, high = (
                series.by_layer(arm.records, f"jacobian/{p}", FIRST).mean(axis=1) for p in ("p10", "p50", "p90")
            )
            if painting.arm_line(axes, median.to_frame(), arm, "o"):
                axes.fill_between(low.index, low, high, color=arm.colour, alpha=0.15, lw=0)
        axes.axhline(1, color="black", lw=0.6, ls=":")
        legend = "upper right" if axes is panels[0, 0] else None
        finish(axes, name, legend=legend, xlabel="layer", ylim=(0, None))
    panels[0, 0].set_ylabel("singular values")
    return figure


def weight_growth(bn: Arm, plain: Arm) -> Figure:
    """C24: norm of each layer's weights over that at the first step; with BN, the effective rate, rate over norm²."""
    figure, panels = painting.panels(1, 3)
    *grown, rate = panels[0]
    for axes, arm in zip(grown, (bn, plain), strict=True):
        painting.layer_lines(axes, [arm], "weights/norm", lambda frame: painting.over(frame, 0))
        axes.axhline(1, color="black", lw=0.6, ls=":")
    top = max(axes.get_ylim()[1] for axes in grown)
    painting.layer_lines(rate, [bn], "weights/norm", lambda frame: painting.over(frame, 0) ** -2)
    for axes, arm in zip(grown, (bn, plain), strict=True):
        finish(axes, arm.label, "steps", "best", ylabel="weight norm over the first", ylim=(0, top))
    label = "rate / |W|², over the first"
    finish(rate, f"{bn.label}: effective rate", "steps", legend="best", ylabel=label, ylim=(0, 1.05))
    return figure
