"""Reading records."""

from collections.abc import Iterable, Sequence
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

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in a tenth of the time, where PyYAML has libyaml


@dataclass(frozen=True)
class Record:
    """One run's committed record: what it was, how it ended, its rows and its probes."""

    path: Path
    status: dict[str, Any]

    @property
    def seed(self) -> int:
        return self.status["seed"]

    @property
    def variant(self) -> str:
        return self.status["variant"]

    @property
    def group(self) -> str:
        """The configuration, shared by all its seeds."""
        return self.status["group"]

    @property
    def diverged(self) -> bool:
        return self.status["state"] == "diverged"

    @cached_property
    def config(self) -> dict[str, Any]:
        return yaml.load((self.path / "config.yaml").read_text(), Loader=LOADER)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The rows of metrics.csv, indexed by step; none for a run that diverged before its first."""
        path = self.path / "metrics.csv"
        return pd.read_csv(path, index_col="step") if path.exists() else pd.DataFrame()

    @cached_property
    def probes(self) -> dict[str, np.ndarray]:
        """The arrays of probes.npz."""
        if not (self.path / "probes.npz").is_file():
            raise UserError(f"{self.path} has no probes.npz")
        with np.load(self.path / "probes.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


Arms = dict[str, list[Record]]  # the records of each variant, by seed
Source = Path | str | Sequence[Path]  # a folder of records, ``wandb:entity/project``, or the directories of some runs


def load_records(source: Source, figure: str | None = None, scale: str | None = None) -> list[Record]:
    """Every complete record of a source, by name.

    Args:
        source: where records are.
        figure: only of this figure: a runs directory and a W&B project hold several.
        scale: only at this scale.
    """
    if not isinstance(source, Path | str):
        folders = sorted(source, key=lambda path: path.name)
    elif wandb_source.is_wandb(source):
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


def by_variant(
    records: list[Record], *variants: str, prefer: Iterable[str] = (), figure: str = "figure1", scale: str = ""
) -> Arms:
    """The records of each of these variants, by seed.

    Args:
        records: those to choose from.
        variants: the names.
        prefer: configurations (`Record.group`) to take where a variant has records of several.
        figure: where its experiments are, for a message.
        scale: at which its records are looked for, for the same message.
    """
    arms = {}
    for variant in variants:
        arm = sorted((record for record in records if record.variant == variant), key=lambda record: record.seed)
        if len({record.group for record in arm}) > 1:
            arm = [record for record in arm if record.group in set(prefer)] or arm
        if not arm:
            command = f"python scripts/train.py experiment={figure}/{variant}" + (f" scale={scale}" if scale else "")
            raise UserError(f"no complete record of {variant}; run {command}")
        if len(groups := sorted({record.group for record in arm})) > 1:
            raise UserError(
                f"several configurations of {variant}: {', '.join(groups)}; keep one in the records folder, "
                "and train the others under a name of their own, variant=NAME"
            )
        arms[variant] = arm
    return arms
