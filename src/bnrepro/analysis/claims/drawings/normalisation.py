"""What a layer is normalised by: statistics that the gradient ignores, whole covariances, those of mini-batches."""

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings.painting import (
    absent,
    accuracy_lines,
    arm_lines,
    layer_lines,
    legend,
    log_scale,
    panels,
    steps,
    title,
)
from bnrepro.analysis.claims.series import Arm
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
    accuracy_lines(small, trained, "network of Fig. 1")
    accuracy_lines(large, inception, "Inception")
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


def company(sizes: list[Arm], adapted: Arm) -> Figure:
    """C14, C15, C48: accuracy and noise of the logits by the size of the mini-batch; accuracy by whose statistics.

    Args:
        sizes: arms of all sizes, that with BN first.
        adapted: an arm with accuracies under other statistics.
    """
    figure, found = panels(1, 3)
    accuracy, noisy, swap = found[0]
    key, share = "training.batch_size", {"probe": "batch_noise/share", "sites": "first", "at": "last"}
    arm_lines(accuracy, sizes, lambda r: series.ladder(r, key, series.FINAL), "o")
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
