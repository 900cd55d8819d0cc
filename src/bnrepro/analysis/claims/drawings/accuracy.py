"""How well a network learns, by what it is normalised with, by rate and initial weights, and change by change."""

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings import painting
from bnrepro.analysis.claims.drawings.painting import ABSENT, Effect, finish
from bnrepro.analysis.claims.series import Arm
from bnrepro.analysis.reading.drift import layer_drift
from bnrepro.analysis.render import style

STATISTICS = {
    "as they are": "statistics/population",
    "each mini-batch's own": "statistics/batch",
    "shifted": "statistics/shifted",
    "shifted, adapted": "statistics/shifted_adapted",
}


def without_gradient(numbers: dict[str, dict[str, float]], trained: list[Arm], inception: list[Arm]) -> Figure:
    """C06, C07: the toys' bias and scale; weight norms and accuracies of trained networks.

    Args:
        numbers: of the exact claims, by claim.
        trained: networks of Fig. 1 whose weights were looked at.
        inception: networks of Fig. 2.
    """
    figure, panels = painting.panels(2, 2, width=8)
    toy, norms, small, large = panels.flat
    looks = (250, 500, 750, 1000)
    for name, claim, start, line in (("bias", "C06", 0, "--"), ("scale", "C07", 1, "-")):
        values = [start, *(numbers[claim][f"{name}_at_{step}"] for step in looks)]
        ignored = f"{name}, its statistic a constant to the gradient"
        toy.plot((0, *looks), values, f"o{line}", ms=3, color=style.WITHOUT, label=ignored)
        toy.plot((0, *looks), [start] * 5, line, color=style.WITH, label=f"{name}, seen by the gradient")
    finish(toy, "toy", "steps", legend="upper right", ylabel="learnt value", yscale="symlog", ylim=(-0.05, 1e5))
    painting.layer_lines(norms, trained, "weights/norm")
    painting.log_scale(norms)
    title = "network of Fig. 1, layers 1 (dotted) to 3"
    finish(norms, title, "steps", ylabel="norm of a layer's weights")
    painting.accuracy_lines(small, trained, "network of Fig. 1")
    painting.accuracy_lines(large, inception, "Inception")
    return figure


def whitening(numbers: dict[str, float]) -> Figure:
    """C08: cost of whitening over that of BN by width; growth of its gradient as two eigenvalues meet."""
    figure, panels = painting.panels(1, 2, width=8)
    cost, growth = panels[0]
    ratios = {int(name.split("_")[-1]): v for name, v in numbers.items() if name.startswith("time_ratio_")}
    widths = sorted(ratios)
    cost.plot(widths, [ratios[w] for w in widths], "o-", ms=4, color=style.WITHOUT, label="ZCA whitening over BN")
    cost.plot(widths, [ratios[widths[0]] * w / widths[0] for w in widths], ":", color="black", label="in proportion")
    cost.axhline(1, color=style.WITH, label="BN")
    gaps = {"1e_3": 1e-3, "1e_6": 1e-6}
    for kind, colour in (("pca", style.WITHOUT), ("zca", style.WITH)):
        grown = [1.0, *(numbers[f"{kind}_gradient_growth_gap_{name}"] for name in gaps)]
        growth.plot([0.5, *gaps.values()], grown, "o-", ms=4, color=colour, label=f"{kind.upper()} whitening")
    logs = {"xscale": "log", "yscale": "log"}
    finish(cost, "cost", legend="best", xlabel="units of the layer", ylabel="time, forward and back", **logs)
    labels = {"xlabel": "gap between two eigenvalues", "ylabel": "gradient, over that at 0.5"}
    finish(growth, "gradient", legend="best", **labels, **logs)
    growth.invert_xaxis()
    for axes in (cost, growth):
        axes.minorticks_off()
    cost.set_xticks(widths, [str(w) for w in widths])
    return figure


def company(sizes: list[Arm], adapted: Arm) -> Figure:
    """C14, C15, C48: accuracy and noise of the logits by the size of the mini-batch; accuracy by whose statistics.

    Args:
        sizes: arms of all sizes, that with BN first.
        adapted: an arm with accuracies under other statistics.
    """
    figure, panels = painting.panels(1, 3)
    accuracy, noisy, swap = panels[0]
    key, share = "training.batch_size", {"probe": "batch_noise/share", "sites": "first", "at": "last"}
    painting.arm_lines(accuracy, sizes, lambda r: series.ladder(r, key, series.FINAL), "o")
    painting.arm_lines(noisy, sizes[:1], lambda r: series.ladder(r, key, share), "o")
    painting.log_scale(noisy)
    for axes, title in ((accuracy, "final accuracy"), (noisy, "noise of the logits, with BN")):
        if ticks := sorted({int(x) for line in axes.lines for x in line.get_xdata()}):
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [str(size) for size in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        finish(axes, title, legend="best", xlabel="images in a mini-batch")
    table = [[r.status["final"].get(name) for name in STATISTICS.values()] for r in adapted.records if not r.diverged]
    for row in (row for row in table if None not in row):
        swap.plot(range(len(STATISTICS)), row, "o-", ms=4, lw=0.8, color=adapted.colour, alpha=0.7)
    swap.set_xticks(range(len(STATISTICS)), [name.replace(" ", "\n", 1) for name in STATISTICS], fontsize=7)
    if not swap.lines:
        painting.absent(swap)
    finish(swap, f"{adapted.label}: accuracy by statistics", ylim=(0, None))
    return figure


def ladders(climbs: dict[str, tuple[list[Arm], str, str, str]]) -> Figure:
    """C21, C26: final accuracy over a key that climbs; dotted, half of each arm's best.

    Args:
        climbs: by title: arms, the key, its name in words, the column of the accuracy.
    """
    figure, panels = painting.panels(1, len(climbs))
    for axes, (name, (arms, key, label, column)) in zip(panels[0], climbs.items(), strict=True):
        climbed = [series.ladder(arm.records, key, {"final": column}) for arm in arms]
        drawn = [painting.arm_line(axes, frame, arm, "o") for arm, frame in zip(arms, climbed, strict=True)]
        if not any(drawn):
            painting.absent(axes)
        for arm, frame in zip(arms, climbed, strict=True):
            if len(frame):
                axes.axhline(frame.mean(axis=1).max() / 2, color=arm.colour, lw=0.8, ls=":")
                axes.set_xscale("log")
        if max(map(len, climbed)) == 1:
            axes.text(0.5, 0.15, f"other rungs {ABSENT}", transform=axes.transAxes, ha="center", color=style.POOLED)
        finish(axes, name, legend="best", xlabel=label, ylabel="final accuracy", ylim=(0, None))
    return figure


def noise(runs: dict[str, list[Arm]], inside: list[Arm]) -> Figure:
    """C13: accuracy with BN, noisy BN and none; training loss of the last; wandering; shift of gradients.

    Args:
        runs: three settings by title, the third without percentiles in its probes.
        inside: arms whose shift of gradients was looked at.
    """
    figure, panels = painting.panels(2, 3)
    for axes, (name, arms) in zip(panels[0], runs.items(), strict=True):
        painting.accuracy_lines(axes, arms, name)
    *probed, (last, arms) = runs.items()
    loss, wander, shift = panels[1]
    painting.arm_lines(loss, arms, lambda r: series.column(r, "train/loss"))
    finish(loss, f"{last}: training loss", "steps")
    painting.dots(wander, dict(probed), lambda r: layer_drift(r.probes, -1))
    if painting.shows(wander):
        wander.set_xscale("log")
    finish(wander, "wandering of the last layer's inputs", xlabel="path of the median over the width")
    painting.arm_lines(shift, inside, lambda r: series.by_step(r, "shift/relative", -1))
    title = "shift of the last hidden layer's gradient"
    finish(shift, title, "log steps", legend="best", ylabel="over its norm", ylim=(0, None))
    return figure


def changes(rows: dict[str, Effect]) -> Figure:
    """C29, C39 to C43: a row per change, and what it adds to the final accuracy."""
    figure, panels = painting.panels(1, 1, 0.7 + 0.32 * len(rows), width=8)
    painting.effects(panels[0, 0], rows)
    panels[0, 0].set_xlabel("final accuracy, change made minus not made, points")
    return figure
