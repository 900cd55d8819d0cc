"""Figure 4 drawn: error against the number of networks and of crops; how far their confidence can be trusted."""

from matplotlib.figure import Figure

from bnrepro.analysis.figures.figure4 import MOST, Evaluation, by_size, calibration_error, reliability
from bnrepro.analysis.render import style

COLOURS = {1: style.WITHOUT, 10: style.X5, 144: style.WITH}


def draw(evaluation: Evaluation, title: str) -> Figure:
    """(a) top-1 error, (b) top-5 error by size of the ensemble; (c) a reliability diagram."""
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    first, fifth, reliable = figure.subplots(1, 3)
    for axes, top, letter in ((first, 1, "a"), (fifth, 5, "b")):
        for crops in evaluation.info["crops"]:
            sizes = 100 * by_size(evaluation, crops, top=top)
            label = "1 crop" if crops == 1 else f"{crops} crops"
            axes.plot(sizes.index, sizes["mean"], "o-", ms=3, color=COLOURS[crops], label=label)
            axes.fill_between(sizes.index, sizes["min"], sizes["max"], color=COLOURS[crops], alpha=0.15, lw=0)
        axes.set_title(f"({letter}) top-{top}", loc="left", fontsize=9)
        axes.set(xlabel="networks (mean, range over all choices)", ylabel=f"top-{top} error, %")
        axes.set_xticks(range(1, evaluation.count + 1))
    first.legend(fontsize=8)
    top = 0.0
    most = MOST if MOST in evaluation.info["crops"] else max(evaluation.info["crops"])
    for name, networks, colour in (
        ("network 1 alone", (1,), style.WITHOUT),
        ("all together", evaluation.everyone, style.WITH),
    ):
        confidence, accuracy, images = reliability(evaluation, most, networks).to_numpy().T
        ece = calibration_error(evaluation, most, networks)
        reliable.plot(confidence, accuracy, "-", color=colour, label=f"{name}: ECE {100 * ece:.1f} %")
        reliable.scatter(confidence, accuracy, 200 * images / images.sum(), color=colour, alpha=0.6, lw=0)
        top = max(top, *confidence, *accuracy)
    reliable.plot([0, top], [0, top], color="black", lw=0.6, ls=":")
    reliable.set(xlabel="confidence (areas: images)", ylabel="accuracy", xlim=(0, None), ylim=(0, None))
    reliable.set_title(f"(c) reliability, {most} crops", loc="left", fontsize=9)
    reliable.legend(fontsize=8)
    figure.suptitle(title, fontsize=8)
    return figure
