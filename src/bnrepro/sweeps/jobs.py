"""From the overrides of a command, and the grids of a named sweep, to the jobs that are launched."""

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

Grid = Mapping[str, object]  # of a named sweep: values by key, several values as they are typed


@dataclass(frozen=True)
class Job:
    """One launch of a sweep: its overrides, its configuration and the names of its runs, one per seed."""

    overrides: tuple[str, ...]
    config: Config
    names: tuple[str, ...]

    def record(self, name: str) -> Path:
        """Return where the record of one of its runs is, or will be."""
        return experiment.complete_record(self.config, name) or Path(self.config.runs_dir) / name

    def is_done(self) -> bool:
        """Return whether all its records are complete, and published if they are to be."""
        folder = published_runs(self.config) if self.config.publish else Path(self.config.runs_dir)
        return all(RunDirectory(folder / name).ended() for name in self.names)

    def states(self) -> dict[str, str]:
        """Return the state of each of its runs, by name."""
        return {name: RunDirectory(self.record(name)).state() for name in self.names}

    def is_locked(self) -> bool:
        """Return whether a live process trains one of its runs."""
        return any(RunDirectory(Path(self.config.runs_dir) / name).is_held() for name in self.names)


def parse(words: Iterable[str]) -> dict[str, Override]:
    """Return the overrides by key; the later of two for one key counts. ``sweep`` only names grids and is left out."""
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    overrides = {override.get_key_element(): override for override in parser.parse_overrides(list(words))}
    overrides.pop("sweep", None)
    return overrides


def expand(words: Iterable[str], grids: Iterable[Grid] = ()) -> list[list[str]]:
    """Return the overrides of each job: all combinations within each grid. Typed words replace those of a grid."""
    jobs = []
    for grid in list(grids) or [{}]:
        overrides = parse([f"{key}={value}" for key, value in grid.items()] + list(words))
        choices = [[f"{key}={value}" for value in typed_values(override)] for key, override in overrides.items()]
        jobs += map(list, itertools.product(*choices))
    return jobs


class Composer:
    """Composes the configurations of jobs as Hydra does; jobs that choose the same files share most of the work.

    ``master`` is Hydra's configuration of the sweep.
    """

    def __init__(self, master: DictConfig):
        self.master, self.loader = master, GlobalHydra.instance().config_loader()
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def job(self, words: Iterable[str]) -> Job:
        """Return the job of these overrides."""
        groups = self.master.hydra.runtime.choices
        values = {  # overrides that change a value and choose no file
            override.input_line: override
            for override in parse(words).values()
            if override.type == OverrideType.CHANGE and override.key_or_group not in groups
        }
        composed = copy.deepcopy(self._compose(tuple(word for word in words if word not in values)))
        for override in values.values():
            OmegaConf.update(composed, override.key_or_group, override.value())
        config = typed(composed)
        return Job(tuple(words), config, tuple(experiment.run_names(config)))

    def _compose(self, words: tuple[str, ...]) -> DictConfig:
        if words not in self._composed:
            composed = self.loader.load_sweep_config(self.master, list(words))
            composed = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
            OmegaConf.set_struct(composed, True)  # the copy has lost this flag
            self._composed[words] = composed
        return self._composed[words]


def plan(master: DictConfig, grids: Iterable[Grid] = ()) -> list[Job]:
    """Return every job of a sweep, each run once. A mistake in the last job is found before the first one starts."""
    jobs: list[Job] = []
    planned: set[str] = set()
    composer = Composer(master)
    for words in expand(typed_overrides(master.hydra), grids):
        job = composer.job(words)
        if not planned.issuperset(job.names):
            jobs.append(job)
            planned.update(job.names)
    if not jobs:
        raise UserError("the sweep has no runs; Hydra's glob() does not look into folders, so list the experiments")
    return jobs
