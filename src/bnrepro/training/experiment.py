"""A launch, from a resolved configuration to finished records: one run per seed, each resumed where it stopped."""

import traceback
from contextlib import ExitStack, suppress
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
from bnrepro.training.recorder import SeedRun, published_runs
from bnrepro.training.session import Session


def names(config: Config) -> list[str]:
    """The names of the runs that a launch of this configuration makes, one per seed."""
    return [run_name(config, seed, build.data_fingerprint(config)) for seed in run_seeds(config)]


def finished(config: Config, name: str) -> Path | None:
    """Where the complete record of a run is, or None: in the runs directory, or with ``publish`` under results."""
    folders = [Path(config.runs_dir)] + ([published_runs(config)] if config.publish else [])
    return next((folder / name for folder in folders if RunDirectory(folder / name).ended()), None)


def run(config: Config, command: str) -> list[Outcome]:
    """Train what is missing of this launch. Runs that another process trains are not waited for.

    A user's mistake ends a run as ``refused``. A fault ends it as ``failed``, with its traceback in the run's directory
    if the run was locked. Neither touches the other seeds. Of several replicas the first one decides and records; the
    others follow it and return no outcomes.

    Raises:
        UserError: the configuration cannot be run at all.
    """
    begin()
    torch.set_num_threads(config.threads)
    with joined(config.training.replicas, config.device) as replicas:
        return _lead(config, command, replicas) if replicas.leads else _follow(config, command, replicas)


def _lead(config: Config, command: str, replicas: Replicas) -> list[Outcome]:
    with ExitStack() as locks:
        seed_runs = _prepared(config, locks, replicas)
        ready = [seed_run for seed_run in seed_runs if seed_run.outcome is None]
        if ready:
            _train_all(config, command, ready, replicas)
    return [seed_run.outcome for seed_run in seed_runs if seed_run.outcome]


def _prepared(config: Config, locks: ExitStack, replicas: Replicas) -> list[SeedRun]:
    """The runs of this launch: locked and with their checkpoints, or else with their outcomes.

    The other replicas get those that are to be trained. ``locks`` gives all locks back when it closes.
    """
    to_train = []
    try:
        runs = zip(run_seeds(config), names(config), strict=True)
        seed_runs = [SeedRun(seed, RunDirectory(Path(config.runs_dir) / name)) for seed, name in runs]
        for seed_run in seed_runs:
            locks.callback(seed_run.directory.release)
            prepare(config, seed_run)
        to_train = [(run.seed, run.directory.name, run.checkpoint) for run in seed_runs if run.outcome is None]
        return seed_runs
    finally:  # the other replicas wait for this, also after an error
        replicas.share(to_train)


def _follow(config: Config, command: str, replicas: Replicas) -> list[Outcome]:
    """Do as the leading replica does, with records that nobody keeps."""
    with TemporaryDirectory() as folder:
        unrecorded = replace(config, runs_dir=folder, publish=False, logger=replace(config.logger, mode="disabled"))
        ready = []
        for seed, name, state in replicas.share(None):
            directory = RunDirectory(Path(folder) / name)
            directory.create()
            ready.append(SeedRun(seed, directory, state and state | {"rows": 0}))
        if ready:
            _train_all(unrecorded, command, ready, replicas)
    return []


def prepare(config: Config, seed_run: SeedRun) -> None:
    """Lock a run and read its checkpoint, or note why it is not to be trained."""
    directory = seed_run.directory
    try:
        seed_run.outcome = _lock(config, directory)
        if seed_run.outcome is None:
            seed_run.checkpoint = checkpoint.load(directory.checkpoint, directory.name)
            state = seed_run.checkpoint
            rows = state["rows"] if state else 0
            if state:
                directory.check(rows, state.get("files", {}))
            directory.cut_history(rows)  # a damaged history is found before anything starts
    except Exception as error:
        seed_run.outcome = _failure(directory, error)


def _lock(config: Config, directory: RunDirectory) -> Outcome | None:
    """Lock a run that is to be trained; the outcome of one that is complete, or that another process trains."""
    name = directory.name
    if not finished(config, name):
        directory.create()
        if not directory.acquire():
            holder = directory.status().get("pid", "?")
            return Outcome(name, "locked", f"{name}: another process ({holder}) is training it")
    record = finished(config, name)  # looked for again under the lock: its last holder may have just finished it
    if not record:
        return None
    if config.publish and directory.ended():
        directory.publish(published_runs(config))
    return Outcome(name, RunDirectory(record).status()["state"], f"{name}: already in {record}; nothing was trained")


def _train_all(config: Config, command: str, ready: list[SeedRun], replicas: Replicas) -> None:
    """Train locked runs, the least advanced first; where they can be stacked, those at the same step together."""
    try:
        device = build.device(config)
        data = build.dataset(config, device, replicas)
    except Exception as error:
        _fail(ready, error, replicas)
        return
    ordered = sorted(ready, key=SeedRun.step)
    stacks = [[seed_run] for seed_run in ordered]
    if build.stackable(config):
        stacks = [list(together) for _, together in groupby(ordered, key=SeedRun.step)]
    with StopRequest() as stop:
        for stack in stacks:
            if replicas.share(stop.signum is not None):
                for seed_run in stack:
                    name = seed_run.directory.name
                    message = f"{name}: interrupted before it began; run the same command to go on"
                    seed_run.outcome = Outcome(name, "interrupted", message)
                continue
            try:
                Session(config, command, stack, data, device, replicas).train(stop)
            except Exception as error:
                _fail(stack, error, replicas)
                if replicas.count > 1:  # the others wait for this replica somewhere, and cannot go on
                    return


def _fail(seed_runs: list[SeedRun], error: Exception, replicas: Replicas) -> None:
    """Note an error as the outcome of these runs.

    A replica that follows raises it instead: that ends its process, and torchrun then ends the others.
    """
    if not replicas.leads:
        raise error
    for seed_run in seed_runs:
        seed_run.outcome = seed_run.outcome or _failure(seed_run.directory, error)


def _failure(directory: RunDirectory, error: Exception) -> Outcome:
    """The outcome of a run that met this error; a fault of a locked run is noted in its directory, too."""
    if isinstance(error, UserError):
        return Outcome(directory.name, "refused", str(error))
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    message = f"{directory.name}: failed ({reason})"
    if directory.locked:  # what is not locked is another process's to write to
        with suppress(OSError):  # a disk that is full is full for this too; the outcome still says what happened
            (directory.path / "traceback.txt").write_text("".join(traceback.format_exception(error)))
            if not directory.ended():  # publishing may fail after that; the record is complete
                directory.update(state="failed", error=reason)
        message += f"; see {directory.path / 'traceback.txt'}"
    return Outcome(directory.name, "failed", message)
