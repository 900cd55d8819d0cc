"""The launcher ``hydra/launcher=gpu_stacks``: one GPU trains networks of one kind side by side in one program."""

import multiprocessing
import os
import signal
import time
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
from bnrepro.training.recorder import SeedRun
from bnrepro.training.stacks.kinds import DataSets, kind
from bnrepro.training.stacks.run import StackedRun
from bnrepro.training.stacks.stack import Stack

PERIOD = 20.0  # seconds between lines of progress


class GPUStacks:
    """Trains jobs in this process, many at a time.

    Args:
        options: of the launcher. A stack has at most ``networks`` networks; ``processors`` processes measure inside
            them.
    """

    def __init__(self, options: DictConfig):
        self.networks, self.processors = options.networks, options.processors

    def launch(self, jobs: list[Job], first: int, directory: Path) -> None:
        """Train jobs and wait for them. After a signal, the runs save and SystemExit is raised."""
        torch.set_num_threads(1)
        with ExitStack() as opened, StopRequest() as stop:
            pool = ProcessPoolExecutor(self.processors, multiprocessing.get_context("spawn"), _end_with_parent)
            opened.callback(pool.shutdown, cancel_futures=True)
            stacks = [Stack(runs, pool) for runs in self._stacks(jobs, opened)]
            for stack in stacks:
                opened.callback(stack.close)
            _train(stacks, stop)
        if stop.signum is not None:
            raise SystemExit(128 + stop.signum)

    def _stacks(self, jobs: list[Job], locks: ExitStack) -> Iterator[list[StackedRun]]:
        """Lock the runs that are to be trained, and yield stacks of them, each of one kind and at one step."""
        data, by_kind = DataSets(), defaultdict(lambda: defaultdict(list))
        for job in jobs:
            own, command = kind(job.config), typed_command("train", list(job.overrides))
            for seed, name in zip(run_seeds(job.config), job.names, strict=True):
                seed_run = SeedRun(seed, RunDirectory(Path(job.config.runs_dir) / name))
                locks.callback(seed_run.directory.release)
                experiment.prepare(job.config, seed_run)
                if seed_run.outcome:
                    print(seed_run.outcome.message, flush=True)
                else:
                    run = StackedRun(job.config, command, seed_run, data.of(job.config))
                    by_kind[own.shared, run.data.held_out, seed_run.step()][own.norm].append(run)
        stacks = []
        for by_norm in by_kind.values():
            without = by_norm.pop("", [])
            first, *others = by_norm.values() or [[]]
            stacks += [first + without, *others]
        for runs in stacks:
            for start in range(0, len(runs), self.networks):
                yield runs[start : start + self.networks]


def _end_with_parent() -> None:
    """Ignore signals, which reach all processes of a sweep, and end when the sweep does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    follow_parent(os.getppid())


def _train(stacks: list[Stack], stop: StopRequest) -> None:
    """Train the stacks in turns: while the GPU works for one of them, the next one prepares its work."""
    last_line = time.monotonic()
    while (going := [stack for stack in stacks if not stack.is_over()]) and stop.signum is None:
        for stack in going:
            stack.advance()
        if time.monotonic() - last_line > PERIOD:
            print(*(stack.line() for stack in going), sep="\n", flush=True)
            last_line = time.monotonic()
    for stack in stacks:
        stack.save()
        for run in stack.runs:
            if not run.over:
                print(run.recorder.outcome().message, flush=True)
