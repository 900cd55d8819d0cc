"""Sweeps without training: Hydra's configuration of one, and a launcher that writes records at once."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from bnrepro.config.schema import Config
from bnrepro.sweeps.jobs import Job
from conftest import CONFIGS


@contextmanager
def master(*overrides: str) -> Iterator[DictConfig]:
    """Hydra's configuration of a sweep, as a sweeper gets it."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        yield hydra.compose_config("train", list(overrides), RunMode.MULTIRUN, with_log_configuration=False)


class Records:
    """A launcher whose runs end at once, as ``outcome(config)`` says; it keeps the jobs that it launched."""

    def __init__(self, outcome: Callable[[Config], dict[str, Any]]):
        self.outcome, self.launched, self.numbers = outcome, [], []

    def launch(self, jobs: list[Job], first: int, directory: Path) -> None:
        for number, job in enumerate(jobs, first):
            self.launched.append(job)
            self.numbers.append(number)
            for name in job.names:
                path = Path(job.config.runs_dir) / name
                path.mkdir(parents=True, exist_ok=True)
                (path / "status.json").write_text(json.dumps(self.outcome(job.config)))
