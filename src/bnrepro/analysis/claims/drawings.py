"""Claims drawn for a reader: each drawing is a figure of some records, made for what one claim is about.

Lines are means over seeds and bands their whole range. What has no record yet is said to be not measured yet.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from bnrepro.analysis import style
from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.painting import (
    ABSENT,
    Effect,
    absent,
    arm_line,
    arm_lines,
    dots,
    effects,
    layer_lines,
    legend,
    log_scale,
    over,
    panels,
    steps,
    title,
)
from bnrepro.analysis.claims.series import FIRST, LAST, Arm
from bnrepro.analysis.drift import layer_drift

FINAL = {"final": "val/top1"}
STATISTICS = {
    "as they are": "statistics/population",
    "each mini-batch's own": "statistics/batch",
    "shifted": "statistics/shifted",
    "shifted, adapted": "statistics/shifted_adapted",
}


def _accuracy(axes: Axes, arms: list[Arm], what: str, log: bool = False) -> None:
    arm_lines(axes, arms, series.accuracy)
    axes.set_ylim(0, None)
    title(axes, f"{what}: accuracy")
    steps(axes, log)
    legend(axes)


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
    arm_lines(trainable, deep, lambda r: series.ladder(r, "model.hidden", FINAL), "o")
    trainable.set(xlabel="hidden layers of sigmoids", ylabel="final accuracy", ylim=(0, 1))
    trainable.xaxis.set_major_locator(MaxNLocator(integer=True))
    title(trainable, "trainable?")
    legend(trainable, loc="center right")
    return figure


def without_gradient(numbers: dict[str, dict[str, float]], trained: list[Arm], inception: list[Arm]) -> Figure:
    """C06, C07: the toys' bias and scale; weight norms and accuracies of trained networks.

    Args:
        numbers: of the exact claims, by claim.
        trained: networks of Fig. 1 whose weights were looked at.
        inception: networks of Fig. 2.
    """
    figure, found = panels(2, 2, width=8)
    toy, norms, small, large = found.flat
    looks = (250, 500, 750, 1000)
    for name, claim, start, line in (("bias", "C06", 0, "--"), ("scale", "C07", 1, "-")):
        values = [start, *(numbers[claim][f"{name}_at_{step}"] for step in looks)]
        ignored = f"{name}, its statistic a constant to the gradient"
        toy.plot((0, *looks), values, f"o{line}", ms=3, color=style.WITHOUT, label=ignored)
        toy.plot((0, *looks), [start] * 5, line, color=style.WITH, label=f"{name}, seen by the gradient")
    toy.set(ylabel="learnt value", yscale="symlog", ylim=(-0.05, 1e5))
    title(toy, "toy")
    steps(toy)
    legend(toy, loc="upper right")
    layer_lines(norms, trained, "weights/norm")
    log_scale(norms)
    norms.set_ylabel("norm of a layer's weights")
    title(norms, "network of Fig. 1, layers 1 (dotted) to 3")
    steps(norms)
    _accuracy(small, trained, "network of Fig. 1")
    _accuracy(large, inception, "Inception")
    return figure


def whitening(numbers: dict[str, float]) -> Figure:
    """C08: cost of whitening over that of BN by width; growth of its gradient as two eigenvalues meet."""
    figure, found = panels(1, 2, width=8)
    cost, growth = found[0]
    ratios = {int(name.split("_")[-1]): v for name, v in numbers.items() if name.startswith("time_ratio_")}
    widths = sorted(ratios)
    cost.plot(widths, [ratios[w] for w in widths], "o-", ms=4, color=style.WITHOUT, label="ZCA whitening over BN")
    cost.plot(widths, [ratios[widths[0]] * w / widths[0] for w in widths], ":", color="black", label="in proportion")
    cost.axhline(1, color=style.WITH, label="BN")
    cost.set(xscale="log", yscale="log", xlabel="units of the layer", ylabel="time, forward and back")
    cost.minorticks_off()
    cost.set_xticks(widths, [str(w) for w in widths])
    title(cost, "cost")
    legend(cost)
    gaps = {"1e_3": 1e-3, "1e_6": 1e-6}
    for kind, colour in (("pca", style.WITHOUT), ("zca", style.WITH)):
        grown = [1.0, *(numbers[f"{kind}_gradient_growth_gap_{name}"] for name in gaps)]
        growth.plot([0.5, *gaps.values()], grown, "o-", ms=4, color=colour, label=f"{kind.upper()} whitening")
    growth.set(xscale="log", yscale="log", xlabel="gap between two eigenvalues", ylabel="gradient, over that at 0.5")
    growth.invert_xaxis()
    growth.minorticks_off()
    title(growth, "gradient")
    legend(growth)
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


def company(sizes: list[Arm], adapted: Arm) -> Figure:
    """C14, C15, C48: accuracy and noise of the logits by the size of the mini-batch; accuracy by whose statistics.

    Args:
        sizes: arms of all sizes, that with BN first.
        adapted: an arm with accuracies under other statistics.
    """
    figure, found = panels(1, 3)
    accuracy, noisy, swap = found[0]
    key, share = "training.batch_size", {"probe": "batch_noise/share", "sites": "first", "at": "last"}
    arm_lines(accuracy, sizes, lambda r: series.ladder(r, key, FINAL), "o")
    arm_lines(noisy, sizes[:1], lambda r: series.ladder(r, key, share), "o")
    log_scale(noisy)
    for axes, what in ((accuracy, "final accuracy"), (noisy, "noise of the logits, with BN")):
        if ticks := sorted({int(x) for line in axes.lines for x in line.get_xdata()}):
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [str(size) for size in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("images in a mini-batch")
        title(axes, what)
        legend(axes)
    table = [[r.status["final"].get(name) for name in STATISTICS.values()] for r in adapted.records if not r.diverged]
    for row in (row for row in table if None not in row):
        swap.plot(range(len(STATISTICS)), row, "o-", ms=4, lw=0.8, color=adapted.colour, alpha=0.7)
    swap.set_xticks(range(len(STATISTICS)), [name.replace(" ", "\n", 1) for name in STATISTICS], fontsize=7)
    swap.set_ylim(0, None)
    if not swap.lines:
        absent(swap)
    title(swap, f"{adapted.label}: accuracy by statistics")
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
        _accuracy(axes, arms, name, log=True)
    effects(last, final)
    last.set_xlabel("points")
    title(last, "final accuracy, before minus after")
    return figure


def depth(rows: dict[str, list[Arm]]) -> Figure:
    """C02, C25, S5: a row a network; what comes down to each layer, and what goes up.

    On the left gradients to the inputs of a layer's nonlinearity, over the last layer's, at the first step and after
    training; on the right how far these inputs move, over their norm, with a small step of all weights.
    """
    columns = (
        ("gradient, first step", "over the last layer's", "gradients/input_rms", FIRST),
        ("gradient, trained", "over the last layer's", "gradients/input_rms", LAST),
        ("movement, trained", "over its norm", "amplification/relative", LAST),
    )
    figure, found = panels(len(rows), len(columns), 2.5)
    for line, (name, arms) in zip(found, rows.items(), strict=True):
        for axes, (what, words, quantity, look) in zip(line, columns, strict=True):
            down = quantity.startswith("gradients")

            def values(records, quantity=quantity, look=look, down=down):
                frame = series.by_layer(records, quantity, look)
                return over(frame, -1) if down else frame

            arm_lines(axes, arms, values, "o")
            log_scale(axes)
            if down and axes.lines:
                axes.axhline(1, color="black", lw=0.6, ls=":")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_ylabel(words)
            title(axes, f"{name}: {what}")
        legend(line[0])
    for axes in found[-1]:
        axes.set_xlabel("layer")
    return figure


def singular_values(networks: dict[str, list[Arm]]) -> Figure:
    """C25: 10th percentile, median and 90th of the singular values of each layer's Jacobian at the first step."""
    figure, found = panels(1, len(networks), width=8)
    for axes, (name, arms) in zip(found[0], networks.items(), strict=True):
        for arm in arms:
            low, median, high = (
                series.by_layer(arm.records, f"jacobian/{p}", FIRST).mean(axis=1) for p in ("p10", "p50", "p90")
            )
            if arm_line(axes, median.to_frame(), arm, "o"):
                axes.fill_between(low.index, low, high, color=arm.colour, alpha=0.15, lw=0)
        axes.axhline(1, color="black", lw=0.6, ls=":")
        axes.set(xlabel="layer", ylim=(0, None))
        title(axes, name)
    found[0, 0].set_ylabel("singular values")
    legend(found[0, 0], loc="upper right")
    return figure


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


def noise(runs: dict[str, list[Arm]], inside: list[Arm]) -> Figure:
    """C13: accuracy with BN, noisy BN and none; training loss of the last; wandering; shift of gradients.

    Args:
        runs: three settings by title, the third without percentiles in its probes.
        inside: arms whose shift of gradients was looked at.
    """
    figure, found = panels(2, 3)
    for axes, (name, arms) in zip(found[0], runs.items(), strict=True):
        _accuracy(axes, arms, name)
    *probed, (last, arms) = runs.items()
    loss, wander, shift = found[1]
    arm_lines(loss, arms, lambda r: series.column(r, "train/loss"))
    title(loss, f"{last}: training loss")
    steps(loss)
    dots(wander, dict(probed), lambda r: layer_drift(r.probes, -1))
    wander.set(xscale="log", xlabel="path of the median over the width")
    title(wander, "wandering of the last layer's inputs")
    arm_lines(shift, inside, lambda r: series.by_step(r, "shift/relative", -1))
    shift.set(ylabel="over its norm", ylim=(0, None))
    title(shift, "shift of the last hidden layer's gradient")
    steps(shift, log=True)
    legend(shift)
    return figure


def changes(rows: dict[str, Effect]) -> Figure:
    """C29, C39 to C43: a row a change, and what it adds to the final accuracy."""
    figure, found = panels(1, 1, 0.7 + 0.32 * len(rows), width=8)
    effects(found[0, 0], rows)
    found[0, 0].set_xlabel("final accuracy, change made minus not made, points")
    return figure
