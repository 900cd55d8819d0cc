"""The ladder of rates: how accurate a network gets, and how soon, at each learning rate, with and without BN.

It is drawn from the tuning sweeps, which are scored on training images held out of training. These sweeps are figures
of their own in the registry.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from bnrepro.analysis.figures import tuning
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.reading import curves, dataset
from bnrepro.analysis.reading.load import Record, Source, records_of, records_or_committed
from bnrepro.analysis.render import style
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import Page, Table
from bnrepro.errors import UserError

SHARE = 0.95  # steps are counted to this share of the best accuracy without BN
NEAR = 0.9  # a rate suits a network if its accuracy is at least this share of the network's best
LOOK = {  # colour and marker of each arm
    "plain": (style.WITHOUT, "s"),
    "bn": (style.WITH, "o"),
    "bn_beta1": (style.X5, "^"),
}


class Ladder(NamedTuple):
    """The accuracies of one network at several rates.

    Args:
        title: the network and its data.
        goal: the accuracy whose steps are counted.
        rungs: a row per arm and rate with the columns arm, rate, n, top1 (mean final accuracy), low and high (over
            seeds), and steps (median; infinity if the median seed never reaches the goal).
    """

    title: str
    goal: float
    rungs: pd.DataFrame


def of_records(records: list[Record], figure: str) -> Ladder:
    """Make the ladder of a tuning sweep. Of several initialisations or penalties at a rate it has the best one."""
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
    """Return the ladder of a tuning sweep, from the committed records if the source has none."""
    records = records_or_committed(source, sweep, scale)
    return [of_records(records, sweep.removesuffix("_tuning"))] if records else []


def widths(ladder: Ladder) -> pd.DataFrame:
    """Return per arm the best rate, its accuracy, and the range of rates whose accuracy is within a tenth of it.

    ``edge`` says that the lowest or highest rate tried is among them, so that the range may be wider.
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


def draw(ladders: list[Ladder]) -> Drawing:
    """Draw a row per network: final accuracy, and steps to the goal, against the learning rate."""
    figure = Drawing(figsize=(9, 0.6 + 2.9 * len(ladders)), layout="constrained")
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
    """Tabulate the best rate of each arm, and the range of rates that suit it."""
    rows = [
        {
            "network": tuning.ARMS[arm],
            "best rate": f"{row.rate:g}",
            "its accuracy, %": f"{100 * row.top1:.2f}",
            f"rates within {1 - NEAR:.0%} of it": f"{row['from']:g} to {row.to:g}",
            "factor between them": f"{row.to / row['from']:,.0f}" + (" or more" if row.edge else ""),
        }
        for arm, row in widths(ladder).iterrows()
    ]
    title = "The ladder of rates"
    return Table.of(rows, title, prose=prose("tuning", title, near=f"{NEAR:.0%}"))


def _read(figure: Figure, source: Source, scale: str, results: Path) -> tuple[str, list[Record], list[Ladder]]:
    """Read the sweep's records and its ladder; beside the ladder of Figure 2 stands that of Figure 1."""
    of = figure.name.removesuffix("_tuning")
    records = records_of(source, figure.name, scale)
    if not any(record.variant == "tune_plain" for record in records):
        sweep = {"figure1": "figure1_tuning", "figure2": "figure2_base_rate"}[of]
        command = f"python scripts/train.py -m sweep={sweep} scale={scale}"
        raise UserError(f"no complete record of {figure.name} without BN in {source}; run {command}")
    beside = of_results(results, "figure1_tuning", "paper") if of == "figure2" else []
    return of, records, [of_records(records, of), *beside]


def _page(of: str, records: list[Record], ladders: list[Ladder]) -> Page:
    page = tuning.page(records, of)
    return replace(page, tables=[*page.tables, table(ladders[0])])


def _drawings(of: str, records: list[Record], ladders: list[Ladder]) -> dict[str, Drawing]:
    return {"figure": draw(ladders)}


FIGURE1 = Figure("figure1_tuning", "Figure 1", _drawings, _page, ("tune_plain", "tune_bn"), "paper", _read)
FIGURE2 = Figure("figure2_tuning", "Figures 2 and 3", _drawings, _page, ("tune_plain",), "laptop", _read)
