"""The tuning sweeps: which rate and initialisation suit each network, measured on a split of the training set."""

from typing import NamedTuple

import pandas as pd

from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import Page, Table
from bnrepro.analysis.render.text import percent

ACCURACY = "tune/top1"
CELL = ["rate", "init", "std", "l2"]
TITLES = {"figure1": "Tuning of Figure 1", "figure2": "Tuning of Figures 2 and 3"}
ARMS = {"plain": "Without BN", "bn": "With BN", "bn_beta1": "With BN, beta starts at 1"}


def runs_table(records: list[Record]) -> pd.DataFrame:
    """Return a row per run: its arm, its settings, its seed, its final accuracy (0 if it diverged) and its state.

    Networks whose beta starts at 1 are an arm of their own.
    """
    rows = [
        {
            "arm": record.variant.removeprefix("tune_") + ("_beta1" if record.config["init"].get("beta") else ""),
            "rate": record.rate,
            "init": record.config["init"].get("name", "gaussian"),
            "std": record.config["init"]["std"],
            "l2": record.config["optimizer"].get("base_l2", 0.0),
            "seed": record.seed,
            "top1": record.status.get("final", {}).get(ACCURACY, 0.0),
            "state": record.status["state"],
        }
        for record in records
    ]
    return pd.DataFrame(rows)


def best(table: pd.DataFrame) -> pd.DataFrame:
    """Return for each arm the cell with the highest mean accuracy at the end, indexed by arm.

    Only the cells with the most seeds of their arm compete, so that one lucky seed does not win against three.
    """
    means = table.groupby(["arm", *CELL])["top1"].agg(top1="mean", n="count").reset_index()
    means = means[means["n"] == means.groupby("arm")["n"].transform("max")]
    return means.loc[means.groupby("arm")["top1"].idxmax()].set_index("arm")


def _text(runs: pd.DataFrame, winner: pd.DataFrame) -> str:
    """Return a cell of the table: bold if it is the winner, with a ~ if it is within two standard errors of it."""
    if runs.empty:
        return ""
    if (runs["state"] == "diverged").all():
        return "diverged"
    cell, top = Estimate.of(runs["top1"]), Estimate.of(winner["top1"])
    if runs.index.equals(winner.index):
        return f"**{percent(cell)}**"
    near = top.mean - cell.mean < 2 * (cell.sd**2 / cell.n + top.sd**2 / top.n) ** 0.5
    return percent(cell) + " ~" * near


def _column(init: NamedTuple, inits: list[NamedTuple]) -> str:
    """Return the head of a column: the initialisation, and the L2 penalty if there are several."""
    name = f"init std {init.std:g}" if init.init == "gaussian" else init.init.capitalize()
    return name + (f", L2 {init.l2:g}" if len({other.l2 for other in inits}) > 1 else "")


def page(records: list[Record], figure: str) -> Page:
    """Make table.md without the ladder of rates: a table per arm, a row per rate, a column per initialisation."""
    runs = runs_table(records)
    chosen, tables, by = best(runs), [], ["init", "std", "l2"]
    for arm, group in runs.groupby("arm", sort=False):
        winner = group[(group[CELL] == chosen.loc[arm, CELL]).all(axis=1)]
        inits = list(group[by].drop_duplicates().sort_values(by).itertuples(index=False))
        rows = []
        for rate, row in group.groupby("rate"):
            texts = [_text(row[(row[by] == list(init)).all(axis=1)], winner) for init in inits]
            rows.append([f"{rate:g}", *texts])
        tables.append(Table(["rate", *(_column(init, inits) for init in inits)], rows, ARMS[arm]))
    values = {"seeds": sorted(set(runs.groupby(["arm", *CELL])["seed"].count()))}
    if figure == "figure2":
        values |= {"images": f"{dataset.held_out(records[0]):,}", "data": dataset.title(records[0])}
    opening = prose("tuning", figure, steps=f"{records[0].status['steps']:,}", **values)
    return Page(TITLES[figure], opening, tables)
