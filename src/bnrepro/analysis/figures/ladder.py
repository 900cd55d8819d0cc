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
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, PercentFormatter

from bnrepro.analysis.figures import tuning
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.reading import curves, dataset
from bnrepro.analysis.reading.load import Record, Source, records_of, records_or_committed
from bnrepro.analysis.render import style
from bnrepro.analysis.render.prose import tabulate
from bnrepro.analysis.render.table import Page, Table
from bnrepro.errors import UserError

TARGET_SHARE = 0.95  # steps are counted to this share of the best accuracy without BN
SUITS_SHARE = 0.9  # a rate suits a network if its accuracy is at least this share of the network's best
COLOUR_AND_MARKER = {  # of each arm
    "plain": (style.WITHOUT, "s"),
    "bn": (style.WITH, "o"),
    "bn_beta1": (style.X5, "^"),
}


class Ladder(NamedTuple):
    """The accuracies of one network at several rates.

    ``rungs`` has a row per arm and rate: the number of seeds n, their mean final accuracy top1, its range low and high,
    and the median of steps to the goal, which is infinity if the median seed never reaches it.
    """

    title: str  # the network and its data
    goal: float  # the accuracy whose steps are counted
    rungs: pd.DataFrame


def of_records(records: list[Record], figure: str) -> Ladder:
    """Make the ladder of a tuning sweep. Of several initialisations or penalties at a rate it has the best one."""
    runs = tuning.runs_table(records)
    chance = dataset.chance(records[0])
    goal = TARGET_SHARE * float(tuning.best(runs).loc["plain", "top1"])
    steps = [curves.crossing(record, goal, tuning.ACCURACY) for record in records]
    runs = runs.assign(steps=steps, top1=runs["top1"].where(runs["state"] != "diverged", chance))
    by_cell = runs.groupby(["arm", *tuning.CELL])
    cells = by_cell.agg(
        n=("top1", "count"), low=("top1", "min"), high=("top1", "max"), top1=("top1", "mean"), steps=("steps", "median")
    ).reset_index()
    best = cells.loc[cells.groupby(["arm", "rate"])["top1"].idxmax()]
    title = "The network of Sec. 4.1, MNIST" if figure == "figure1" else f"Inception, {dataset.title(records[0])}"
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
        good = rungs.loc[rungs["top1"] >= SUITS_SHARE * best["top1"], "rate"]
        edge = good.min() == rungs["rate"].min() or good.max() == rungs["rate"].max()
        rows[arm] = {"rate": best["rate"], "top1": best["top1"], "from": good.min(), "to": good.max(), "edge": edge}
    return pd.DataFrame.from_dict(rows, orient="index")


def _draw_accuracy(axes: Axes, ladder: Ladder) -> None:
    """Draw the accuracy at the end, and above it a bar over the rates that suit each arm."""
    top = ladder.rungs["high"].max()
    suited = widths(ladder)
    for k, (arm, rungs) in enumerate(ladder.rungs.groupby("arm")):
        colour, marker = COLOUR_AND_MARKER[arm]
        by_rate = rungs.set_index("rate").rename(columns={"top1": "mean", "low": "min", "high": "max"})
        style.draw_ranges(axes, by_rate, colour, tuning.ARMS[arm], marker)
        height = (1.08 + 0.06 * k) * top
        axes.plot(suited.loc[arm, ["from", "to"]].astype(float), [height] * 2, "|-", color=colour, lw=3, ms=8, mew=2)
    axes.set(ylim=(0, 1.15 * height))
    axes.set_yticks([tick for tick in axes.get_yticks() if tick <= top + 0.05])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title(f"(a) final accuracy; bars: within {1 - SUITS_SHARE:.0%} of the best")


def _draw_steps(axes: Axes, ladder: Ladder) -> None:
    """Draw the median steps to the goal; a hollow marker at the top says that the median seed never reaches it."""
    for arm, rungs in ladder.rungs.groupby("arm"):
        colour, marker = COLOUR_AND_MARKER[arm]
        reached = np.isfinite(rungs["steps"])
        axes.plot(rungs["rate"][reached], rungs["steps"][reached], color=colour, marker=marker, ms=4)
        rates, top = rungs["rate"][~reached], axes.get_xaxis_transform()
        axes.plot(rates, np.full(len(rates), 0.95), marker, color=colour, mfc="none", ms=6, transform=top)
    axes.set(yscale="log")
    axes.margins(y=0.2)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_minor_formatter(NullFormatter())
    never = "" if np.isfinite(ladder.rungs["steps"]).all() else "; hollow: never"
    axes.set_title(f"(b) steps to {ladder.goal:.1%}{never}")


def draw(ladder: Ladder) -> Drawing:
    """Draw the final accuracy, and the steps to the goal, against the learning rate."""
    figure = Drawing(figsize=(7, 3.4))
    left, right = figure.subplots(1, 2, sharex=True)
    _draw_accuracy(left, ladder)
    _draw_steps(right, ladder)
    for axes in (left, right):
        axes.set(xscale="log", xlabel="learning rate")
        axes.xaxis.set_major_formatter("{x:g}")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(COLOUR_AND_MARKER))
    counts = sorted({int(n) for n in ladder.rungs["n"]})
    seeds = " or ".join(map(str, counts)) + " seed" + "s" * (counts[-1] > 1)
    figure.suptitle(f"{ladder.title}; mean and range, {seeds} per rate")
    return figure


def table(ladder: Ladder) -> Table:
    """Tabulate the best rate of each arm, and the range of rates that suit it."""
    rows = [
        {
            "network": tuning.ARMS[arm],
            "best rate": f"{row.rate:g}",
            "its accuracy, %": f"{100 * row.top1:.2f}",
            f"rates within {1 - SUITS_SHARE:.0%} of it": f"{row['from']:g} to {row.to:g}",
            "factor between them": f"{row.to / row['from']:,.0f}" + (" or more" if row.edge else ""),
        }
        for arm, row in widths(ladder).iterrows()
    ]
    return tabulate("tuning", "The ladder of rates", rows, near=f"{SUITS_SHARE:.0%}")


def _read(figure: Figure, source: Source, scale: str, results: Path) -> tuple[str, list[Record], Ladder]:
    """Return the figure that the sweep tunes, the sweep's records and its ladder."""
    of = figure.name.removesuffix("_tuning")
    records = records_of(source, figure.name, scale)
    if not any(record.variant == "tune_plain" for record in records):
        sweep = {"figure1": "figure1_tuning", "figure2": "figure2_base_rate"}[of]
        command = f"python scripts/train.py -m sweep={sweep} scale={scale}"
        raise UserError(f"no complete record of {figure.name} without BN in {source}; run {command}")
    return of, records, of_records(records, of)


def _page(of: str, records: list[Record], ladder: Ladder) -> Page:
    page = tuning.page(records, of)
    return replace(page, tables=[*page.tables, table(ladder)])


FIGURE1, FIGURE2 = (
    Figure(f"{of}_tuning", title, lambda of, records, ladder: {"figure": draw(ladder)}, _page, required, scale, _read)
    for of, title, required, scale in (
        ("figure1", "Figure 1", ("tune_plain", "tune_bn"), "paper"),
        ("figure2", "Figures 2 and 3", ("tune_plain",), "laptop"),
    )
)
