"""A launch, from resolved configuration to finished records: one run a seed, resumed where they stopped."""

import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bnrepro.config.schema import Config, run_seeds
from bnrepro.errors import UserError
from bnrepro.records.identity import run_name
from bnrepro.records.outcome import Outcome
from bnrepro.records.run import RunDirectory
from bnrepro.training import build, checkpoint
from bnrepro.training.distributed import Replicas, joined
from bnrepro.training.interrupt import StopRequest, begin
from bnrepro.training.session import Begun, Session, published_runs


def names(config: Config) -> list[str]:
    """The names of the runs that a launch of this configuration makes, one a seed."""
    return [run_name(config, seed, build.data_fingerprint(config)) for seed in run_seeds(config)]


def finished(config: Config, name: str) -> Path | None:
    """Where the complete record of a run is, or None: in the runs directory, or with ``publish`` under results."""
    places = [Path(config.runs_dir)] + ([published_runs(config)] if config.publish else [])
    return next((place / name for place in places if RunDirectory(place / name).ended()), None)


def run(config: Config, command: str) -> list[Outcome]:
    """Train what is missing of this launch; finished runs are left out, and those another process holds not waited for.

    What can be said in an `Outcome` is: a user's mistake is ``refused``, a fault is ``failed`` and its traceback is in
    the run's directory, if that was locked. One seed's mistake or fault does not touch the others. Of several replicas
    the first one decides and records, and the others, which follow, have no outcomes.

    Raises:
        UserError: the configuration cannot be run at all.
    """
    begin()
    torch.set_num_threads(config.threads)
    with joined(config.training.replicas, config.device) as replicas:
        return _lead(config, command, replicas) if replicas.leads else _follow(config, command, replicas)


def _lead(config: Config, command: str, replicas: Replicas) -> list[Outcome]:
    outcomes: dict[str, Outcome] = {}
    held: dict[str, RunDirectory] = {}
    wanted: dict[str, int] = {}
    ready: list[Begun] = []
    try:
        try:
            wanted = dict(zip(names(config), run_seeds(config), strict=True))
            for name in wanted:
                directory = RunDirectory(Path(config.runs_dir) / name)
                with _told(outcomes, [directory]):
                    outcome = _claim(config, directory, held)
                    outcomes |= {name: outcome} if outcome else {}
            for name, directory in held.items():
                if name not in outcomes:
                    with _told(outcomes, [directory]):
                        state = checkpoint.load(directory.checkpoint, name)
                        directory.cut_history(state["rows"] if state else 0)  # a fault is found before anything starts
                        ready.append((wanted[name], directory, state))
        finally:
            replicas.share([(seed, directory.name, state) for seed, directory, state in ready])
        if ready:
            _train_all(config, command, ready, outcomes, replicas)
    finally:
        for directory in held.values():
            directory.release()
    return [outcomes[name] for name in wanted if name in outcomes]


def _follow(config: Config, command: str, replicas: Replicas) -> list[Outcome]:
    """Do as the leading replica does, with records that nobody keeps.

    A fault is raised: it ends this process, and torchrun then ends the others.
    """
    with TemporaryDirectory() as folder:
        unrecorded = replace(config, runs_dir=folder, publish=False, logger=replace(config.logger, mode="disabled"))
        ready = []
        for seed, name, state in replicas.share(None):
            directory = RunDirectory(Path(folder) / name)
            directory.create()
            ready.append((seed, directory, state and state | {"rows": 0}))
        if ready:
            _train_all(unrecorded, command, ready, {}, replicas)
    return []


def _claim(config: Config, directory: RunDirectory, held: dict[str, RunDirectory]) -> Outcome | None:
    """Lock a run that is to be trained and add it to ``held``; or say why it is not to be."""
    name = directory.name
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
                message = f"{directory.name}: failed ({reason})"
                if directory.locked:  # what is not locked is another process's to write to
                    _note_failure(directory, error)
                    message += f"; see {directory.path / 'traceback.txt'}"
                outcomes[directory.name] = Outcome(directory.name, "failed", message)


def _untold(outcomes: dict[str, Outcome], directories: list[RunDirectory]) -> AbstractContextManager[None]:
    """As `_told` where there is nobody to tell."""
    return nullcontext()


def _note_failure(directory: RunDirectory, error: Exception) -> None:
    text = "".join(traceback.format_exception(error))
    with suppress(OSError):  # a disk that is full is full for this too; the outcome still says what happened
        (directory.path / "traceback.txt").write_text(text)
        if not directory.ended():  # publishing may fail after that; the record is complete
            directory.update(state="failed", error=text.splitlines()[-1])


def _train_all(
    config: Config, command: str, ready: list[Begun], outcomes: dict[str, Outcome], replicas: Replicas
) -> None:
    """Train locked runs, the least advanced first; where they can be stacked, those at the same step together."""
    told = _told if replicas.leads else _untold
    with told(outcomes, [directory for _, directory, _ in ready]):
        on = build.device(config)
        data = build.dataset(config, on, replicas)
        ordered = sorted(ready, key=_step)
        stacks = [list(together) for _, together in groupby(ordered, key=_step)]
        with StopRequest() as stop:
            for group in stacks if build.stackable(config) else [[one] for one in ordered]:
                directories = [directory for _, directory, _ in group]
                if replicas.share(stop.signum is not None):
                    for d in directories:
                        text = f"{d.name}: interrupted before it began; run the same command to go on"
                        outcomes[d.name] = Outcome(d.name, "interrupted", text)
                    continue
                with told(outcomes, directories):
                    outcomes |= Session(config, command, group, data, on, replicas).train(stop)
                failed = any(outcomes[d.name].state in ("failed", "refused") for d in directories if d.name in outcomes)
                if failed and replicas.count > 1:  # the others wait for this replica somewhere, and cannot go on
                    return


def _step(begun: Begun) -> int:
    state = begun[2]
    return state["step"] if state else 0
