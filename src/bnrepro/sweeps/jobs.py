"""From what was typed, and a named sweep's grids, to the jobs that are launched."""

import copy
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from bnrepro.config.overrides import typed_overrides, typed_values
from bnrepro.config.schema import Config
from bnrepro.errors import UserError
from bnrepro.records.run import RunDirectory
from bnrepro.training import experiment
from bnrepro.training.recorder import published_runs
from bnrepro.training.validation import typed

Grid = Mapping[str, object]  # of a named sweep: key -> value, or values as they are typed


@dataclass(frozen=True)
class Job:
    """One launch of a sweep: its overrides, its configuration and the names of its runs, one per seed."""

    overrides: tuple[str, ...]
    config: Config
    names: tuple[str, ...]

    def record(self, name: str) -> Path:
        """Where the record of one of its runs is, or will be."""
        return experiment.finished(self.config, name) or Path(self.config.runs_dir) / name

    def is_done(self) -> bool:
        """Whether all its records are complete, and published if they are to be."""
        folder = published_runs(self.config) if self.config.publish else Path(self.config.runs_dir)
        return all(RunDirectory(folder / name).ended() for name in self.names)

    def states(self) -> dict[str, str]:
        """The state of each of its runs."""
        return {name: RunDirectory(self.record(name)).state() for name in self.names}

    def is_locked(self) -> bool:
        """Whether a live process trains one of its runs."""
        return any(RunDirectory(Path(self.config.runs_dir) / name).is_held() for name in self.names)


def parse(arguments: Iterable[str]) -> dict[str, Override]:
    """Overrides by key, of two of one key the later. ``sweep``, whose grids Hydra has read, is left out."""
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    overrides = {override.get_key_element(): override for override in parser.parse_overrides(list(arguments))}
    return {key: override for key, override in overrides.items() if key != "sweep"}


def expand(arguments: Iterable[str], grids: Iterable[Grid] = ()) -> list[list[str]]:
    """The overrides of each job: all combinations within each grid. What is typed replaces what a grid says."""
    jobs = []
    for grid in list(grids) or [{}]:
        overrides = parse([f"{key}={value}" for key, value in grid.items()] + list(arguments))
        choices = [[f"{key}={value}" for value in typed_values(override)] for key, override in overrides.items()]
        jobs += map(list, itertools.product(*choices))
    return jobs


class Composer:
    """Composes the configurations of jobs as Hydra does; jobs that choose the same files share most of the work.

    Args:
        master: Hydra's configuration of the sweep.
    """

    def __init__(self, master: DictConfig):
        self.master, self.loader = master, GlobalHydra.instance().config_loader()
        self._of_files: dict[tuple[str, ...], DictConfig] = {}

    def job(self, overrides: Iterable[str]) -> Job:
        """The job of these overrides."""
        changes = {override.input_line: override for override in parse(overrides).values() if self._is_value(override)}
        composed = copy.deepcopy(self._composed(tuple(text for text in overrides if text not in changes)))
        for override in changes.values():
            OmegaConf.update(composed, override.key_or_group, override.value())
        config = typed(composed)
        return Job(tuple(overrides), config, tuple(experiment.names(config)))

    def _is_value(self, override: Override) -> bool:
        """Whether the override changes a value of what the files compose, and chooses no file itself."""
        return override.type == OverrideType.CHANGE and override.key_or_group not in self.master.hydra.runtime.choices

    def _composed(self, overrides: tuple[str, ...]) -> DictConfig:
        if overrides not in self._of_files:
            composed = self.loader.load_sweep_config(self.master, list(overrides))
            composed = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
            OmegaConf.set_struct(composed, True)  # the copy does not keep this flag
            self._of_files[overrides] = composed
        return self._of_files[overrides]


def plan(master: DictConfig, grids: Iterable[Grid] = ()) -> list[Job]:
    """Every job of a sweep, each run once; a slip in the last job stops the sweep before its first."""
    jobs: list[Job] = []
    planned: set[str] = set()
    composer = Composer(master)
    for overrides in expand(typed_overrides(master.hydra), grids):
        job = composer.job(overrides)
        if not planned.issuperset(job.names):
            jobs.append(job)
            planned.update(job.names)
    if not jobs:
        raise UserError("the sweep has no runs; Hydra's glob() does not look into folders, so list the experiments")
    return jobs
