"""The tuning sweeps: which rate and initialisation suit each arm, on a split of the training set."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.text import paragraph

ACCURACY = "tune/top1"
CELL = ["rate", "init", "std", "aux", "l2"]
ARMS = {"plain": "Without BN", "bn": "With BN", "bn_beta1": "With BN, beta starts at 1"}


def cells(records: list[Record]) -> pd.DataFrame:
    """One row per run: arm, rate, initialisation and its std, auxiliary head, L2, seed, final held-out accuracy, state.

    The accuracy of a run that diverged is 0. Where beta starts at 1 the arm is one of its own.
    """
    rows = [
        {
            "arm": record.variant.removeprefix("tune_") + ("_beta1" if record.config["init"].get("beta") else ""),
            "rate": record.config["optimizer"]["base_lr"] * record.config["optimizer"]["lr_multiplier"],
            "init": record.config["init"].get("name", "gaussian"),
            "std": record.config["init"]["std"],
            "aux": record.config.get("model", {}).get("aux", False),
            "l2": record.config["optimizer"].get("base_l2", 0.0),
            "seed": record.seed,
            "top1": record.status.get("final", {}).get(ACCURACY, 0.0),
            "state": record.status["state"],
        }
        for record in records
    ]
    return pd.DataFrame(rows)


def best(table: pd.DataFrame) -> pd.DataFrame:
    """For each arm the cell of highest mean held-out accuracy at the end; indexed by arm.

    Only cells with as many seeds as any of the arm compete: a lucky single seed does not win against three. Those with
    an auxiliary head are an ablation of the best one and do not compete.
    """
    means = table[~table["aux"]].groupby(["arm", *CELL])["top1"].agg(top1="mean", n="count").reset_index()
    means = means[means["n"] == means.groupby("arm")["n"].transform("max")]
    return means.loc[means.groupby("arm")["top1"].idxmax()].set_index("arm")


def _figure1_head(records: list[Record], seeds: set[int]) -> list[str]:
    return [
        "# Tuning of Figure 1",
        "",
        f"Accuracy (%) after {records[0].status['steps']:,} steps on 10,000 of the 60,000 training images, held out of",
        f"training; mean ± sd over {min(seeds)} seeds a cell. The test images were not used. The best cell of each",
        "arm is bold, and Figure 1 uses it; cells within two standard errors of it are marked ~: with so few seeds",
        "they cannot be told apart.",
    ]


def _figure2_head(records: list[Record], seeds: set[int]) -> list[str]:
    first = records[0]
    if seeds == {1}:
        spread, errors = "one seed a cell", "the errors are those of so many images alone, and seeds differ by more"
    else:
        spread = f"mean ± sd over {max(seeds)} seeds"
        errors = "with so few seeds they cannot be told apart"
    if len(seeds) > 1:
        spread += """. Cells without ± have one seed: only those that one seed put near the best of their arm were given
        more, and only those with most seeds compete"""
    prose = f"""Accuracy (%) after {first.status["steps"]:,} steps, all of T, on {dataset.held_out(first):,} training
    images held out of training ({dataset.title(first)}); {spread}. The validation images were not used. The best
    rate without BN is the scale's base rate. The best cell of each arm is bold; cells within two standard errors of it
    are marked ~: {errors}. A network at chance after a tenth of T was ended there."""
    return ["# Tuning of Figures 2 and 3", "", paragraph(prose)]


HEADS: dict[str, Callable[[list[Record], set[int]], list[str]]] = {"figure1": _figure1_head, "figure2": _figure2_head}


def _estimate(runs: pd.DataFrame, images: int | None) -> tuple[Estimate, float]:
    """A cell, and its standard error: over seeds, or of one seed that of its images."""
    cell = Estimate.of(runs["top1"])
    if cell.n == 1 and images:
        return cell, (cell.mean * (1 - cell.mean) / images) ** 0.5
    return cell, cell.sd / cell.n**0.5 if cell.n else np.nan


def _text(runs: pd.DataFrame, images: int | None, winner: pd.DataFrame) -> str:
    if runs.empty:
        return ""
    if (runs["state"] == "diverged").all():
        return "diverged"
    (cell, error), (top, its_error) = _estimate(runs, images), _estimate(winner, images)
    text = f"{100 * cell.mean:.2f}" + ("" if cell.n == 1 else f" ± {100 * cell.sd:.2f}")
    if runs.index.equals(winner.index):
        return f"**{text}**"
    return f"{text} ~" if top.mean - cell.mean < 2 * (error**2 + its_error**2) ** 0.5 else text


def _column(init: NamedTuple, inits: list[NamedTuple]) -> str:
    """The head of a column: the initialisation, and the L2 penalty where there are several."""
    name = f"init std {init.std:g}" if init.init == "gaussian" else init.init.capitalize()
    return name + (f", L2 {init.l2:g}" if len({one.l2 for one in inits}) > 1 else "")


def table(records: list[Record], figure: str = "figure1") -> str:
    """The whole of table.md."""
    runs = cells(records)
    lines = HEADS[figure](records, set(runs.groupby(["arm", *CELL])["seed"].count()))
    images = dataset.held_out(records[0]) if "data" in records[0].config else None
    chosen = best(runs)
    for arm, group in runs.groupby("arm", sort=False):
        winner = group[(group[CELL] == chosen.loc[arm, CELL]).all(axis=1)]
        by = ["init", "std", "l2"]
        inits = list(group[by].drop_duplicates().sort_values(by).itertuples(index=False))
        columns = [(_column(i, inits), i) for i in inits]
        lines += ["", f"## {ARMS[arm]}", "", "| rate | " + " | ".join(name for name, _ in columns) + " |"]
        lines.append("|---|" + "---|" * len(columns))
        for (aux, rate), row in group.groupby(["aux", "rate"]):
            texts = [_text(row[(row[by] == list(i)).all(axis=1)], images, winner) for _, i in columns]
            lines.append(f"| {rate:g}{', auxiliary head' if aux else ''} | " + " | ".join(texts) + " |")
    return "\n".join([*lines, ""])
