"""What the gain is from: not the moments, with noise behind BN; and change by change."""

from matplotlib.figure import Figure

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings.painting import (
    Effect,
    accuracy_lines,
    arm_lines,
    dots,
    effects,
    legend,
    panels,
    shows,
    steps,
    title,
)
from bnrepro.analysis.claims.series import Arm
from bnrepro.analysis.reading.drift import layer_drift


def noise(runs: dict[str, list[Arm]], inside: list[Arm]) -> Figure:
    """C13: accuracy with BN, noisy BN and none; training loss of the last; wandering; shift of gradients.

    Args:
        runs: three settings by title, the third without percentiles in its probes.
        inside: arms whose shift of gradients was looked at.
    """
    figure, found = panels(2, 3)
    for axes, (name, arms) in zip(found[0], runs.items(), strict=True):
        accuracy_lines(axes, arms, name)
    *probed, (last, arms) = runs.items()
    loss, wander, shift = found[1]
    arm_lines(loss, arms, lambda r: series.column(r, "train/loss"))
    title(loss, f"{last}: training loss")
    steps(loss)
    dots(wander, dict(probed), lambda r: layer_drift(r.probes, -1))
    if shows(wander):
        wander.set_xscale("log")
    wander.set_xlabel("path of the median over the width")
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
