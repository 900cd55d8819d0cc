"""Read the records of runs, from results/, a runs directory or W&B."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from bnrepro.records.run import ENDED
from bnrepro.tracking import wandb_source

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where it is installed, is ten times as fast


@dataclass(frozen=True)
class Record:
    """The record of one run: how it ended, its configuration, its metrics and its probes."""

    path: Path
    status: dict[str, Any]

    @property
    def seed(self) -> int:
        """The seed of its initial weights, its data order and what it draws."""
        return self.status["seed"]

    @property
    def variant(self) -> str:
        """The name of the network among those of its figure."""
        return self.status["variant"]

    @property
    def group(self) -> str:
        """The hash of the configuration, which all seeds of the run share."""
        return self.status["group"]

    @property
    def diverged(self) -> bool:
        """Whether a loss or a parameter was not finite."""
        return self.status["state"] == "diverged"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return yaml.load((self.path / "config.yaml").read_text(), Loader=LOADER)

    @property
    def rate(self) -> float:
        """The first learning rate."""
        return self.config["optimizer"]["base_lr"] * self.config["optimizer"]["lr_multiplier"]

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The rows of metrics.csv, indexed by step; empty if the run diverged before the first evaluation."""
        path = self.path / "metrics.csv"
        return pd.read_csv(path, index_col="step") if path.exists() else pd.DataFrame()

    def curve(self, column: str) -> pd.Series:
        """Return a column of the metrics by step; it is empty if the run has none."""
        return self.metrics.get(column, pd.Series(dtype=float))

    @cached_property
    def probes(self) -> dict[str, np.ndarray]:
        """The arrays of probes.npz."""
        if not (self.path / "probes.npz").is_file():
            raise UserError(f"{self.path} has no probes.npz")
        with np.load(self.path / "probes.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


Arms = dict[str, list[Record]]  # the records of each variant, sorted by seed
Source = Path | str  # a folder of records, or ``wandb:entity/project``
COMMITTED = Path("results")


def load_records(source: Source, figure: str | None = None, scale: str | None = None) -> list[Record]:
    """Return every complete record of a source, sorted by name, of one figure and of one scale if these are given."""
    if wandb_source.is_wandb(source):
        folders = wandb_source.fetch(source, figure, scale)
    else:
        folders = [path.parent for path in sorted(Path(source).glob("[!.]*/status.json"))]
    records = [Record(folder, read_json(folder / "status.json")) for folder in folders]
    return [
        record
        for record in records
        if record.status["state"] in ENDED
        and (not figure or record.config.get("figure", figure) == figure)
        and (not scale or record.config["scale"]["name"] == scale)
    ]


def records_of(source: Source, figure: str, scale: str) -> list[Record]:
    """Return the complete records of a figure; the source may also be a folder that is laid out as ``results/``."""
    folder = Path(source) / figure / scale / "runs"
    return load_records(folder) if folder.is_dir() else load_records(source, figure, scale)


def records_or_committed(source: Source, figure: str, scale: str) -> list[Record]:
    """Return the records of a figure from a source, or the committed ones if the source has none."""
    return records_of(source, figure, scale) or records_of(COMMITTED, figure, scale)


def by_variant(
    records: list[Record], *variants: str, prefer: Iterable[str] = (), figure: str = "figure1", scale: str = ""
) -> Arms:
    """Return the records of each variant, sorted by seed.

    If a variant has records of several configurations, those in ``prefer`` (`Record.group`) are taken. ``figure`` and
    ``scale`` are for the message about a missing variant.
    """
    arms = {variant: sorted((r for r in records if r.variant == variant), key=lambda r: r.seed) for variant in variants}
    if missing := [variant for variant, arm in arms.items() if not arm]:
        sweep = "-m " if len(missing) > 1 else ""
        experiments = ",".join(f"{figure}/{name}" for name in missing) + (f" scale={scale}" if scale else "")
        command = f"python scripts/train.py {sweep}experiment={experiments}"
        raise UserError(f"no complete record of {', '.join(missing)}; run {command}")
    for variant, arm in arms.items():
        if len({record.group for record in arm}) > 1:
            arm = [record for record in arm if record.group in set(prefer)] or arm
        if len(groups := sorted({record.group for record in arm})) > 1:
            raise UserError(
                f"several configurations of {variant}: {', '.join(groups)}; keep one in the records folder, "
                "and train the others under a name of their own, variant=NAME"
            )
        arms[variant] = arm
    return arms
