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

from bnrepro.config.overrides import typed_overrides
from bnrepro.config.schema import Config
from bnrepro.errors import UserError
from bnrepro.records.run import RunDirectory
from bnrepro.training import experiment
from bnrepro.training.recorder import published_runs
from bnrepro.training.validation import typed

Grid = Mapping[str, object]  # of a named sweep: key -> value, or values as they are typed


@dataclass(frozen=True)
class Job:
    """One launch of a sweep: its overrides, its configuration and the names of its runs, one a seed."""

    overrides: tuple[str, ...]
    config: Config
    names: tuple[str, ...]

    def place(self, name: str) -> Path:
        """Where the record of one of its runs is, or will be."""
        return experiment.finished(self.config, name) or Path(self.config.runs_dir) / name

    def is_done(self) -> bool:
        """Whether there is nothing to launch: all its records are complete, and published if they are to be."""
        folder = published_runs(self.config) if self.config.publish else Path(self.config.runs_dir)
        return all(RunDirectory(folder / name).ended() for name in self.names)

    def states(self) -> dict[str, str]:
        """The state of each of its runs."""
        return {name: RunDirectory(self.place(name)).state() for name in self.names}

    def is_held(self) -> bool:
        """Whether a live process trains one of its runs."""
        return any(RunDirectory(Path(self.config.runs_dir) / name).is_held() for name in self.names)


def parsed(arguments: Iterable[str]) -> dict[str, Override]:
    """Overrides by key, a later one in the place of an earlier; ``sweep``, which has done its part, left out."""
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    found = {override.get_key_element(): override for override in parser.parse_overrides(list(arguments))}
    return {key: override for key, override in found.items() if key != "sweep"}


def expand(arguments: Iterable[str], grids: Iterable[Grid] = ()) -> list[list[str]]:
    """The overrides of each job: all combinations within each grid; what is typed replaces what a grid says."""
    jobs = []
    for grid in list(grids) or [{}]:
        choices = []
        for key, override in parsed([f"{key}={value}" for key, value in grid.items()] + list(arguments)).items():
            swept = override.is_sweep_override()
            values = override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
            choices.append([f"{key}={value}" for value in values])
        jobs += map(list, itertools.product(*choices))
    return jobs


class Composer:
    """What Hydra makes of a job's overrides; jobs that choose the same files share most of the work.

    Args:
        master: Hydra's configuration of the sweep.
    """

    def __init__(self, master: DictConfig):
        self.master, self.loader = master, GlobalHydra.instance().config_loader()
        self._of_files: dict[tuple[str, ...], DictConfig] = {}

    def job(self, overrides: Iterable[str]) -> Job:
        """The job of these overrides.

        Raises:
            UserError, HydraException, OmegaConfBaseException: it cannot be composed.
        """
        values = {one.input_line: one for one in parsed(overrides).values() if self._is_value(one)}
        config = copy.deepcopy(self._composed(tuple(text for text in overrides if text not in values)))
        for override in values.values():
            OmegaConf.update(config, override.key_or_group, override.value())
        found = typed(config)
        return Job(tuple(overrides), found, tuple(experiment.names(found)))

    def _is_value(self, override: Override) -> bool:
        """Whether it changes a value after all files are read, so that it needs nothing but the result of that."""
        return override.type == OverrideType.CHANGE and override.key_or_group not in self.master.hydra.runtime.choices

    def _composed(self, overrides: tuple[str, ...]) -> DictConfig:
        if overrides not in self._of_files:
            found = self.loader.load_sweep_config(self.master, list(overrides))
            found = OmegaConf.masked_copy(found, [key for key in found if key != "hydra"])
            OmegaConf.set_struct(found, True)  # the copy has forgotten it
            self._of_files[overrides] = found
        return self._of_files[overrides]


def plan(master: DictConfig, grids: Iterable[Grid] = ()) -> list[Job]:
    """Every job of a sweep, each run once, so that a slip in the last one stops the sweep before its first.

    Raises:
        UserError, HydraException, OmegaConfBaseException: a job cannot be composed, or there is none.
    """
    jobs: list[Job] = []
    seen: set[str] = set()
    composer = Composer(master)
    for overrides in expand(typed_overrides(master.hydra), grids):
        job = composer.job(overrides)
        if not seen.issuperset(job.names):
            jobs.append(job)
            seen.update(job.names)
    if not jobs:
        raise UserError("the sweep has no runs; Hydra's glob() does not look into folders, so list the experiments")
    return jobs
