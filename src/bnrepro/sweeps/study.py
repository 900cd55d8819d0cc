"""A study of hyper-parameters: Optuna chooses, runs answer, and a small file remembers what was asked.

What a trial gave is read from the records of its runs, and the sampler is seeded by how many trials there are: a study
that was killed and launched again asks for the same trials as one that was not.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig

from bnrepro.command_line import typed_overrides
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_json
from bnrepro.records.run import RunDirectory
from bnrepro.sweeps.jobs import Composer, Job, parsed

Trial = dict[str, str]  # key -> value, as it is typed
DIVERGED = 0.0  # the accuracy that a run which diverged counts for


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError("hydra/sweeper=optuna needs Optuna; pip install -r requirements.txt") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def space(overrides: dict[str, Override]) -> dict[str, Any]:
    """What is searched, from the swept overrides: ``interval`` (``tag(log, interval(a, b))``), or a choice of values.

    Raises:
        UserError: there is nothing to search.
    """
    distributions = _optuna().distributions
    found: dict[str, Any] = {}
    for key, override in overrides.items():
        if not override.is_sweep_override():
            continue
        value = override.value()
        if isinstance(value, IntervalSweep):
            whole = isinstance(value.start, int) and isinstance(value.end, int)
            kind = distributions.IntDistribution if whole else distributions.FloatDistribution
            try:
                found[key] = kind(value.start, value.end, log="log" in value.tags)
            except ValueError as error:
                raise UserError(f"cannot search {key}: {error}") from None
        else:
            found[key] = distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
    if not found:
        raise UserError("nothing to search; give a range, such as 'optimizer.base_lr=tag(log,interval(0.01,30))'")
    return found


class Study:
    """The trials asked for so far, and those that are next; a context, in which no other process conducts the study.

    Args:
        master: Hydra's configuration of the sweep.
        trials: how many there are to be in the end.
        at_a_time: trials that are asked for, and launched, together.
        seed: of the sampler.

    Raises:
        UserError: there is nothing to search, a trial cannot be composed, or it would see the images of the results.
    """

    def __init__(self, master: DictConfig, trials: int, at_a_time: int, seed: int):
        if trials < 1 or at_a_time < 1:
            raise UserError("hydra.sweeper.trials and hydra.sweeper.at_a_time must be at least 1")
        overrides = parsed(typed_overrides(master.hydra))
        self.wanted, self.at_a_time, self.seed = trials, at_a_time, seed
        self.composer = Composer(master)
        self.space = space(overrides)
        self.fixed = [override.input_line for key, override in overrides.items() if key not in self.space]
        identity = sorted([*self.fixed, *(f"{key}: {value}" for key, value in self.space.items()), f"seed: {seed}"])
        folder = Path(master.runs_dir) / ".studies"
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]}.json"
        self._jobs: dict[tuple[tuple[str, str], ...], Job] = {}
        self._lock = filelock.FileLock(self.path.with_suffix(".lock"))
        self.trials: list[Trial] = []
        self.job({key: str(kind.low if hasattr(kind, "low") else kind.choices[0]) for key, kind in self.space.items()})

    def __enter__(self) -> "Study":
        try:
            self._lock.acquire(timeout=0.5)
        except filelock.Timeout:
            raise UserError(f"another process conducts this study ({self.path})") from None
        self.trials = read_json(self.path)["trials"] if self.path.exists() else []
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def job(self, trial: Trial) -> Job:
        """What a trial launches."""
        chosen = tuple(trial.items())
        if chosen not in self._jobs:
            found = self.composer.job([*self.fixed, *(f"{key}={value}" for key, value in chosen)])
            if found.config.data.split != "tune":
                raise UserError(
                    "a search must not see the images of the results; take a tune_* experiment or data.split=tune"
                )
            self._jobs[chosen] = found
        return self._jobs[chosen]

    def value(self, trial: Trial) -> float | None:
        """The mean final accuracy of a trial's runs; None until all have ended."""
        job = self.job(trial)
        found = []
        for name in job.names:
            status = RunDirectory(job.place(name)).status()
            if status.get("state") == "diverged":
                found.append(DIVERGED)
            elif status.get("state") == "finished":
                found.append(next(value for metric, value in status["final"].items() if metric.endswith("/top1")))
            else:
                return None
        return sum(found) / len(found)

    def ask(self, count: int) -> list[Trial]:
        """The next trials, given what those before have led to."""
        optuna = _optuna()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=self.seed + len(self.trials), constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in self.trials:
            value = self.value(trial)
            if value is not None:
                params = {key: self._number(key, text) for key, text in trial.items()}
                study.add_trial(optuna.trial.create_trial(params=params, distributions=self.space, value=value))
        asked = [study.ask(self.space).params for _ in range(count)]
        return [{key: f"{v:.4g}" if isinstance(v, float) else str(v) for key, v in one.items()} for one in asked]

    def _number(self, key: str, text: str) -> Any:
        """A value as Optuna takes it: within the bounds, which rounding may have left."""
        kind = self.space[key]
        if not hasattr(kind, "low"):
            return text
        return type(kind.low)(min(max(float(text), kind.low), kind.high))

    def batches(self) -> Iterator[list[Job]]:
        """First the trials that were asked for and have no value, then new ones, until there are as many as wanted."""
        tried: list[Trial] = []
        while True:
            open_ones = [trial for trial in self.trials if trial not in tried and self.value(trial) is None]
            if open_ones:
                batch = open_ones[: self.at_a_time]
                tried += batch
                yield [self.job(trial) for trial in batch]
            elif len(self.trials) < self.wanted:
                self.trials += self.ask(min(self.at_a_time, self.wanted - len(self.trials)))
                write_json(self.path, {"fixed": self.fixed, "trials": self.trials})
            else:
                return

    def announce(self) -> None:
        """Say how much there is, and how much of it is done."""
        done = sum(self.value(trial) is not None for trial in self.trials)
        print(f"study: {self.wanted} trials, {done} of them finished before", flush=True)

    def best(self) -> str:
        """The best trial in a line."""
        values = [(value, trial) for trial in self.trials if (value := self.value(trial)) is not None]
        if not values:
            return "no trial has a value yet"
        value, trial = max(values, key=lambda one: one[0])
        chosen = " ".join(f"{key}={text}" for key, text in trial.items())
        return f"best of {len(values)} trials: top-1 {value:.4f} with {chosen}"
