"""The tuning sweep of Figure 1: which rate and initialisation suit each arm, on a split of the training set."""

import pandas as pd

from bnrepro.analysis.load import Record
from bnrepro.analysis.statistics import Estimate

ACCURACY = "tune/top1"


def cells(records: list[Record]) -> pd.DataFrame:
    """One row a run: arm, rate, init std, seed, final held-out accuracy (0 for a run that diverged)."""
    rows = [
        {
            "arm": record.variant.removeprefix("tune_"),
            "rate": record.config["optimizer"]["base_lr"] * record.config["optimizer"]["lr_multiplier"],
            "std": record.config["init"]["std"],
            "seed": record.seed,
            "top1": record.status.get("final", {}).get(ACCURACY, 0.0),
            "state": record.status["state"],
        }
        for record in records
    ]
    return pd.DataFrame(rows)


def best(table: pd.DataFrame) -> pd.DataFrame:
    """For each arm the rate and std of highest mean held-out accuracy at the end; indexed by arm."""
    means = table.groupby(["arm", "rate", "std"])["top1"].mean().reset_index()
    return means.loc[means.groupby("arm")["top1"].idxmax()].set_index("arm")


def _tied(cell: Estimate, winner: Estimate) -> bool:
    """Whether the means differ by less than two standard errors of their difference."""
    return winner.mean - cell.mean < 2 * (cell.sd**2 / cell.n + winner.sd**2 / winner.n) ** 0.5


def table(records: list[Record]) -> str:
    """The whole of table.md."""
    runs = cells(records)
    seeds = runs.groupby(["arm", "rate", "std"])["seed"].count()
    lines = [
        "# Tuning of Figure 1",
        "",
        f"Accuracy (%) after {records[0].status['steps']:,} steps on 10,000 of the 60,000 training images, held out of",
        f"training; mean ± sd over {seeds.min()} seeds a cell. The test images were not used. The best cell of each",
        "arm is bold, and Figure 1 uses it; cells within two standard errors of it are marked ~: with so few seeds",
        "they cannot be told apart.",
    ]
    chosen = best(runs)
    for arm, group in runs.groupby("arm", sort=False):
        stds = sorted(group["std"].unique())
        at_best = (group["rate"] == chosen.loc[arm, "rate"]) & (group["std"] == chosen.loc[arm, "std"])
        winner = Estimate.of(group.loc[at_best, "top1"])
        title = {"plain": "Without BN", "bn": "With BN"}[arm]
        lines += ["", f"## {title}", "", "| rate | " + " | ".join(f"init std {std:g}" for std in stds) + " |"]
        lines.append("|---|" + "---|" * len(stds))
        for rate, row in group.groupby("rate"):
            texts = []
            for std in stds:
                cell = Estimate.of(row.loc[row["std"] == std, "top1"])
                text = f"{100 * cell.mean:.2f} ± {100 * cell.sd:.2f}"
                is_best = (rate, std) == (chosen.loc[arm, "rate"], chosen.loc[arm, "std"])
                texts.append(f"**{text}**" if is_best else f"{text} ~" if _tied(cell, winner) else text)
            lines.append(f"| {rate:g} | " + " | ".join(texts) + " |")
    return "\n".join([*lines, ""])
