"""How well a network learns: by its normaliser, mini-batch, rate and initial weights, and change by change."""

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings import painting
from bnrepro.analysis.claims.drawings.painting import ABSENT, Effect, finish
from bnrepro.analysis.claims.series import Arm
from bnrepro.analysis.render import style

STATISTICS = {
    "as they are": "statistics/population",
    "each mini-batch's own": "statistics/batch",
    "shifted": "statistics/shifted",
    "shifted, adapted": "statistics/shifted_adapted",
}


def without_gradient(numbers: dict[str, dict[str, float]], trained: list[Arm], inception: list[Arm]) -> Figure:
    """C06, C07: bias and scale of the toys; weight norms and accuracy of trained networks.

    Args:
        numbers: the numbers of the exact claims, by claim.
        trained: arms of Fig. 1's network.
        inception: arms of Inception.
    """
    figure, panels = painting.panels(2, 2, width=8)
    toy, norms, small, large = panels.flat
    steps = (250, 500, 750, 1000)
    for name, claim, start, line in (("bias", "C06", 0, "--"), ("scale", "C07", 1, "-")):
        values = [start, *(numbers[claim][f"{name}_at_{step}"] for step in steps)]
        toy.plot((0, *steps), values, f"o{line}", ms=3, color=style.WITHOUT, label=f"{name}, its statistic a constant")
        toy.plot((0, *steps), [start] * 5, line, color=style.WITH, label=f"{name}, its statistic in the gradient")
    finish(toy, "toy", "steps", legend="upper right", ylabel="learnt value", yscale="symlog", ylim=(-0.05, 1e5))
    painting.layer_lines(norms, trained, "weights/norm")
    painting.log_scale(norms)
    finish(norms, "network of Fig. 1, layers 1 (dotted) to 3", "steps", ylabel="norm of a layer's weights")
    painting.accuracy_lines(small, trained, "network of Fig. 1")
    painting.accuracy_lines(large, inception, "Inception")
    return figure


def company(sizes: list[Arm], adapted: Arm) -> Figure:
    """C14, C15, C48: accuracy and noise of the logits by the size of the mini-batch; accuracy by BN's statistics.

    Args:
        sizes: arms with mini-batches of all sizes, that with BN first.
        adapted: an arm with accuracies under other statistics.
    """
    figure, panels = painting.panels(1, 3)
    accuracy, noise, swap = panels[0]
    key, share = "training.batch_size", {"probe": "batch_noise/share", "sites": "first", "at": "last"}
    painting.arm_lines(accuracy, sizes, lambda records: series.ladder(records, key, series.FINAL), "o")
    painting.arm_lines(noise, sizes[:1], lambda records: series.ladder(records, key, share), "o")
    painting.log_scale(noise)
    for axes, title in ((accuracy, "final accuracy"), (noise, "noise of the logits, with BN")):
        if ticks := sorted({int(x) for line in axes.lines for x in line.get_xdata()}):
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [str(size) for size in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        finish(axes, title, legend="best", xlabel="images in a mini-batch")
    finals = [record.status["final"] for record in adapted.records if not record.diverged]
    for final in finals:
        if all(name in final for name in STATISTICS.values()):
            values = [final[name] for name in STATISTICS.values()]
            swap.plot(range(len(values)), values, "o-", ms=4, lw=0.8, color=adapted.colour, alpha=0.7)
    swap.set_xticks(range(len(STATISTICS)), [name.replace(" ", "\n", 1) for name in STATISTICS], fontsize=7)
    if not swap.lines:
        painting.absent(swap)
    finish(swap, f"{adapted.label}: accuracy by statistics", ylim=(0, None))
    return figure


def ladders(climbs: dict[str, tuple[list[Arm], str, str, str]]) -> Figure:
    """C21, C26: final accuracy over the values of a key; dotted, half of each arm's best.

    Args:
        climbs: by title: the arms, the key, its name in words, and the column of the accuracy.
    """
    figure, panels = painting.panels(1, len(climbs))
    for axes, (title, (arms, key, label, column)) in zip(panels[0], climbs.items(), strict=True):
        frames = [series.ladder(arm.records, key, {"final": column}) for arm in arms]
        painting.lines(axes, list(zip(arms, frames, strict=True)), "o")
        for arm, frame in zip(arms, frames, strict=True):
            if len(frame):
                axes.axhline(frame.mean(axis=1).max() / 2, color=arm.colour, lw=0.8, ls=":")
                axes.set_xscale("log")
        if max(map(len, frames)) == 1:
            axes.text(0.5, 0.15, f"other rungs {ABSENT}", transform=axes.transAxes, ha="center", color=style.POOLED)
        finish(axes, title, legend="best", xlabel=label, ylabel="final accuracy", ylim=(0, None))
    return figure


def noise(runs: dict[str, list[Arm]]) -> Figure:
    """C13: accuracy with BN, with noisy BN and without either in three settings; training loss in the third."""
    figure, panels = painting.panels(2, 2, width=8)
    *accuracies, loss = panels.flat
    for axes, (title, arms) in zip(accuracies, runs.items(), strict=True):
        painting.accuracy_lines(axes, arms, title)
    *_, (last, arms) = runs.items()
    painting.arm_lines(loss, arms, lambda records: series.column(records, "train/loss"))
    finish(loss, f"{last}: training loss", "steps")
    return figure


def changes(rows: dict[str, Effect]) -> Figure:
    """C29, C39 to C43: a row for each change, with what it adds to the final accuracy."""
    figure, panels = painting.panels(1, 1, 0.7 + 0.32 * len(rows), width=8)
    painting.effects(panels[0, 0], rows)
    panels[0, 0].set_xlabel("final accuracy, change made minus not made, points")
    return figure
