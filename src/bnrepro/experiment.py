"""A launch, from resolved configuration to finished records: one run a seed, resumed where they stopped."""

import traceback
from itertools import groupby
from pathlib import Path

import torch

from bnrepro import build
from bnrepro.config import Config, run_seeds
from bnrepro.errors import UserError
from bnrepro.outcome import Outcome
from bnrepro.records.identity import run_name
from bnrepro.records.run import RunDirectory
from bnrepro.session import Session, published_runs
from bnrepro.training import checkpoint
from bnrepro.training.interrupt import StopRequest


def names(config: Config) -> list[str]:
    """The names of the runs that a launch of this configuration makes, one a seed."""
    return [run_name(config, seed, build.data_fingerprint(config)) for seed in run_seeds(config)]


def finished(config: Config, name: str) -> Path | None:
    """Where the complete record of a run is, or None: in the runs directory, or with ``publish`` under results."""
    places = [Path(config.runs_dir)] + ([published_runs(config)] if config.publish else [])
    return next((place / name for place in places if RunDirectory(place / name).ended()), None)


def run(config: Config, command: str) -> list[Outcome]:
    """Train what is missing of this launch; finished runs are left out, and those another process holds not waited for.

    Never raises for what can be said in an `Outcome`: a user's mistake is ``refused``, a fault is ``failed`` and its
    traceback is in the run's directory.
    """
    wanted = dict(zip(names(config), run_seeds(config), strict=True))
    outcomes: dict[str, Outcome] = {}
    held: dict[str, RunDirectory] = {}
    try:
        for name in wanted:
            if config.publish and RunDirectory(Path(config.runs_dir) / name).ended():
                RunDirectory(Path(config.runs_dir) / name).publish(published_runs(config))
            if place := finished(config, name):
                outcomes[name] = Outcome(name, RunDirectory(place).status()["state"], f"{name}: already in {place}")
                continue
            directory = RunDirectory(Path(config.runs_dir) / name)
            directory.create()
            if directory.acquire():
                held[name] = directory
            else:
                holder = directory.status().get("pid", "?")
                outcomes[name] = Outcome(name, "locked", f"{name}: another process ({holder}) is training it")
        outcomes |= _train_all(config, command, [(wanted[name], directory) for name, directory in held.items()])
    except UserError as error:
        outcomes |= {name: Outcome(name, "refused", str(error)) for name in wanted if name not in outcomes}
    except Exception as error:
        _note_failure(list(held.values()), error)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        for name in wanted:
            if name not in outcomes:
                where = Path(config.runs_dir) / name / "traceback.txt"
                outcomes[name] = Outcome(name, "failed", f"{name}: failed ({reason}); see {where}")
    finally:
        for directory in held.values():
            directory.release()
    return [outcomes[name] for name in wanted]


def _note_failure(directories: list[RunDirectory], error: Exception) -> None:
    text = "".join(traceback.format_exception(error))
    for directory in directories:
        try:
            if not directory.ended():
                (directory.path / "traceback.txt").write_text(text)
                directory.update(state="failed", error=text.splitlines()[-1])
        except OSError:  # the disk that is full is full for this too; the outcome still says what happened
            continue


def _train_all(config: Config, command: str, runs: list[tuple[int, RunDirectory]]) -> dict[str, Outcome]:
    """Train locked runs, stacking those that stand at the same step, the least advanced first."""
    outcomes: dict[str, Outcome] = {}
    if not runs:
        return outcomes
    torch.set_num_threads(config.threads)
    on = build.device(config)
    data = build.dataset(config, on)
    saved = {directory.name: checkpoint.load(directory.checkpoint, directory.name) for _, directory in runs}

    def progress(item: tuple[int, RunDirectory]) -> int:
        state = saved[item[1].name]
        return state["step"] if state else 0

    with StopRequest() as stop:
        for _, group in groupby(sorted(runs, key=progress), key=progress):
            launch = Session(config, command, list(group), saved, data, on)
            outcomes |= launch.train(stop)
            if stop.signum is not None:
                break
    left = {d.name: f"{d.name}: interrupted before it began; run the same command to go on" for _, d in runs}
    return {name: Outcome(name, "interrupted", text) for name, text in left.items()} | outcomes
