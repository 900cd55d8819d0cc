"""Runs from Python: their configuration, numbers, probes and trained networks."""

import glob
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from bnrepro.analysis.reading.load import Record, load_records
from bnrepro.config.folders import ROOT
from bnrepro.config.schema import Config
from bnrepro.config.values import structured
from bnrepro.errors import UserError, suggest
from bnrepro.records.files import read_json
from bnrepro.records.named import find_runs, is_run

if TYPE_CHECKING:
    from torch import nn

RESULTS = ROOT / "results"


class Run(Record):
    """One run, either in the runs directory with its network, or a committed record without it.

    ``path`` is its directory. ``status`` holds status.json: the state, the step, the provenance and, in ``final``, the
    results. ``metrics`` are the rows of metrics.csv, one per evaluation, indexed by step. ``probes`` are the arrays of
    probes.npz; the first axis of each belongs to ``probes["steps"]`` (T,).
    """

    def __repr__(self) -> str:
        return f"<Run {self.path}: {self.status['state']}>"

    @property
    def name(self) -> str:
        """``<variant>-s<seed>-<hash>``."""
        return self.path.name

    @cached_property
    def config(self) -> Config:
        """The resolved configuration, without the folders of the machine that it ran on."""
        return structured(Config, OmegaConf.load(self.path / "config.yaml"))

    def model(self) -> "nn.Module":
        """Return the trained network on the CPU, in evaluation mode, with the population statistics of Alg. 2.

        It maps images (N, 3, pixels, pixels) in [-1, 1] to logits (N, classes). Figure 1's networks read pictures of
        digits, white on black and 28 pixels wide; ``model().network`` is the network of vectors inside.

        Raises:
            UserError: the run has not finished, or it is a committed record without a checkpoint.
        """
        if not (self.path / "checkpoint.pt").is_file():
            command = self.status["command"]
            raise UserError(f"{self.path} is a record without a checkpoint; to train its network, run: {command}")
        import torch

        from bnrepro.use.trained import trained

        return trained(self.path, torch.device("cpu")).network


def load_run(run: str | Path) -> Run:
    """Return the run of a directory, or of a name in the runs directory (``BNREPRO_RUNS``, or runs/) or under results/.

    Raises:
        UserError: there is no such run, or there are several.
    """
    paths = find_runs([run])
    if not is_run(paths[0]):
        records = sorted(RESULTS.glob(f"**/runs/{glob.escape(str(run))}"))
        paths = list({path.resolve(): path for path in records}.values())  # a link is a second name of a record
    if not paths:
        raise UserError(f"no run is called {run}; python scripts/status.py lists the runs")
    if len(paths) > 1:
        some = ", ".join([*map(str, paths[:3]), *(["..."] if len(paths) > 3 else [])])
        raise UserError(f"{run} names {len(paths)} runs; name one by its directory: {some}")
    return Run(paths[0], read_json(paths[0] / "status.json"))


def load_results(figure: str, scale: str) -> list[Run]:
    """Return the committed runs of a figure, or of claims such as ``claims/depth``, at a scale, sorted by name.

    Raises:
        UserError: nothing is committed of it.
    """
    folder = RESULTS / figure / scale / "runs"
    if not folder.is_dir():
        known = sorted(path.parent.relative_to(RESULTS).as_posix() for path in RESULTS.glob("**/runs"))
        raise UserError(f"nothing is committed in results/{figure}/{scale}; {suggest(f'{figure}/{scale}', known)}")
    return [Run(record.path, record.status) for record in load_records(folder)]
