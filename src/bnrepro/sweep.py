"""A sweep as a whole: its plan before it starts, the runs that others held, and its summary."""

import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnrepro.config import Config
from bnrepro.errors import UserError
from bnrepro.launch import SWEEP_PID
from bnrepro.outcome import INTERRUPTED
from bnrepro.records.files import write_json
from bnrepro.records.provenance import typed_command
from bnrepro.records.run import ENDED, RunDirectory
from bnrepro.validation import typed

# `bnrepro.experiment` is imported where it is used: a launcher's workers load this module, and need no torch.


def jobs(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a Cartesian sweep, in Hydra's order."""
    choices = []
    for override in OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(overrides):
        swept = override.is_sweep_override()
        values = override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
        choices.append([f"{override.get_key_element()}={value}" for value in values])
    return [list(job) for job in itertools.product(*choices)]


def plan(config: DictConfig) -> dict[str, Config]:
    """The name and configuration of every run of a sweep, from Hydra's master configuration.

    Raises:
        UserError, HydraException, OmegaConfBaseException: a job cannot be composed.
    """
    from bnrepro import experiment

    loader = GlobalHydra.instance().config_loader()
    runs: dict[str, Config] = {}
    for overrides in jobs(list(config.hydra.overrides.task)):
        composed = loader.load_sweep_config(config, overrides)
        job = typed(OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"]))
        runs |= dict.fromkeys(experiment.names(job), job)
    if not runs:
        raise UserError("the sweep has no runs; Hydra's glob() does not look into folders, so list the experiments")
    return runs


def state(name: str, job: Config) -> str:
    """The state of one planned run, wherever its record is."""
    from bnrepro import experiment

    place = experiment.finished(job, name) or Path(job.runs_dir) / name
    return RunDirectory(place).status().get("state", "not begun")


def revisit(runs: dict[str, Config], command: str) -> None:
    """Train the runs that were begun elsewhere and not ended, once their holders let go of them."""
    from bnrepro import experiment

    for name, job in runs.items():
        directory = RunDirectory(Path(job.runs_dir) / name)
        if state(name, job) not in ("running", "interrupted"):
            continue
        if directory.is_held():
            print(f"{name}: waiting for the process that is training it", flush=True)
        while directory.is_held():
            time.sleep(1)
        outcomes = experiment.run(job, command)
        for outcome in outcomes:
            print(outcome.message, flush=True)
        if any(outcome.state == "interrupted" for outcome in outcomes):
            sys.exit(INTERRUPTED)


def _exits(step: Callable[..., None]) -> Callable[..., None]:
    """Hydra only warns of exceptions in callbacks; what a user can mend is said in one line, and ends the sweep."""

    def guarded(self: "Sweep", config: DictConfig, **rest: Any) -> None:
        try:
            step(self, config, **rest)
        except (UserError, HydraException, OmegaConfBaseException, OSError) as error:
            print("error:", " ".join(str(error).split("\n")[:2]), file=sys.stderr)
            sys.exit(2)

    return guarded


class Sweep(Callback):
    """Hydra callback of every multirun."""

    def __init__(self) -> None:
        self.plan: dict[str, Config] = {}

    @_exits
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Compose every job, so that a slip in the last one stops the sweep before its first; write the plan."""
        from bnrepro import experiment

        os.environ[SWEEP_PID] = str(os.getpid())
        self.plan = plan(config)
        done = sum(experiment.finished(job, name) is not None for name, job in self.plan.items())
        directory = Path(config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        told = {
            "runs": list(self.plan),
            "overrides": list(config.hydra.overrides.task),
            "publish": bool(config.publish),
        }
        write_json(directory / "plan.json", told)
        print(f"sweep: {len(self.plan)} runs, {done} of them finished before", flush=True)

    @_exits
    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Come back to runs that other processes held, then sum up; exit non-zero unless every record is complete."""
        revisit(self.plan, typed_command("train", ["-m", *config.hydra.overrides.task]))
        states = {name: state(name, job) for name, job in self.plan.items()}
        counts = ", ".join(f"{count} {which}" for which, count in sorted(Counter(states.values()).items()))
        print(f"sweep: {counts}", flush=True)
        missing = [f"{name} ({which})" for name, which in states.items() if which not in ENDED]
        if missing:
            print(f"not complete: {', '.join(missing)}; run the same command to go on", flush=True)
            sys.exit(1)
