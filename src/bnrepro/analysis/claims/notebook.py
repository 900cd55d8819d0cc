"""What the notebook of claims shows: arms of records, verdicts, and pictures with layers as lines and effects as rows.

Lines are means over seeds, and bands are their whole range. What has no records is "not measured yet".
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from bnrepro.analysis.claims import ledger, series, table
from bnrepro.analysis.claims.measures import Spec
from bnrepro.analysis.claims.series import FINAL, Arm
from bnrepro.analysis.reading.curves import accuracies
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render import style
from bnrepro.analysis.render.style import WITH, WITHOUT
from bnrepro.analysis.render.table import Table
from bnrepro.records.files import read_json

RESULTS, DEFINITIONS = Path("results"), Path("configs/claims")
NONE, BN = {"norm.name": "none"}, {"norm.name": "bn"}
ABSENT = "not measured yet"
LINES = (":", "--", "-")  # of the first, the second and the third layer
Drawn = list[tuple[Arm, pd.DataFrame]]  # each line with its frame, which has a column per seed
Effect = tuple[np.ndarray, Estimate]  # a number per seed, and the estimate of their mean
Keys = dict[str, Any]


class Reader:
    """The claims, judged on the records of a source at a scale.

    ``rows`` is the ledger by claim, ``judged`` the parts of each claim, ``records`` the records by experiment, and
    ``exact`` the numbers of the exact claims.
    """

    def __init__(self, source: str, scale: str):
        judged = ledger.build(RESULTS, DEFINITIONS, source, scale)
        self.rows, self.judged, self.records = {row["id"]: row for row in judged.rows}, judged.judged, judged.records
        self.exact = read_json(RESULTS / ledger.IDENTITIES)["numbers"]

    def verdicts(self, *claims: str) -> str:
        """Tabulate what the ledger says of these claims."""
        return str(Table(table.HEAD, [table.row_cells(self.rows[claim]) for claim in claims]))

    def arm(self, label: str, colour: str, experiment: str, keys: Keys, varied: str = "", line: str = "-") -> Arm:
        """Return the records of an experiment whose configurations have these values, and how they are drawn."""
        return Arm(label, self.records.arm(experiment, keys, (varied,)), colour, line)

    def pair(self, experiment: str, keys: Keys, varied: str = "") -> list[Arm]:
        """Return two arms, with BN and without it."""
        with_bn = self.arm("with BN", WITH, experiment, keys | BN, varied)
        return [with_bn, self.arm("without BN", WITHOUT, experiment, keys | NONE, varied)]

    def gain(self, experiment: str, keys: Keys, over: Keys) -> Effect:
        """Return the final accuracy of the arm with these keys minus that of the arm with the keys ``over``."""
        return series.differences(self.records.arm(experiment, keys), self.records.arm(experiment, over), FINAL)

    def effect(self, claim: str, reading: str) -> Effect:
        """Return the first statistic of a claim's reading, as the ledger judges it."""
        judged = next(judged for judged in self.judged[claim] if judged.part.reading == reading)
        return np.array(judged.values), judged.estimate or Estimate.of([])


def by(key: str, arms: list[Arm], measure: Spec = FINAL) -> Drawn:
    """Return a line for each arm: a measure, usually the final accuracy, over the values of a key."""
    return [(arm, series.by_value(arm.records, key, measure)) for arm in arms]


def accuracy(axes: Axes, network: str, arms: list[Arm]) -> None:
    """Draw accuracy over the steps, with a line for each arm."""
    panel(axes, f"{network}: accuracy", [(arm, accuracies(arm.records)) for arm in arms], "steps", ylim=(0, None))


def panels(rows: int, columns: int, height: float = 2.7, width: float = 10) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes (rows, columns); the height is that of one row, in inches."""
    figure = Figure(figsize=(width, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False)


def layer_lines(arm: Arm, quantity: str, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame) -> Drawn:
    """Return a quantity over the steps, or a change of it, as a line for each layer of an arm."""
    return [
        (
            arm._replace(label=f"layer {layer}", line=LINES[(layer - 1) % len(LINES)]),
            change(series.by_step(arm.records, quantity, layer)),
        )
        for layer in range(1, series.layers(arm.records, quantity) + 1)
    ]


def panel(
    axes: Axes, title: str, drawn: Drawn, x: str = "", log_y: bool = False, legend: str = "best", **settings: Any
) -> None:
    """Draw the lines of a panel, and give it its title, axes and legend.

    Args:
        axes: the panel.
        title: the text on the left above it.
        drawn: the lines.
        x: "steps" or "log steps" of training, or "layers"; otherwise the x axis stays as it is.
        log_y: whether the y axis is logarithmic.
        legend: the place of the legend; none if it is empty.
        settings: other properties of the axes.
    """
    for arm, frame in drawn:
        if frame.empty:
            axes.plot([], [], color=arm.colour, ls=arm.line, label=f"{arm.label} ({ABSENT})")
        else:
            style.draw_seeds(axes, frame, arm.colour, arm.label, arm.line)
            axes.lines[-1].set(marker="" if "steps" in x else "o", markersize=3)
    if all(frame.empty for _, frame in drawn):
        axes.text(0.5, 0.5, ABSENT, transform=axes.transAxes, ha="center", color=style.POOLED)
    elif log_y:
        _log_scale(axes)
    axes.set_title(title)
    if "steps" in x:
        style.steps_axis(axes)
    if x == "log steps":
        axes.set_xscale("log")
        style.steps_axis(axes)
        axes.xaxis.set_minor_locator(NullLocator())
    if x == "layers":
        axes.set_xlabel("layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(**settings)
    if legend and drawn:
        axes.legend(fontsize=7, loc=legend)


def _log_scale(axes: Axes) -> None:
    """Make the y axis logarithmic; a short axis has plain numbers."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 50 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def effects(axes: Axes, rows: dict[str, Effect]) -> None:
    """Draw a row for each effect, in points: seeds, mean and interval; in colour if the interval excludes zero."""
    for k, (values, estimate) in enumerate(rows.values()):
        excludes_zero = estimate.low > 0 or estimate.high < 0
        colour = (style.WITH if estimate.mean > 0 else style.WITHOUT) if excludes_zero else style.POOLED
        ends = [100 * estimate.low, 100 * estimate.high]
        axes.plot(ends, [k, k], color=colour, lw=4, alpha=0.35, solid_capstyle="butt")
        axes.plot(100 * values, [k] * len(values), "o", ms=3, color=colour, alpha=0.6)
        axes.plot(100 * estimate.mean, k, "|", ms=12, mew=2, color=colour)
    axes.axvline(0, color="black", lw=0.8)
    labels = [name if len(values) else f"{name} ({ABSENT})" for name, (values, _) in rows.items()]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
