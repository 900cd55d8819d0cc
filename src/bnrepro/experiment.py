"""A launch, from resolved configuration to finished records: one run a seed, resumed where they stopped."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

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
    traceback is in the run's directory. One seed's mistake or fault does not touch the others.
    """
    outcomes: dict[str, Outcome] = {}
    held: dict[str, RunDirectory] = {}
    wanted: dict[str, int] = {}
    try:
        wanted = dict(zip(names(config), run_seeds(config), strict=True))
        for name in wanted:
            with _told(outcomes, [RunDirectory(Path(config.runs_dir) / name)]):
                outcome = _claim(config, name, held)
                outcomes |= {name: outcome} if outcome else {}
        runs = [(wanted[name], directory) for name, directory in held.items()]
        with _told(outcomes, list(held.values())):
            _train_all(config, command, runs, outcomes)
    finally:
        for directory in held.values():
            directory.release()
    return [outcomes[name] for name in wanted]


def _claim(config: Config, name: str, held: dict[str, RunDirectory]) -> Outcome | None:
    """Lock a run that is to be trained and add it to ``held``; or say why it is not to be."""
    directory = RunDirectory(Path(config.runs_dir) / name)
    if not finished(config, name):
        directory.create()
        if not directory.acquire():
            holder = directory.status().get("pid", "?")
            return Outcome(name, "locked", f"{name}: another process ({holder}) is training it")
        held[name] = directory
    place = finished(config, name)  # asked again under the lock: its last holder may have just finished it
    if not place:
        return None
    if config.publish and directory.ended():
        directory.publish(published_runs(config))
    return Outcome(name, RunDirectory(place).status()["state"], f"{name}: already in {place}")


@contextmanager
def _told(outcomes: dict[str, Outcome], directories: list[RunDirectory]) -> Iterator[None]:
    """Turn an exception into the outcome of those runs that have none yet."""
    try:
        yield
    except UserError as error:
        for directory in directories:
            outcomes.setdefault(directory.name, Outcome(directory.name, "refused", str(error)))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        for directory in directories:
            if directory.name not in outcomes:
                _note_failure(directory, error)
                message = f"{directory.name}: failed ({reason}); see {directory.path / 'traceback.txt'}"
                outcomes[directory.name] = Outcome(directory.name, "failed", message)


def _note_failure(directory: RunDirectory, error: Exception) -> None:
    text = "".join(traceback.format_exception(error))
    with suppress(OSError):  # a disk that is full is full for this too; the outcome still says what happened
        (directory.path / "traceback.txt").write_text(text)
        directory.update(state="failed", error=text.splitlines()[-1])


def _train_all(
    config: Config, command: str, runs: list[tuple[int, RunDirectory]], outcomes: dict[str, Outcome]
) -> None:
    """Train locked runs, stacking those that stand at the same step, the least advanced first."""
    runs = [(seed, directory) for seed, directory in runs if directory.name not in outcomes]
    if not runs:
        return
    torch.set_num_threads(config.threads)
    on = build.device(config)
    data = build.dataset(config, on)
    saved: dict[str, dict[str, Any] | None] = {}
    for _, directory in runs:
        with _told(outcomes, [directory]):
            state = checkpoint.load(directory.checkpoint, directory.name)
            directory.cut_history(state["rows"] if state else 0)  # what is wrong with one run is found before it starts
            saved[directory.name] = state
    runs = [(seed, directory) for seed, directory in runs if directory.name in saved]

    def progress(item: tuple[int, RunDirectory]) -> int:
        state = saved[item[1].name]
        return state["step"] if state else 0

    with StopRequest() as stop:
        ordered = sorted(runs, key=progress)
        stacks = [list(together) for _, together in groupby(ordered, key=progress)]
        for group in stacks if build.stackable(config) else [[one] for one in ordered]:
            directories = [directory for _, directory in group]
            if stop.signum is not None:
                for d in directories:
                    text = f"{d.name}: interrupted before it began; run the same command to go on"
                    outcomes[d.name] = Outcome(d.name, "interrupted", text)
                continue
            with _told(outcomes, directories):
                outcomes |= Session(config, command, group, saved, data, on).train(stop)
