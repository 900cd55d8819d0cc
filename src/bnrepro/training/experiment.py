"""A launch, from a resolved configuration to finished records: one run per seed, each resumed where it stopped."""

import traceback
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bnrepro.config.schema import Config, run_seeds
from bnrepro.data import load
from bnrepro.errors import UserError, explain
from bnrepro.records.identity import run_name
from bnrepro.records.outcome import Outcome
from bnrepro.records.run import RunDirectory
from bnrepro.training import build, checkpoint
from bnrepro.training.distributed import Replicas, joined
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.recorder import SeedRun, published_runs
from bnrepro.training.session import Session


def run_names(config: Config) -> list[str]:
    """Return the names of the runs that a launch of this configuration makes, one per seed."""
    return [run_name(config, seed, load.fingerprint(config.data)) for seed in run_seeds(config)]


def complete_record(config: Config, name: str) -> Path | None:
    """Return the complete record of a run if there is one: in the runs directory or, with ``publish``, in results."""
    folders = [Path(config.runs_dir)] + ([published_runs(config)] if config.publish else [])
    return next((folder / name for folder in folders if RunDirectory(folder / name).ended()), None)


def run(config: Config, command: str) -> list[Outcome]:
    """Train the runs of this launch that are not complete, except those that another process trains.

    A user's mistake ends a run as ``refused``, and a fault ends it as ``failed``. Neither touches the other seeds.
    Of several replicas only the first one returns outcomes. A configuration that cannot be run at all raises.
    """
    torch.set_num_threads(config.threads)
    with joined(config.training.replicas, config.device) as replicas, ExitStack() as cleanup:
        if not replicas.leads:  # The other replicas do the same in folders that nobody keeps.
            folder = cleanup.enter_context(TemporaryDirectory())
            config = replace(config, runs_dir=folder, publish=False, logger=replace(config.logger, mode="disabled"))
        seeds_and_names = zip(run_seeds(config), run_names(config), strict=True)
        runs = [SeedRun(seed, RunDirectory(Path(config.runs_dir) / name)) for seed, name in seeds_and_names]
        for seed_run in runs:
            cleanup.callback(seed_run.directory.release)
            prepare(config, seed_run)
        prepared = replicas.share([(seed_run.outcome, seed_run.checkpoint, seed_run.rows) for seed_run in runs])
        for seed_run, values in zip(runs, prepared, strict=True):
            seed_run.outcome, seed_run.checkpoint, seed_run.rows = values
        incomplete = [seed_run for seed_run in runs if seed_run.outcome is None]
        if incomplete:
            _train(config, command, incomplete, replicas)
        return [seed_run.outcome for seed_run in runs if seed_run.outcome] if replicas.leads else []


def prepare(config: Config, run: SeedRun) -> None:
    """Lock a run and read its checkpoint and history, or note as its outcome why it is not to be trained."""
    directory = run.directory
    try:
        run.outcome = _lock(config, directory)
        if run.outcome is not None:
            return
        run.checkpoint = state = checkpoint.load(directory.checkpoint, directory.name)
        if state:
            directory.check(state["rows"], state.get("files", {}))
        rows = directory.cut_history(state["rows"] if state else 0)
        run.rows = [{name: float(value) for name, value in row.items()} for row in rows]
    except Exception as error:
        run.outcome = _failure(directory, error)


def _lock(config: Config, directory: RunDirectory) -> Outcome | None:
    """Lock a run that is to be trained. Return the outcome of one that is complete or that another process trains."""
    name = directory.name
    if not complete_record(config, name):
        directory.create()
        if not directory.acquire():
            holder = directory.status().get("pid", "?")
            return Outcome(name, "locked", f"{name}: another process ({holder}) is training it")
    record = complete_record(config, name)  # Look again under the lock: its last holder may have just finished the run.
    if not record:
        return None
    if config.publish and directory.ended():
        directory.publish(published_runs(config))
    return Outcome(name, RunDirectory(record).status()["state"], f"{name}: already in {record}; nothing was trained")


def _train(config: Config, command: str, runs: list[SeedRun], replicas: Replicas) -> None:
    """Train locked runs, the least advanced first; where they can be stacked, those at the same step together."""
    try:
        device = build.device(config)
        data = build.dataset(config, device, replicas)
    except Exception as error:
        if not replicas.leads:  # This ends the process of a replica, and torchrun then ends the others.
            raise
        note_error(runs, error)
        return
    ordered = sorted(runs, key=SeedRun.step)
    stacks = [[run] for run in ordered]
    if build.stackable(config):
        stacks = [list(together) for _, together in groupby(ordered, key=SeedRun.step)]
    with StopRequest() as stop:
        for stack in stacks:
            if replicas.share(stop.signum is not None):
                for run in stack:
                    name = run.directory.name
                    message = f"{name}: interrupted before it began; run the same command to go on"
                    run.outcome = Outcome(name, "interrupted", message)
                continue
            try:
                Session(config, command, stack, data, device, replicas).train(stop)
            except Exception as error:
                if not replicas.leads:
                    raise
                note_error(stack, error)
                if replicas.count > 1:  # The others wait for this replica somewhere, and cannot go on.
                    return


def note_error(runs: list[SeedRun], error: Exception) -> None:
    """Note an error as the outcome of those of these runs that have none."""
    for run in runs:
        run.outcome = run.outcome or _failure(run.directory, error)


def _failure(directory: RunDirectory, error: Exception) -> Outcome:
    """Return the outcome of a run that met this error. A fault of a locked run is also noted in its directory."""
    if isinstance(error, UserError):
        return Outcome(directory.name, "refused", str(error))
    reason = explain(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}".splitlines()[0]
    message = f"{directory.name}: failed ({reason})"
    if directory.locked:  # Without the lock, the directory is another process's to write to.
        with suppress(OSError):  # A full disk may be the fault. The outcome still says what happened.
            (directory.path / "traceback.txt").write_text("".join(traceback.format_exception(error)))
            message += f"; see {directory.path / 'traceback.txt'}"
            if not directory.ended():  # A record may be complete and only its publication have failed.
                directory.update(state="failed", error=reason)
    return Outcome(directory.name, "failed", message)
