"""The ladder of rates: how accurate a network gets, and how soon, at each learning rate, with and without BN.

It is drawn from the tuning sweeps, which are scored on training images held out of training. As the registry knows
them, these sweeps are figures of their own.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnrepro.analysis.figures import tuning
from bnrepro.analysis.figures.figure import Figure as Registered
from bnrepro.analysis.reading import curves, dataset, sources
from bnrepro.analysis.reading.load import Record, Source
from bnrepro.analysis.render import style
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import Page, Table
from bnrepro.errors import UserError

SHARE = 0.95  # of the best accuracy without BN: the accuracy whose steps are counted
NEAR = 0.9  # of its own best: within this an accuracy counts as good
LOOK = {  # colour and marker of each arm
    "plain": (style.WITHOUT, "s"),
    "bn": (style.WITH, "o"),
    "bn_beta1": (style.X5, "^"),
}


class Ladder(NamedTuple):
    """One network's rungs.

    ``title`` names the network and its data. ``goal`` is the accuracy whose steps are counted. ``rungs`` has a row per
    arm and rate, with the columns arm, rate, n, top1 (mean final accuracy), low and high (over seeds), and steps
    (median; inf where the median seed never gets to the goal).
    """

    title: str
    goal: float
    rungs: pd.DataFrame


def of_records(records: list[Record], figure: str) -> Ladder:
    """The rungs of a tuning sweep; of several initialisations or penalties at a rate the best one counts."""
    runs = tuning.cells(records)
    chance = dataset.chance(records[0])
    goal = SHARE * float(tuning.best(runs).loc["plain", "top1"])
    steps = [curves.crossing(record, goal, tuning.ACCURACY) for record in records]
    runs = runs.assign(steps=steps, top1=runs["top1"].where(runs["state"] != "diverged", chance))
    by_cell = runs.groupby(["arm", *tuning.CELL])
    cells = by_cell.agg(
        n=("top1", "count"), low=("top1", "min"), high=("top1", "max"), top1=("top1", "mean"), steps=("steps", "median")
    ).reset_index()
    best = cells.loc[cells.groupby(["arm", "rate"])["top1"].idxmax()]
    title = "the network of Sec. 4.1, MNIST" if figure == "figure1" else f"Inception, {dataset.title(records[0])}"
    return Ladder(title, goal, best.sort_values(["arm", "rate"]).reset_index(drop=True))


def of_results(source: Path | str, sweep: str, scale: str) -> list[Ladder]:
    """The ladder of a tuning sweep, ``figure1_tuning`` or ``figure2_tuning``; the committed one where there is none.

    The list is empty where none is committed either; see `bnrepro.analysis.reading.sources.records`.
    """
    records = sources.records(source, sweep, scale) or sources.records(sources.COMMITTED, sweep, scale)
    return [of_records(records, sweep.removesuffix("_tuning"))] if records else []


def widths(ladder: Ladder) -> pd.DataFrame:
    """Per arm the best rate, its accuracy, and the lowest and highest rate whose accuracy is within a tenth of that.

    ``edge`` says whether the lowest or highest rate tried is among them, so that the range may be wider.
    """
    rows = {}
    for arm, rungs in ladder.rungs.groupby("arm"):
        best = rungs.loc[rungs["top1"].idxmax()]
        good = rungs.loc[rungs["top1"] >= NEAR * best["top1"], "rate"]
        edge = good.min() == rungs["rate"].min() or good.max() == rungs["rate"].max()
        rows[arm] = {"rate": best["rate"], "top1": best["top1"], "from": good.min(), "to": good.max(), "edge": edge}
    return pd.DataFrame.from_dict(rows, orient="index")


def _draw(axes: Axes, ladder: Ladder, column: str) -> None:
    for arm, rungs in ladder.rungs.groupby("arm"):
        colour, marker = LOOK[arm]
        known = rungs[np.isfinite(rungs[column])]
        scale = 100 if column == "top1" else 1
        axes.plot(known["rate"], scale * known[column], color=colour, marker=marker, ms=4, label=tuning.ARMS[arm])
        if column == "top1" and (rungs["n"] > 1).any():
            axes.fill_between(rungs["rate"], 100 * rungs["low"], 100 * rungs["high"], color=colour, alpha=0.15, lw=0)
    axes.set_xscale("log")


def draw(ladders: list[Ladder]) -> Figure:
    """A row per network: final accuracy, and steps to the goal, against the learning rate."""
    figure = Figure(figsize=(9, 0.6 + 2.9 * len(ladders)), layout="constrained")
    panels = figure.subplots(len(ladders), 2, squeeze=False, sharex="row")
    arms = {}
    for (left, right), ladder in zip(panels, ladders, strict=True):
        _draw(left, ladder, "top1")
        _draw(right, ladder, "steps")
        left.set_title(ladder.title, loc="left", fontsize=9)
        left.set(ylim=(0, None), ylabel="final accuracy, %")
        right.set(yscale="log", ylabel=f"steps to {ladder.goal:.1%}")
        arms |= {label: line for line, label in zip(*left.get_legend_handles_labels(), strict=True)}
    for axes in panels[-1]:
        axes.set_xlabel("learning rate")
    figure.legend(arms.values(), arms.keys(), loc="outside upper center", ncols=len(arms), fontsize=9)
    return figure


def table(ladder: Ladder) -> Table:
    """Rates within a tenth of the best, per arm."""
    rows = [
        [
            tuning.ARMS[arm],
            f"{row.rate:g}",
            f"{100 * row.top1:.2f}",
            f"{row['from']:g} to {row.to:g}",
            f"{row.to / row['from']:,.0f}" + (" or more" if row.edge else ""),
        ]
        for arm, row in widths(ladder).iterrows()
    ]
    head = ["network", "best rate", "its accuracy, %", f"rates within {1 - NEAR:.0%} of it", "factor between them"]
    title = "The ladder of rates"
    return Table(head, rows, title, prose("tuning", title, near=f"{NEAR:.0%}"))


def _tuning(of: str, title: str, scale: str, sweep: str, *needed: str) -> Registered:
    """The entry of the sweep that tuned a figure; beside the ladder of Figure 2 stands that of Figure 1."""

    def read(figure: Registered, source: Source, scale: str, results: Path) -> tuple[list[Record], list[Ladder]]:
        records = sources.records(source, figure.name, scale)
        if not records:
            command = f"python scripts/train.py -m sweep={sweep} scale={scale}"
            raise UserError(f"no complete record of {figure.name} in {source}; run {command}")
        beside = of_results(results, "figure1_tuning", "paper") if of == "figure2" else []
        return records, [of_records(records, of), *beside]

    def page(records: list[Record], ladders: list[Ladder]) -> Page:
        own = tuning.page(records, of)
        return replace(own, tables=[*own.tables, table(ladders[0])])

    def drawn(records: list[Record], ladders: list[Ladder]) -> dict[str, Figure]:
        return {"figure": draw(ladders)}

    return Registered(f"{of}_tuning", title, drawn, page, needed, scale, read)


FIGURES = (
    _tuning("figure1", "Figure 1", "paper", "figure1_tuning", "tune_plain", "tune_bn"),
    _tuning("figure2", "Figures 2 and 3", "laptop", "figure2_base_rate", "tune_plain"),
)
