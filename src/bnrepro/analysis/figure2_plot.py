"""Figure 2 drawn: validation accuracy against steps, in both readings."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from bnrepro.analysis import dataset, figure2, style
from bnrepro.analysis.figure2 import BASELINE, EQUAL, Arms
from bnrepro.analysis.load import Record

COLOURS = {
    "inception": style.WITHOUT,
    "bn_baseline": style.WITH,
    "bn_x5": style.X5,
    "bn_x30": style.X30,
    "bn_x5_sigmoid": style.SIGMOID,
    "inception_x5": style.TOO_FAST,
    "inception_sigmoid": style.SIGMOID_WITHOUT,
    "inception_changes": style.WITHOUT,  # a control has the colour of what it is the control of
    "inception_changes_x5": style.X5,
    "inception_changes_x30": style.X30,
}


def _draw(axes: Axes, title: str, records: list[Record], goal: float, colour: str, line: str) -> None:
    """One network; a ring where its mean reaches the target, a cross where its first seed diverges."""
    curves = figure2.until_divergence(records)
    diverged = [record.status["diverged_at"] for record in records if record.diverged]
    style.draw_seeds(axes, curves, colour, f"{title} (n = {len(records)})", line)
    mean = curves.mean(axis=1)
    if diverged:
        axes.plot(min(diverged), mean.iloc[-1] if len(mean) else 0.0, "x", color=colour)
    elif (step := figure2.mean_reaches(curves, goal)) is not None:
        axes.plot(step, goal, "o", color=colour, mfc="white", zorder=3)


def _draw_arm(axes: Axes, variant: str, records: list[Record], goal: float) -> None:
    name = variant.removesuffix(EQUAL)
    line = "--" if name in figure2.CONTROLS else ":" if name in figure2.FAILING else "-"
    _draw(axes, figure2.title(variant), records, goal, COLOURS[name], line)


def draw(arms: Arms, own: Arms | None = None) -> Figure:
    """(a) the paper's reading; (b) equal budget, with the controls dashed.

    Variants of one's ``own`` are in (a), and in (b) too if they train as long as Inception.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    goal = figure2.target(arms[BASELINE])
    extra = ((), figure2.CONTROLS_EQUAL)
    for axes, letter, (name, variants), controls in zip(panels, "ab", figure2.READINGS.items(), extra, strict=True):
        axes.axhline(goal, color="black", lw=0.6, ls=(0, (1, 2)))
        for variant in (*variants, *controls):
            if variant in arms:
                _draw_arm(axes, variant, arms[variant], goal)
        for variant, colour in style.own_colours(own or {}).items():
            if letter == "a" or figure2.whole_budget(own[variant], arms[BASELINE]):
                _draw(axes, variant, own[variant], goal, colour, "-.")
        axes.set_title(f"({letter}) {name.lower()}", loc="left", fontsize=9)
        axes.set_xlabel("training steps")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=7)
    key = "rings: the mean is at Inception's maximum (dotted line); crosses: divergence"
    figure.suptitle(f"{dataset.title(arms[BASELINE][0])}; {key}", fontsize=8)
    panels[0].set(ylim=(0, None), ylabel="validation accuracy (mean, range over seeds)")
    return figure
