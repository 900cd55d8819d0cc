"""The launcher ``hydra/launcher=gpu_stacks``: one GPU trains networks of one kind side by side in one program."""

import multiprocessing
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import torch
from omegaconf import DictConfig

from bnrepro.config.schema import run_seeds
from bnrepro.records.provenance import typed_command
from bnrepro.records.run import RunDirectory
from bnrepro.sweeps.jobs import Job
from bnrepro.training import experiment
from bnrepro.training.interrupt import StopRequest, follow_parent
from bnrepro.training.recorder import SeedRun, close_mirrors
from bnrepro.training.stacks.kinds import DataSets, stack_key
from bnrepro.training.stacks.run import StackedRun
from bnrepro.training.stacks.stack import Stack


class GPUStacks:
    """Trains jobs in this process, many at a time.

    Args:
        options: of the launcher. A stack has at most ``networks`` networks; ``processors`` processes measure inside
            them.
    """

    def __init__(self, options: DictConfig):
        self.networks, self.processors = options.networks, options.processors

    def launch(self, jobs: list[Job], first: int, directory: Path) -> None:
        """Train jobs and wait for them.

        After a signal, the runs save and SystemExit is raised. An exception in one stack ends all of them, and their
        runs have failed.
        """
        torch.set_num_threads(1)
        with ExitStack() as cleanup, StopRequest() as stop:
            pool = ProcessPoolExecutor(self.processors, multiprocessing.get_context("spawn"), _end_with_parent)
            cleanup.callback(pool.shutdown, cancel_futures=True)
            locked: list[SeedRun] = []
            stacks: list[Stack] = []
            try:
                for runs in self._sorted(_prepared(jobs, locked, cleanup)):
                    stacks.append(Stack(runs, pool))
                _train(stacks, stop)
            except Exception as error:
                experiment.note_error(locked, error)
                raise
            finally:
                _close(stacks)
        if stop.signum is not None:
            raise SystemExit(128 + stop.signum)

    def _sorted(self, runs: Iterator[StackedRun]) -> Iterator[list[StackedRun]]:
        """Yield stacks of these runs, each of one kind and at one step."""
        by_key = defaultdict(lambda: defaultdict(list))
        for run in runs:
            key = stack_key(run.config)
            by_key[key.shared, run.data.held_out, run.seed_run.step()][key.norm].append(run)
        for by_norm in by_key.values():
            without = by_norm.pop("", [])
            first, *others = by_norm.values() or [[]]
            for together in (first + without, *others):
                for start in range(0, len(together), self.networks):
                    yield together[start : start + self.networks]


def _prepared(jobs: list[Job], locked: list[SeedRun], cleanup: ExitStack) -> Iterator[StackedRun]:
    """Yield the runs that are to be trained, ready and locked until the cleanup, and note them in ``locked``."""
    data = DataSets()
    for job in jobs:
        stack_key(job.config)  # a run that cannot be in any stack is refused before its directory is made
        command = typed_command("train", list(job.overrides))
        for seed, name in zip(run_seeds(job.config), job.names, strict=True):
            seed_run = SeedRun(seed, RunDirectory(Path(job.config.runs_dir) / name))
            cleanup.callback(seed_run.directory.release)
            experiment.prepare(job.config, seed_run)
            if seed_run.outcome:
                print(seed_run.outcome.message, flush=True)
            else:
                locked.append(seed_run)
                yield StackedRun(job.config, command, seed_run, data.of(job.config))


def _end_with_parent() -> None:
    """Ignore signals, which reach all processes of a sweep, and end when the sweep does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    follow_parent(os.getppid())


def _train(stacks: list[Stack], stop: StopRequest) -> None:
    """Train the stacks in turns: while the GPU works for one of them, the next one prepares its work."""
    while (unfinished := [stack for stack in stacks if not stack.has_ended()]) and stop.signum is None:
        for stack in unfinished:
            stack.advance()
    for stack in stacks:
        stack.save()
        for run in stack.runs:
            if not run.has_ended:
                print(run.recorder.outcome().message, flush=True)


def _close(stacks: list[Stack]) -> None:
    """End what the stacks do in the background, and wait for W&B."""
    for stack in stacks:
        stack.close()
    ended = all(stack.has_ended() for stack in stacks)
    close_mirrors([run.recorder for stack in stacks for run in stack.runs], 0 if ended else 1)
