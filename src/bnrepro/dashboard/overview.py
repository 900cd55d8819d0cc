"""One W&B run of what no training run holds: Figure 2's mean curves and crossings, the figures and the ledger."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.analysis.claims import table
from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.reading.load import COMMITTED, Arms
from bnrepro.dashboard.panels import OVERVIEW, PICTURES
from bnrepro.errors import UserError
from bnrepro.records.files import make_writable, read_json
from bnrepro.tracking.mirror import End, Mirror, Rows
from bnrepro.tracking.wandb_setup import keep_out_of_home

TIMEOUT_SECONDS = 120


def curves(arms: Arms) -> Rows:
    """Return Figure 2 as rows to log: the mean curves, the target, and where each median seed reaches it."""
    goal = figure2.target(arms[figure2.BASELINE])
    by_step: dict[int, dict[str, float]] = {}
    for variant, records in arms.items():
        for step, accuracy in figure2.until_divergence(records).mean(axis=1).dropna().items():
            by_step.setdefault(int(step), {})[f"figure2/curve/{variant}"] = float(accuracy)
        if np.isfinite(step := np.median(figure2.steps(records, goal))):
            by_step.setdefault(round(step), {})[f"figure2/crossing/{variant}"] = goal
    for step in (min(by_step), max(by_step)):
        by_step[step]["figure2/target"] = goal
    return sorted(by_step.items())


class Overview:
    """The run, ready to be logged, of committed records, figures and ledger; ``scale`` is that of Figure 2."""

    def __init__(self, results: Path = COMMITTED, scale: str | None = None):
        arms = FIGURES["figure2"].arms(results, scale, results)
        drawn = {variant for variants in figure2.READINGS.values() for variant in variants}
        self.rows = curves({variant: records for variant, records in arms.items() if variant in drawn})
        self.keys = {key for _, values in self.rows for key in values}
        self.ledger = read_json(results / "claims.json", "run: python scripts/report.py")
        homes = {name: FIGURES[name].home(results, scale if name == "figure2" else None) for name in PICTURES}
        self.pictures = {name: home / "figure.png" for name, home in homes.items() if (home / "figure.png").is_file()}
        content = hashlib.sha256(json.dumps([self.rows, self.ledger], sort_keys=True).encode())
        for path in self.pictures.values():
            content.update(path.read_bytes())
        self.id = f"{OVERVIEW}-{content.hexdigest()[:8]}"  # the same contents are the same run

    def log(self, runs_dir: Path, mode: str, project: str, entity: str | None = None) -> None:
        """Log the run, unless W&B or the folder of offline runs, ``<runs_dir>/wandb``, has it."""
        make_writable(keep_out_of_home(runs_dir) / "wandb")
        import wandb

        media: dict[str, Any] = {f"figures/{name}": wandb.Image(str(path)) for name, path in self.pictures.items()}
        media["ledger"] = wandb.Table(columns=table.HEAD, data=[table.row_cells(row) for row in self.ledger])
        identity = {"id": self.id, "name": "figures and ledger", "group": OVERVIEW, "job_type": OVERVIEW}
        place = {"project": project, "entity": entity}
        config = {"figure": OVERVIEW}
        mirror = Mirror(runs_dir, mode, TIMEOUT_SECONDS, **identity, **place, tags=[OVERVIEW], config=config)
        mirror.sync([*self.rows, (self.rows[-1][0] + 1, media)])
        mirror.close(End(0))
        if complaint := mirror.wait_until(time.monotonic() + TIMEOUT_SECONDS):
            raise UserError(f"the figures and the ledger: {complaint}")
