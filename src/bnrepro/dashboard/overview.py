"""One run of what no single training run holds: Figure 2's mean curves and crossings, the figures, the ledger."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.analysis.claims import table
from bnrepro.analysis.claims.ledger import Row
from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.reading.load import Arms
from bnrepro.dashboard.panels import PICTURES, SUMMARY
from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from bnrepro.tracking.mirror import first_step
from bnrepro.tracking.wandb_setup import keep_out_of_home

Rows = list[tuple[int, dict[str, float]]]


def ledger_rows(results: Path) -> list[Row]:
    """The committed ledger."""
    if not (results / "claims.json").is_file():
        raise UserError(f"no {results / 'claims.json'}; run: python scripts/report.py claims")
    return list(read_json(results / "claims.json"))


def curves(arms: Arms) -> Rows:
    """Figure 2 as rows to log, a step each: mean curves, the target, and where each median seed gets there."""
    goal = figure2.target(arms[figure2.BASELINE])
    looks: dict[int, dict[str, float]] = {}
    for variant, records in arms.items():
        for step, value in figure2.until_divergence(records).mean(axis=1).dropna().items():
            looks.setdefault(int(step), {})[f"figure2/curve/{variant}"] = float(value)
        if np.isfinite(step := np.median(figure2.steps(records, goal))):
            looks.setdefault(round(step), {})[f"figure2/crossing/{variant}"] = goal
    for step in (min(looks), max(looks)):
        looks[step]["figure2/target"] = goal
    return sorted(looks.items())


class Overview:
    """That run, ready to be logged.

    Args:
        results: the folder of committed records, figures and ledger.
        scale: of Figure 2.
    """

    def __init__(self, results: Path, scale: str | None = None):
        arms = FIGURES["figure2"].arms(results, scale, results)
        drawn = {name for reading in figure2.READINGS.values() for name in reading}
        self.rows = curves({name: records for name, records in arms.items() if name in drawn})
        self.ledger = ledger_rows(results)
        self.keys = {key for _, values in self.rows for key in values}
        homes = {name: FIGURES[name].home(results, scale if name == "figure2" else None) for name in PICTURES}
        paths = {name: home / "figure.png" for name, home in homes.items()}
        self.pictures = {name: path for name, path in paths.items() if path.is_file()}
        content = hashlib.sha256(json.dumps([self.rows, self.ledger], sort_keys=True).encode())
        for path in self.pictures.values():
            content.update(path.read_bytes())
        self.id = f"{SUMMARY}-{content.hexdigest()[:8]}"  # of what it shows: logged again, it is the same run

    def log(self, runs_dir: Path, mode: str, project: str, entity: str | None = None) -> None:
        """Log it, unless W&B or the folder of offline runs, ``<runs_dir>/wandb``, has it."""
        root = keep_out_of_home(runs_dir)
        root.mkdir(parents=True, exist_ok=True)
        import wandb

        options = wandb.Settings(console="off", silent=True, init_timeout=30)
        where = {"dir": root, "mode": mode, "project": project, "entity": entity}
        names = {"id": self.id, "name": "figures and ledger", "group": SUMMARY, "job_type": SUMMARY, "tags": [SUMMARY]}
        run = wandb.init(config={"figure": SUMMARY}, resume="allow", settings=options, **names, **where)
        try:
            if first_step(run):
                return
            for step, values in self.rows:
                run.log(values, step=step, commit=True)
            cells = [table.cells(row) for row in self.ledger]
            shown: dict[str, Any] = {"ledger": wandb.Table(columns=table.HEAD, data=cells)}
            shown |= {f"figures/{name}": wandb.Image(str(path)) for name, path in self.pictures.items()}
            run.log(shown, step=self.rows[-1][0] + 1, commit=True)
        finally:
            run.finish()
