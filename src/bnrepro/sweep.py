"""A sweep as a whole: its plan before it starts, the runs that others held, and its summary."""

import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bnrepro.config import Config, typed
from bnrepro.errors import UserError
from bnrepro.launch import SWEEP_PID
from bnrepro.records.files import write_json
from bnrepro.records.run import ENDED, RunDirectory


def jobs(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a Cartesian sweep, in Hydra's order."""
    choices = []
    for override in OverridesParser.create().parse_overrides(overrides):
        values = (
            override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
        )
        choices.append([f"{override.get_key_element()}={value}" for value in values])
    return [list(job) for job in itertools.product(*choices)]


class Sweep(Callback):
    """Hydra callback of every multirun."""

    def __init__(self) -> None:
        self.plan: dict[str, Config] = {}

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Compose every job, so that a slip in the last one stops the sweep before its first; write the plan."""
        from bnrepro import experiment

        os.environ[SWEEP_PID] = str(os.getpid())
        loader = GlobalHydra.instance().config_loader()
        try:
            for overrides in jobs(list(config.hydra.overrides.task)):
                composed = loader.load_sweep_config(config, overrides)
                del composed["hydra"]
                job = typed(composed)
                self.plan |= dict.fromkeys(experiment.names(job), job)
        except (UserError, HydraException) as error:
            print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
            sys.exit(2)
        done = sum(experiment.finished(job, name) is not None for name, job in self.plan.items())
        directory = Path(config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / "plan.json", {"runs": list(self.plan), "command": list(config.hydra.overrides.task)})
        print(f"sweep: {len(self.plan)} runs, {done} of them finished before", flush=True)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Come back to runs that other processes held, then sum up; exit non-zero unless every record is complete."""
        from bnrepro import experiment

        for name, job in self.plan.items():
            directory = RunDirectory(Path(job.runs_dir) / name)
            if experiment.finished(job, name) or not directory.is_held():
                continue
            print(f"{name}: waiting for the process that is training it", flush=True)
            while directory.is_held():
                time.sleep(1)
            for outcome in experiment.run(job, "python scripts/train.py"):
                print(outcome.message, flush=True)
        states = {name: self._state(name, job) for name, job in self.plan.items()}
        counts = ", ".join(f"{list(states.values()).count(state)} {state}" for state in sorted(set(states.values())))
        print(f"sweep: {counts}", flush=True)
        missing = [f"{name} ({state})" for name, state in states.items() if state not in ENDED]
        if missing:
            print(f"not complete: {', '.join(missing)}; run the same command to go on", flush=True)
            sys.exit(1)

    @staticmethod
    def _state(name: str, job: Config) -> str:
        from bnrepro import experiment

        place = experiment.finished(job, name) or Path(job.runs_dir) / name
        return RunDirectory(place).status().get("state", "not begun")
