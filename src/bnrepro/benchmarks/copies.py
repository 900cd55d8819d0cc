"""The same run in several processes on one device: what they do together in a second."""

import multiprocessing
import time
from multiprocessing.connection import Connection

import torch

from bnrepro import build
from bnrepro.benchmarks import steps
from bnrepro.benchmarks.cells import synchronize
from bnrepro.benchmarks.steps import CLASSES, Setting

PATIENCE = 180.0  # seconds that a process may take to come to its first step, or to answer


def _copy(pipe: Connection, experiment: str, scale: str, setting: Setting, device: str, warm: int) -> None:
    """Train on random resident pictures; for every number of seconds received, send images a second."""
    torch.set_num_threads(1)
    on, config = torch.device(device), steps.configuration(experiment, scale)
    model = build.network(config, [0], on, CLASSES[scale])
    data = steps.resident(config, CLASSES[scale], setting.batch, on)
    step = steps.ours(config, model, data, setting, on)
    for _ in range(warm):
        step()
    synchronize(on)
    pipe.send(0.0)
    while seconds := pipe.recv():
        done, began = 0, time.monotonic()
        while time.monotonic() - began < seconds:
            step()
            done += 1
        synchronize(on)
        pipe.send(done * setting.batch / (time.monotonic() - began))


def _receive(pipe: Connection) -> float:
    if not pipe.poll(PATIENCE):
        raise TimeoutError(f"a process did not answer within {PATIENCE:g} s")
    return pipe.recv()


def together(
    experiment: str, scale: str, setting: Setting, on: torch.device, counts: tuple[int, ...], seconds: float, warm: int
) -> dict[int, float]:
    """Images a second in total, by how many processes train at a time; the others wait.

    Raises:
        TimeoutError, EOFError: a process hangs, or has ended.
        NeedsGPU: the setting is not one of this device.
    """
    setting.check(on)
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for _ in range(max(counts)):
            mine, theirs = context.Pipe()
            arguments = (theirs, experiment, scale, setting, str(on), warm)
            process = context.Process(target=_copy, args=arguments, daemon=True)
            process.start()
            theirs.close()  # so that the end of the process is the end of the pipe
            pipes.append(mine)
            processes.append(process)
        for pipe in pipes:
            _receive(pipe)
        found = {}
        for count in counts:
            for pipe in pipes[:count]:
                pipe.send(seconds)
            found[count] = sum(_receive(pipe) for pipe in pipes[:count])
        return found
    finally:
        for process in processes:
            process.kill()
            process.join()
